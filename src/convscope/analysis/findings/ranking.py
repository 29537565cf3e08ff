"""Sentences on the chosen variant, its test accuracy, and which others differ or cost less.

The choice is made by validation accuracy. One variant is called better than another only if
`pairwise` finds their test accuracies, or speeds, significantly different.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from convscope.analysis.anova import levels_of
from convscope.analysis.choice import (
    VALIDATION,
    Family,
    Ranking,
    rank,
    setting_families,
    variant_families,
    with_result,
)
from convscope.analysis.findings.caveats import speed_caveats
from convscope.analysis.findings.diagnostics import summarize_diagnostics
from convscope.analysis.findings.effects import summarize_effects
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import (
    differences,
    differences_from,
    image_interval,
    sampling_error,
    simultaneous_intervals,
)
from convscope.analysis.pareto import chosen_front
from convscope.geometry import FACTORS
from convscope.geometry.factors import KERNEL_SIZE, PADDING, STRIDE
from convscope.runs.record import RunRecord
from convscope.tables import final_map_text
from convscope.text import (
    count,
    counted,
    listed,
    percent,
    percent_range,
    percentage_points,
    share,
    times,
)

_SPEED = "train_samples_per_sec"
_MOST = 8
"""Largest number of paragraphs on settings, and on variants that several settings have."""
_NORMAL_FROM = 10
"""Smallest number of correct and of wrong images for a standard error (normal approximation)."""


def summarize(runs: DataFrame) -> list[str]:
    """Return the findings: an entry per sentence for one setting, else a paragraph per setting.

    With several settings, a paragraph per variant compares its settings too.

    Args:
        runs: table from `frame`.
    """
    if with_result(runs).empty:
        return ["No run with a test accuracy has finished."]
    if runs["setting"].nunique() > 1:
        texts = [f"{title}: {' '.join(sentences)}" for title, sentences in _paragraphs(runs)]
        return [*texts, *_not_compared(runs)]
    families = variant_families(runs)
    return list(_of_variants(families[0]) if families else _only_variant(grouped(runs)))


def headlines(runs: DataFrame) -> list[str]:
    """Return the first sentence of each paragraph of `summarize`, for runs of several settings.

    Args:
        runs: table from `frame`.
    """
    firsts = [f"{title}: {next(sentences)}" for title, sentences in _paragraphs(runs)]
    return [*firsts, *_not_compared(runs)]


def _paragraphs(runs: DataFrame) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the title and the sentences of each comparison."""
    for family in variant_families(runs)[:_MOST]:
        yield family.title, _of_variants(family)
    for family in setting_families(runs)[:_MOST]:
        yield family.title, _of_settings(family)


def _not_compared(runs: DataFrame) -> Iterator[str]:
    variants, settings = variant_families(runs), setting_families(runs)
    compared = [family.runs for family in (*variants, *settings)]
    groups = grouped(with_result(runs))
    others = groups[~groups.index.isin(pd.concat(compared)["group"] if compared else [])]
    if len(others):
        names = [f"{one.label}, {percent(one.test_accuracy)}" for one in others.itertuples()]
        yield (
            "Nothing to compare with, neither another variant of its setting nor another setting "
            f"on the same images: {listed(names, '; ')}."
        )
    more = max(len(variants) - _MOST, 0) + max(len(settings) - _MOST, 0)
    if more:
        yield f"{counted(more, 'more comparison')} not described: select runs with --where."


def _only_variant(groups: DataFrame) -> Iterator[str]:
    one = groups[groups["test_accuracy"].notna()].iloc[0]
    interval = percent_range(one["test_accuracy_low"], one["test_accuracy_high"])
    over = _over(one) + (f" (95 % interval {interval})" if one["runs"] > 1 else "")
    yield (
        f"{one['variant']} is the only variant with a result: {percent(one['test_accuracy'])} "
        f"{over}, {_cost(one, speed=True)}."
    )
    yield from _test_set(one)


def _of_settings(family: Family) -> Iterator[str]:
    ranking = rank(family.runs)
    yield from _best(ranking, family.runs, "setting", "")
    if ranking.repeated:
        yield from _others(ranking, brief=True)
    else:
        yield "A test of significance needs two runs or more of each (repeat=5 trains five)."


def _of_variants(family: Family) -> Iterator[str]:
    runs = family.runs
    ranking = rank(runs)
    speed = not speed_caveats(runs[runs["status"] == "finished"])
    yield from _best(ranking, runs, "variant", f", {_cost(ranking.best, speed)}")
    if ranking.repeated:
        yield from _others(ranking)
        yield from _cheaper(ranking, runs, speed)
        if len(ranking.single):
            yield (
                f"Not among these, as a single run shows no spread: {_named(ranking.single)}. "
                "repeat=5 trains five."
            )
        yield from _larger_strides(runs)
    else:
        yield (
            "Whether one variant is better than another is not known: that needs two seeds or more "
            "of two variants (repeat=5 trains five)."
        )
    yield _front(ranking)
    yield from summarize_effects(runs)
    yield from summarize_diagnostics(ranking, runs)
    yield from _test_set(ranking.best)


