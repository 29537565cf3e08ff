"""Findings on variants that are not significantly different: equivalence and power."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pandas import DataFrame, Series

from convscope.analysis.choice import Ranking
from convscope.analysis.citations import EQUIVALENCE
from convscope.analysis.equivalence import EQUIVALENT, UNDECIDED, judge, margin_text
from convscope.analysis.findings.finding import Finding
from convscope.text import count, counted_range, listed, percentage_points

_METRIC = "test_accuracy"


def summarize_equivalence(ranking: Ranking, runs: DataFrame, margin: float) -> Iterator[Finding]:
    """Yield which groups are equivalent to the chosen one, and what the study could have shown.

    Args:
        ranking: of groups with two runs or more; those not different from the best are described.
        runs: those that were ranked.
        margin: largest difference that is called equivalent, as a share.
    """
    similar = ranking.not_different.sort_values(_METRIC, ascending=False, kind="stable")
    if len(similar):
        pairs = judge(similar.rename_axis("first").reset_index(), runs, margin)
        pairs["label"] = ranking.groups.loc[pairs["first"], "label"].to_numpy()
        yield from _verdicts(pairs, ranking.best, margin)
        yield from _power(pairs, ranking.best, margin)


def _verdicts(pairs: DataFrame, best: Series, margin: float) -> Iterator[Finding]:
    """Yield which groups are equivalent within the margin, and which are undecided."""
    equivalent, undecided = (
        list(pairs["name"][pairs["verdict"] == verdict]) for verdict in (EQUIVALENT, UNDECIDED)
    )
    within = f"within {margin_text(margin)} (two one-sided tests, 5 %)"
    if not undecided:
        sentence = f"Equivalent to {best['name']} {within}: {listed(equivalent)}."
    elif equivalent:
        sentence = (
            f"Equivalent to {best['name']} {within}: {listed(equivalent)}; undecided, as the"
            f" difference may be larger: {listed(undecided)}."
        )
    else:
        of = undecided[0]
        if len(undecided) > 1:
            of = f"any of the {len(undecided)} that are not significantly different"
        sentence = f"It is undecided whether {of} is equivalent to {best['name']} {within}."
    for one in pairs.to_dict("records"):
        yield Finding(
            *(one["verdict"], (one["label"], best["label"]), sentence, one["difference"]),
            p_value=one["p_equivalent"],
            metric=_METRIC,
            statistic="difference",
            cites=EQUIVALENCE,
        )
        sentence = ""


def _power(pairs: DataFrame, best: Series, margin: float) -> Iterator[Finding]:
    """Yield which true difference would have been found, and the seeds that the margin needs."""
    margin_is = f"a difference of {margin_text(margin)}"
    seeds, limit, names = (pairs[name] for name in ("seeds", "limit", "name"))
    enough = seeds < math.inf
    never = (
        f" no number of seeds would do, since {count(best['test_images'])} test images cannot show"
        f" less than {_range(limit[~enough])}"
    )
    needs = f"; for {margin_is}{never}"
    if enough.any():
        needs = f"; {margin_is} needs {counted_range(seeds[enough], 'seed')} of each variant"
        if not enough.all():
            needs += f", but against {listed(list(names[~enough]))}{never}"
    sentence = (
        "At the spread seen here, this study had an 80 % chance to show a true difference of"
        f" {_range(pairs['detectable'])} from {best['name']}{needs}."
    )
    for one in pairs.to_dict("records"):
        subjects = one["label"], best["label"]
        yield Finding("detectable", subjects, sentence, one["detectable"], metric=_METRIC)
        needed = one["seeds"] if one["seeds"] < math.inf else None
        yield Finding("seeds_needed", subjects, "", needed, statistic="seeds")
        sentence = ""


def _range(sizes: Series) -> str:
    """Return differences in points: the common value, or the range over pairs."""
    low, high = f"{100 * sizes.min():.2f}", percentage_points(sizes.max())
    return high if high.startswith(f"{low} ") else f"{low} to {high}"
