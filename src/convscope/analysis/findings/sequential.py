"""Findings on a sequential study: how seeds were added, what is settled, what is not and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas import DataFrame, Series

from convscope.analysis.citations import EQUIVALENCE, PREDICTION, SPENDING
from convscope.analysis.equivalence import DIFFERENT, EQUIVALENT, margin_text
from convscope.analysis.findings.finding import Finding
from convscope.analysis.looks import planned_seeds
from convscope.analysis.sequential import (
    IMAGES,
    OPEN,
    OUT_OF_REACH,
    Decision,
    decisions,
    rule_of,
)
from convscope.text import counted, listed

Pair = frozenset[str]


def summarize_sequential(runs: DataFrame) -> Iterator[Finding]:
    """Yield findings on a study that `repeat=auto` trained; none on others.

    Args:
        runs: rows of one setting, with the groups' `name`.
    """
    rule = rule_of(runs)
    if rule is None:
        return
    found = list(decisions(runs, rule))
    if not found:
        yield Finding("sequential", (), "The first look of repeat=auto is not complete.")
        return
    last = found[-1].look
    aim = "variants may be the best" if rule.settle == "best" else "variants differ"
    sentence = (
        f"Seeds were added in looks, to settle which {aim} (repeat=auto): the last was"
        f" look {last.number} of {len(rule.looks)}, at {last.seeds} of at most"
        f" {rule.looks[-1].seeds} seeds. All looks share the family-wise error of 5 %; a pair is"
        " tested on the seeds of the last look that both variants reached."
    )
    yield Finding("sequential", (), sentence, float(last.share), statistic="share", cites=SPENDING)
    yield from _outcome(runs, found)


def _outcome(runs: DataFrame, found: Sequence[Decision]) -> Iterator[Finding]:
    rule = found[0].rule
    groups = runs.drop_duplicates("group").set_index("group")
    verdicts: dict[Pair, str] = {}
    for decision in found:
        for pair in decision.pairs.itertuples():
            verdicts[frozenset((pair.first, pair.second))] = pair.verdict
    compared = [one for one in found[0].compared if any(one in pair for pair in verdicts)]
    if rule.settle == "best":
        worse = {group for decision in found for group in decision.worse}
        remaining = [one for one in compared if one not in worse]
        names = [groups.loc[one, "name"] for one in remaining]
        labels = tuple(groups.loc[one, "label"] for one in remaining)
        rest = len(compared) - len(remaining)
        if len(remaining) == 1:
            sentence = (
                f"Settled: each variant but {names[0]} is significantly worse than another one."
            )
        elif rest:
            sentence = (
                f"{listed(names)} may each be the best: none is significantly worse than another"
                f" variant, as {rest} of the {len(compared)} are."
            )
        else:
            sentence = "No variant is significantly worse than another: each may be the best."
        yield Finding("may_be_best", labels, sentence)
        asked = {pair: one for pair, one in verdicts.items() if pair <= set(remaining)}
    else:
        asked = verdicts
        number = sum(one == DIFFERENT for one in asked.values())
        sentence = (
            f"{number} of {counted(len(asked), 'pair')} of variants"
            f" {'is' if number == 1 else 'are'} significantly different."
        )
        yield Finding("pairs_settled", (), sentence, number / max(len(asked), 1), statistic="share")
    margin, most = margin_text(rule.margin), rule.looks[-1].seeds
    is_stopped = found[-1].look.seeds < most
    images = runs["test_images"].max()
    texts = {
        EQUIVALENT: f"Equivalent within {margin} by two one-sided tests",
        OUT_OF_REACH: f"Predicted to stay undecided even with {most} seeds",
        IMAGES: f"Predicted to stay undecided with any number of seeds, on these {images:,.0f} test"
        " images",
        OPEN: "Undecided, as the next look is not complete"
        if is_stopped
        else f"Undecided after {most} seeds, the largest number (max_repeat)",
    }
    for verdict, text in texts.items():
        pairs = [pair for pair, one in asked.items() if one == verdict]
        if pairs:
            names = [" against ".join(sorted(groups.loc[[*pair], "name"])) for pair in pairs]
            subjects = tuple(dict.fromkeys(groups.loc[one, "label"] for p in pairs for one in p))
            cites = {EQUIVALENT: EQUIVALENCE, OPEN: ()}.get(verdict, PREDICTION)
            kind = f"pairs_{verdict.replace(' ', '_')}"
            yield Finding(kind, subjects, f"{text}: {listed(names)}.", cites=cites)


def is_sequential(runs: DataFrame) -> Series:
    """Return, for each run, whether `repeat=auto` trained runs of its setting."""
    settings = runs.groupby("setting", sort=False)
    sequential = [one for one, of in settings if planned_seeds(of) is not None]
    return runs["setting"].isin(sequential)


def sequential_caveat(finished: DataFrame) -> Iterator[Finding]:
    """Yield that numbers of seeds differ by design, and what that means.

    Args:
        finished: finished runs of sequential studies.
    """
    seeds = finished.groupby("group", sort=False)["seed"].nunique()
    if seeds.nunique() > 1:
        sentence = (
            f"Numbers of seeds differ by design, from {seeds.min()} to {seeds.max()}: repeat=auto"
            " adds none where they would decide nothing. Where it stopped a variant for being"
            " worse, its mean is too low on average: a variant is stopped when its results are"
            " low. The intervals of single means in the table and the F tests of the factors do not"
            " allow for the looks."
        )
        yield Finding("sequential_seeds", (), sentence)