def _best(ranking: Ranking, runs: DataFrame, noun: str, cost: str) -> Iterator[str]:
    """Yield which group has the highest validation accuracy, and its test accuracy."""
    best, by_test = ranking.best, ranking.by != VALIDATION
    metric = "test accuracy" if by_test else "validation accuracy"
    repeated = " with two runs or more" if len(ranking.single) else ""
    among = f"{len(ranking.groups)} {noun}s{repeated}"
    highest = f"the highest {metric} of {among}, {percent(best[ranking.by])}"
    result = f"{percent(best['test_accuracy'])} {_over(best)}"
    if ranking.repeated:
        bounds = simultaneous_intervals(runs[runs["group"].isin(ranking.groups.index)])
        low, high, number = bounds.loc[best.name, ["low", "high", "number"]]
        interval = percent_range(low, high)
        result += f" (95 % interval {interval}, adjusted for the choice among {number:.0f})"
    if len(ranking.tied) > 1:
        tied = ranking.groups.loc[ranking.tied]
        yield (
            f"{listed(list(tied['name']))} share {highest}. Of these, {best['name']} "
            f"{'takes the fewest MACs' if tied['macs'].nunique() > 1 else 'is listed first'}: "
            f"its test accuracy is {result}{cost}."
        )
    else:
        its = ":" if by_test else "; its test accuracy is"
        yield f"{best['name']} has {highest}{its} {result}{cost}."
    if by_test:
        yield (
            "Validation accuracies are missing, so it was chosen by the very accuracy that is "
            "reported: the highest of several is too high by chance."
        )


def _others(ranking: Ranking, *, brief: bool = False) -> Iterator[str]:
    """Yield how the test accuracies of the others differ from that of the chosen group."""
    worse, better = ranking.worse, ranking.better
    similar = ranking.not_different.sort_values("test_accuracy", ascending=False, kind="stable")
    if len(worse):
        margins = _margins(worse, len(ranking.others))
        yield f"In test accuracy it is significantly better than {margins}."
    if len(better):
        yield (
            f"In test accuracy {listed(list(better['name']))} "
            f"{'is' if len(better) == 1 else 'are'} significantly better than "
            f"{ranking.best['name']}, by {_points_range(better['difference'])}: validation and "
            "test do not agree."
        )
    if len(similar):
        least = _points_range(similar["high"] - similar["difference"])
        need = f" A significant difference would have to exceed {least}: these may differ by less."
        names = _named(similar)
        yield f"Not significantly different from it (95 %): {names}.{'' if brief else need}"


def _margins(worse: DataFrame, others: int) -> str:
    nearest, farthest = (worse.loc[worse["difference"].agg(at)] for at in ("idxmax", "idxmin"))
    by = _points_interval(-nearest["difference"], -nearest["high"], -nearest["low"])
    if len(worse) == 1:
        return f"{nearest['name']}, {by}"
    every = "both" if others == 2 else f"all {others}"
    number = every if len(worse) == others else f"{len(worse)} of the {others}"
    return (
        f"{number} others: {by} than {nearest['name']}, the nearest of them, and by "
        f"{percentage_points(-farthest['difference'])} than {farthest['name']}, the farthest"
    )


def _points_interval(difference: float, low: float, high: float) -> str:
    return f"by {percentage_points(difference)} (95 % interval {100 * low:.2f} to {100 * high:.2f})"


def _points_range(sizes: Series) -> str:
    """Return accuracy differences as text: the common value, or the range over pairs."""
    low, high = f"{100 * sizes.min():.2f}", f"{100 * sizes.max():.2f}"
    return f"{high} points" if low == high else f"{low} to {high} points (by pair)"


def _cheaper(ranking: Ranking, runs: DataFrame, speed: bool) -> Iterator[str]:
    """Yield which groups cost less but do not differ significantly from the chosen one."""
    best = ranking.best
    similar = ranking.groups.loc[ranking.not_different.index]
    lighter = similar[similar["macs"] < best["macs"]]
    parts: dict[str, list[str]] = {}
    if len(lighter):
        fewest = lighter[lighter["macs"] == lighter["macs"].min()]
        macs = fewest["macs"].iloc[0]
        parts[listed(list(fewest["name"]))] = [
            f"{'takes' if len(fewest) == 1 else 'take'} the fewest MACs ({count(macs)}, "
            f"{share(macs / best['macs'])} of {best['name']}'s)"
        ]
    if speed and len(similar):
        rates = differences_from(runs, str(best.name), similar.index, _SPEED, ratio=True)
        faster = rates[rates["differs"] & (rates["difference"] > 0)]
        if len(faster):
            most = faster.loc[faster["difference"].astype(float).idxmax()]
            ratio, low, high = (math.exp(most[end]) for end in ("difference", "low", "high"))
            parts.setdefault(str(similar.loc[most.name, "name"]), []).append(
                f"trains {times(ratio)} as fast as {best['name']} "
                f"(95 % interval {low:.2f} to {high:.2f})"
            )
    if parts:
        clauses = [f"{name} {' and '.join(what)}" for name, what in parts.items()]
        yield f"Of these, {listed(clauses)}."


