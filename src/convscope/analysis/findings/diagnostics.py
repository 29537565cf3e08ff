"""Sentences on what variants do beyond accuracy: answers to shifted images, receptive fields.

The differences of both metrics are one family: all pairs of a setting are tested at 5 % / 2 in each
(Bonferroni), so that at most 5 % of studies without true differences have a false one here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pandas import DataFrame, Series

from convscope.analysis.choice import Ranking
from convscope.analysis.citations import DIAGNOSTICS
from convscope.analysis.findings.effects import significant_shares
from convscope.analysis.findings.finding import Finding, difference_finding, pair_findings
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import LEVEL, differences_from
from convscope.text import counted, listed, percent, percentage_points, share

_CHANGE, _FIELD = TESTED = ("shift_change", "erf_side")
_LEVEL = LEVEL / len(TESTED)


def summarize_diagnostics(ranking: Ranking, runs: DataFrame) -> Iterator[Finding]:
    """Yield at most three sentences; none where diagnostics are missing or not comparable.

    Args:
        ranking: of the groups of one setting.
        runs: their rows of the table from `frame`.
    """
    finished = runs[runs["status"] == "finished"]
    if finished["diagnostic_images"].nunique() != 1:
        return
    groups = grouped(runs).reindex(ranking.groups.index)
    images = counted(finished["diagnostic_images"].dropna().iloc[0], "test image")
    yield from _changes(groups, runs, images)
    yield from _steadier(ranking, groups, runs)
    yield from _fields(groups, runs)


def _changes(groups: DataFrame, runs: DataFrame, images: str) -> Iterator[Finding]:
    """Yield which variants change the most and the fewest answers to an image that moves."""
    ends = _ends(groups, _CHANGE)
    if ends is None:
        return
    most, fewest = ends
    if most[_CHANGE] == fewest[_CHANGE]:
        sentence = (
            f"A shift of one pixel changes {percent(most[_CHANGE])} of every variant's answers to"
            f" {images}."
        )
        yield Finding(
            *("shift_change", tuple(groups["label"]), sentence, most[_CHANGE]),
            metric=_CHANGE,
            statistic="mean",
            cites=DIAGNOSTICS[_CHANGE],
        )
        return
    several = len(groups) > 2
    accounts = significant_shares(runs, _CHANGE)
    tested = _test(runs, _CHANGE, most, fewest)
    sentence = (
        f"A shift of one pixel changes {percent(most[_CHANGE])} of {most['name']}'s answers to"
        f" {images}{', the most' if several else ''}, and {percent(fewest[_CHANGE])} of"
        f" {fewest['name']}'s{', the fewest' if several else ''}:"
        f" {_difference_text(_CHANGE, tested)}"
        f"{f'; of the variance between runs, {accounts}' if accounts else ''}."
    )
    yield _of_ends("shift_change", sentence, _CHANGE, most, fewest, tested)


def _steadier(ranking: Ranking, groups: DataFrame, runs: DataFrame) -> Iterator[Finding]:
    """Yield which variants are as accurate as the chosen one and change fewer answers."""
    if not ranking.repeated:
        return
    best = groups.loc[ranking.best.name]
    similar = ranking.not_different.index
    found = differences_from(runs, str(best.name), similar, _CHANGE, level=_LEVEL)
    fewer = found[found["differs"] & (found["difference"] < 0)]
    if len(fewer):
        names = [
            f"{one.name} ({percent(one.shift_change)})"
            for one in groups.loc[fewer.index[::-1]].itertuples(index=False)
        ]
        sentence = (
            f"Of the variants whose test accuracy is not significantly different from"
            f" {best['name']}'s, {listed(names)} {'changes' if len(names) == 1 else 'change'}"
            f" significantly fewer answers than it ({percent(best[_CHANGE])})."
        )
        of_pairs = groups["label"], str(best.name), _CHANGE
        yield from pair_findings("fewer_changes", sentence, fewer[::-1], *of_pairs)


def _fields(groups: DataFrame, runs: DataFrame) -> Iterator[Finding]:
    """Yield which variants have the largest and the smallest effective receptive field."""
    ends = _ends(groups.dropna(subset=["erf_share"]), _FIELD)
    if ends is None:
        return
    sides = [f"{one[_FIELD]:.3g} px" for one in ends]
    shares = [share(one["erf_share"]) for one in ends]
    (largest, smallest), (wide, narrow) = ends, sides
    if wide == narrow:
        return
    tested = _test(runs, _FIELD, largest, smallest)
    sentence = (
        f"Half of {largest['name']}'s effective receptive field lies within a square of {wide}"
        f" ({shares[0]} of the receptive field's area), half of {smallest['name']}'s within"
        f" {narrow} ({shares[1]}): {_difference_text(_FIELD, tested)}."
    )
    yield _of_ends("receptive_field", sentence, _FIELD, largest, smallest, tested)


def _ends(groups: DataFrame, metric: str) -> tuple[Series, Series] | None:
    """Return the groups with the highest and the lowest mean; None of fewer than two groups."""
    known = groups.dropna(subset=[metric])
    if len(known) < 2:
        return None
    return known.loc[known[metric].idxmax()], known.loc[known[metric].idxmin()]


def _test(runs: DataFrame, metric: str, high: Series, low: Series) -> Series | None:
    """Return the tested difference of two groups; None where one has a single run."""
    found = differences_from(runs, str(low.name), [str(high.name)], metric, level=_LEVEL)
    return None if found.empty else found.iloc[0]


def _of_ends(
    kind: str, sentence: str, metric: str, high: Series, low: Series, tested: Series | None
) -> Finding:
    subjects = high["label"], low["label"]
    if tested is not None:
        found = difference_finding(kind, subjects, sentence, tested, metric)
        return replace(found, cites=found.cites + DIAGNOSTICS[metric])
    estimate = high[metric] - low[metric]
    return Finding(
        *(kind, subjects, sentence, estimate),
        metric=metric,
        statistic="difference",
        cites=DIAGNOSTICS[metric],
    )


def _difference_text(metric: str, one: Series | None) -> str:
    """Return whether two means differ significantly, and by how much."""
    if one is None:
        return "whether other seeds would show the same is not known"
    margin = one["high"] - one["difference"]
    if not one["differs"]:
        return (
            "not significantly different (a significant difference would have to exceed"
            f" {_amount(metric, margin)})"
        )
    factor = 100 if metric == _CHANGE else 1
    low_end, high_end = (
        f"{factor * one[end]:.{2 if factor > 1 else 1}f}" for end in ("low", "high")
    )
    return (
        f"significantly different, by {_amount(metric, one['difference'])} (95 % interval"
        f" {low_end} to {high_end})"
    )


def _amount(metric: str, size: float) -> str:
    return percentage_points(size) if metric == _CHANGE else f"{size:.3g} px"
