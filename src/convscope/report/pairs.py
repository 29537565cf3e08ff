"""All pairs of variants: a table of their differences, and letters for those that do not differ."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from pandas import DataFrame

from convscope.analysis.choice import variant_families
from convscope.analysis.citations import EQUIVALENCE, LETTERS, TESTS
from convscope.analysis.equivalence import judge, margin_text
from convscope.analysis.groups import grouped
from convscope.analysis.letters import letters
from convscope.analysis.pairwise import GAMES_HOWELL, differences
from convscope.analysis.table import Column, Record, fitted, spread_text
from convscope.errors import UserError
from convscope.report.comparison import studies_text
from convscope.report.document import Block, Bullets, Listing, Paragraph
from convscope.report.latex import TEXT_WIDTH, cited, escape_latex, latex_table
from convscope.tables import Table
from convscope.text import MISSING, count, listed, p_text

_LETTERS = (
    Column("<variant", lambda one: one["variant"]),
    Column(
        "test accuracy",
        lambda one: spread_text(
            one["test_accuracy"], one["test_accuracy_std"], one["test_images"] or None
        ),
    ),
    Column("seeds", lambda one: count(one["runs"])),
    Column("<letters", lambda one: one["letters"]),
)
_PAIRS = (
    Column("<first", lambda one: one["first"]),
    Column("<second", lambda one: one["second"]),
    Column("points", lambda one: _points(one["difference"])),
    Column("95 % interval", lambda one: f"{_points(one['low'])} to {_points(one['high'])}"),
    Column("p", lambda one: p_text(one["p_value"])),
    Column("<verdict", lambda one: one["verdict"]),
    Column("p equivalent", lambda one: p_text(one["p_equivalent"]), spare=3),
    Column("80 % power", lambda one: f"{100 * one['detectable']:.2f}", spare=1),
    Column("seeds", lambda one: count(one["seeds_needed"]), spare=1),
    Column("P(better)", lambda one: f"{one['better']:.2f}", spare=2),
)
_SHARED = (
    "Variants that share a letter are not significantly different (5 %, all pairs together). That"
    " does not make them equal: see the verdicts of the pairs."
)


def pair_records(runs: DataFrame, margin: float) -> list[Record]:
    """Return a record of plain values per pair of variants of a setting, highest means first.

    The keys: `setting`; `first` and `second`, the variants; `difference` of their mean test
    accuracies with its simultaneous interval `low` to `high`; `p_value`, `method`; `verdict` with
    its `margin` and `p_equivalent`; `detectable`; `seeds_needed`, None if no number of seeds is
    enough; `better`, and the letters of both variants. See `equivalence.judge`.

    Args:
        runs: table from `frame`.
        margin: largest difference that is called equivalent, as a share.

    Raises:
        UserError: no setting has two variants with two finished runs.
    """
    return [one for _, _, records in _compared(runs, margin) for one in records]


def _compared(runs: DataFrame, margin: float) -> Iterator[tuple[str, DataFrame, list[Record]]]:
    """Yield each setting with its groups, highest mean first, and the records of its pairs."""
    none = True
    for family in variant_families(runs):
        pairs = judge(differences(family.runs), family.runs, margin)
        if len(pairs):
            none = False
            groups = grouped(family.runs)
            order = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
            different = pairs.loc[pairs["differs"].astype(bool), ["first", "second"]]
            shown = letters(order, different.itertuples(index=False, name=None))
            groups = groups.assign(letters=groups.index.map(shown)).sort_values(
                "test_accuracy", ascending=False, kind="stable"
            )
            sides = groups[["variant", "letters"]].to_dict("index")
            records = [_record(one, sides, family.title) for one in pairs.to_dict("records")]
            yield family.title, groups, records
    if none:
        raise UserError(
            "--pairs needs two variants of one setting with two finished runs each, got none:"
            " repeat=5 trains five"
        )


def _record(pair: Record, sides: dict[Any, Record], setting: str) -> Record:
    first, second = (sides[pair[side]] for side in ("first", "second"))
    seeds = _finite(pair["seeds"])
    return {
        "setting": setting,
        "first": first["variant"],
        "second": second["variant"],
        **{key: pair[key] for key in ("difference", "low", "high", "p_value", "method")},
        "verdict": pair["verdict"],
        "margin": pair["margin"],
        "p_equivalent": _finite(pair["p_equivalent"]),
        "detectable": pair["detectable"],
        "seeds_needed": None if seeds is None else int(seeds),
        "better": pair["better"],
        "first_letters": first["letters"],
        "second_letters": second["letters"],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def pair_blocks(runs: DataFrame, margin: float, width: int) -> list[Block]:
    """Return the tables of pairs and of letters, for each setting, and what they mean.

    Args:
        runs: as for `pair_records`.
        margin: as for `pair_records`.
        width: of the terminal, in characters.

    Raises:
        UserError: as for `pair_records`.
    """
    blocks: list[Block] = []
    columns: set[str] = set()
    for setting, groups, records in _compared(runs, margin):
        pairs = fitted(records, _PAIRS, width)
        columns |= {*pairs.columns}
        blocks += [Paragraph(f"With {setting}:" if setting else ""), Listing(pairs)]
        blocks += [Listing(_lettered(groups, width)), Paragraph(_SHARED)]
        single = list(groups["variant"][groups["runs"] == 1])
        if single:
            named = listed(single)
            blocks.append(Paragraph(f"Not compared, as a single run shows no spread: {named}."))
    return [*blocks, Bullets(tuple(_meanings(margin, columns)), "What the columns mean:")]


def pairs_latex(runs: DataFrame, margin: float) -> str:
    """Return the tables of `pair_blocks` as LaTeX.

    Args:
        runs: as for `pair_records`.
        margin: as for `pair_records`.

    Raises:
        UserError: as for `pair_records`.
    """
    label = f"convscope-{studies_text(runs)}"
    parts = []
    for setting, groups, records in _compared(runs, margin):
        pairs = fitted(records, _PAIRS, TEXT_WIDTH)
        with_it = f" with {setting}. " if setting else ". "
        meanings = " ".join(_meanings(margin, {*pairs.columns}))
        explained = escape_latex(f"All pairs of variants{with_it}{meanings}")
        caption = f"{explained}{cited((*TESTS[GAMES_HOWELL], *EQUIVALENCE))}"
        parts.append(latex_table(pairs, caption, f"{label}-{setting}-pairs"))
        caption = f"{escape_latex(f'Letters of the variants{with_it}{_SHARED}')}{cited(LETTERS)}"
        parts.append(
            latex_table(_lettered(groups, TEXT_WIDTH), caption, f"{label}-{setting}-letters")
        )
    return "\n".join(parts)


def _lettered(groups: DataFrame, width: int) -> Table:
    return fitted(groups.dropna(subset=["letters"]).to_dict("records"), _LETTERS, width)


def _meanings(margin: float, columns: Collection[str]) -> Iterator[str]:
    """Yield what each of these columns means."""
    within = margin_text(margin)
    meanings = {
        "points": "points: mean test accuracy of the first minus that of the second.",
        "95 % interval": "95 % interval and p: adjusted for all pairs of the setting, so that at"
        " most 5 % of studies call any pair different whose true means are equal.",
        "<verdict": "verdict: different if p is below 0.05; else equivalent if a difference of"
        f" {within} or more is rejected (two one-sided tests, 5 % for all pairs together); else"
        " undecided.",
        "p equivalent": "p equivalent: of these two tests, where a pair is not different.",
        "80 % power": "80 % power: the true difference, in points, that a study with this spread"
        " and these seeds finds significant with a probability of 80 %.",
        "seeds": f"seeds: number of seeds of each variant with which that is {within};"
        f" {MISSING} if the test images are too few for any number.",
        "P(better)": "P(better): share of the pairs of runs in which that of the first is more"
        " accurate, ties count one half; Bouthillier et al. (2021) call 0.75 and more"
        " meaningful if the pair is different too.",
    }
    yield from (text for head, text in meanings.items() if head in columns)


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"