def _larger_strides(runs: DataFrame) -> Iterator[str]:
    """Yield how often a larger stride is better with all else equal, and the largest such case.

    Yields nothing if it never is. Other differences of that pair are listed, not called causes.
    """
    groups = runs.drop_duplicates("group").set_index("group")
    levels = levels_of(groups)
    others = [factor for factor in FACTORS if factor is not STRIDE]
    matched = levels.groupby([factor.key for factor in others], sort=False)
    pairs = differences(
        runs, only=[pair for _, rows in matched for pair in combinations(rows.index, 2)]
    )
    jumps = {group: _jump(record) for group, record in groups["record"].items()}
    larger = np.array(
        [_is_larger(jumps[one], jumps[other]) for one, other in pairs.iloc[:, :2].to_numpy()]
    )
    won, lost = (pairs[pairs["differs"].astype(bool) & (larger == sign)] for sign in (1, -1))
    if won.empty:
        return
    most = won.loc[won["difference"].idxmax()]
    winner, loser = groups.loc[most["first"]], groups.loc[most["second"]]
    by = _points_interval(most["difference"], most["low"], most["high"])
    always = (KERNEL_SIZE, PADDING)
    same = listed([f.title for f in others if f in always or levels[f.key].nunique() > 1])
    number = np.count_nonzero(larger)
    if number == 1:
        yield (
            f"At the same {same}, {winner['variant']} is significantly better "
            f"than {loser['variant']}, {by}."
        )
    else:
        yield (
            f"Of the {number} pairs of variants with the same {same}, the larger "
            f"stride is significantly better in {len(won)} and the smaller in {len(lost)}. The "
            f"largest difference of the first kind: {winner['variant']} is better than "
            f"{loser['variant']} {by}."
        )
    yield (
        "These two differ in more than stride: receptive field "
        f"{winner['receptive_field']:.0f} against {loser['receptive_field']:.0f} pixels, last map "
        f"{final_map_text(winner['record'].geometry)} against "
        f"{final_map_text(loser['record'].geometry)}, MACs "
        f"{count(winner['macs'])} against {count(loser['macs'])}."
    )


def _jump(record: RunRecord) -> Sequence[int] | None:
    """Return the jump of the last map: image pixels between neighbouring units, per axis."""
    return record.geometry[-1].get("jump") if record.geometry else None


def _is_larger(one: Sequence[int] | None, other: Sequence[int] | None) -> int:
    """Return 1 if `one` is larger on an axis and smaller on none, -1 if reversed, else 0."""
    if one is None or other is None:
        return 0
    return int(np.sign(np.sign(np.subtract(one, other)).sum()))


def _front(ranking: Ranking) -> str:
    metric = "validation" if ranking.by == VALIDATION else "test"
    names = list(ranking.groups.loc[chosen_front(ranking.groups, "macs"), "name"])
    tested = " Neighbours on it need not differ significantly." if len(names) > 1 else ""
    return (
        f"Pareto front of mean {metric} accuracy and MACs, fewest MACs first: {listed(names)}."
        f"{tested}"
    )


def _test_set(group: Series) -> Iterator[str]:
    accuracy, images = group["test_accuracy"], group["test_images"]
    if not images > 0:
        return
    if min(accuracy, 1 - accuracy) * images < _NORMAL_FROM:
        means = (
            f"an accuracy of {percent(accuracy)} on these may be "
            f"{percent_range(*image_interval(accuracy, images))} on all images of their kind "
            "(95 %, Wilson)"
        )
    else:
        error = percentage_points(sampling_error(accuracy, images))
        means = f"this sampling gives {percent(accuracy)} a standard error of up to {error}"
    yield (
        f"The {count(images)} test images are a sample too: {means}. That is not part of the "
        "intervals over seeds, and more seeds do not lower it."
    )


def _named(groups: DataFrame) -> str:
    shown = groups[["name", "test_accuracy"]].itertuples(index=False)
    return listed([f"{name} ({percent(accuracy)})" for name, accuracy in shown])


def _over(group: Series) -> str:
    return "in a single run" if group["runs"] == 1 else f"over {counted(group['runs'], 'seed')}"


def _cost(group: Series, speed: bool) -> str:
    is_known = speed and pd.notna(group[_SPEED])
    rate = f" and {count(group[_SPEED])} training samples/s" if is_known else ""
    return f"at {count(group['macs'])} MACs an image{rate}"
