"""Which variant is chosen, how it does on the test set, and which others do as well for less.

The choice is made by validation accuracy. One variant is called better than another only where
`differences` says that their test accuracies, or speeds, differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame, Series

from convscope.analysis.findings.effects import influences
from convscope.analysis.findings.speed import obstacles
from convscope.analysis.findings.stride import larger_strides
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import (
    differences_from,
    image_interval,
    sampling_error,
    simultaneous_intervals,
)
from convscope.analysis.pareto import chosen_front
from convscope.analysis.ranking import (
    VALIDATION,
    Choice,
    Family,
    choose,
    setting_families,
    variant_families,
    with_result,
)
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
"""Settings, and variants in several of them, that get a paragraph each."""
_NORMAL_FROM = 10
"""Right and wrong answers from which a standard error describes an accuracy."""


def verdict(runs: DataFrame) -> list[str]:
    """Sentences on these runs: of one setting a sentence each, of several a paragraph per setting.

    Settings of one variant are compared too, in a line per variant.

    Args:
        runs: `frame`'s table.
    """
    if with_result(runs).empty:
        return ["No run with a test accuracy has finished."]
    variants, settings = variant_families(runs), setting_families(runs)
    if runs["setting"].nunique() == 1:
        return list(_of_variants(variants[0])) if variants else list(_only(grouped(runs)))
    said = [f"{one.title}: {' '.join(_of_variants(one))}" for one in variants[:_MOST]]
    said += [f"{one.title}: {' '.join(_of_settings(one))}" for one in settings[:_MOST]]
    return [*said, *_left_out(runs, variants, settings)]


def headlines(runs: DataFrame) -> list[str]:
    """The first sentence of each paragraph of `verdict`, where it has paragraphs."""
    variants, settings = variant_families(runs), setting_families(runs)
    said = [f"{one.title}: {next(_of_variants(one))}" for one in variants[:_MOST]]
    said += [f"{one.title}: {next(_of_settings(one))}" for one in settings[:_MOST]]
    return [*said, *_left_out(runs, variants, settings)]


def _left_out(runs: DataFrame, variants: list[Family], settings: list[Family]) -> Iterator[str]:
    compared = [family.runs for family in (*variants, *settings)]
    groups = grouped(with_result(runs))
    lonely = groups[~groups.index.isin(pd.concat(compared)["group"] if compared else [])]
    if len(lonely):
        names = [f"{one['label']}, {percent(one['test_accuracy'])}" for _, one in lonely.iterrows()]
        yield (
            "Nothing to compare with, neither another variant of its setting nor another setting "
            f"on the same images: {listed(names, '; ')}."
        )
    more = max(len(variants) - _MOST, 0) + max(len(settings) - _MOST, 0)
    if more:
        yield f"{counted(more, 'more comparison')} not described: choose some with --where."


def _only(groups: DataFrame) -> Iterator[str]:
    (one,) = (group for _, group in groups[groups["test_accuracy"].notna()].iterrows())
    interval = percent_range(one["test_accuracy_low"], one["test_accuracy_high"])
    over = _over(one) + (f" (95 % interval {interval})" if one["runs"] > 1 else "")
    yield (
        f"{one['variant']} is the only variant with a result: {percent(one['test_accuracy'])} "
        f"{over}, {_cost(one, speed=True)}."
    )
    yield from _test_set(one)


def _of_settings(family: Family) -> Iterator[str]:
    choice = choose(grouped(family.runs))
    yield from _chosen(choice, family.runs, "setting", "")
    if choice.repeated:
        yield from _tested(choice, family.runs, brief=True)
    else:
        yield "Significance needs two runs or more of each (repeat=5 trains five)."


def _of_variants(family: Family) -> Iterator[str]:
    runs = family.runs
    groups = grouped(runs)
    choice = choose(groups)
    speed = not obstacles(runs[runs["status"] == "finished"])
    yield from _chosen(choice, runs, "variant", f", {_cost(choice.best, speed)}")
    if choice.repeated:
        yield from _tested(choice, runs)
        yield from _bargains(choice, runs, speed)
        if len(choice.single):
            yield (
                f"Not among these, as a single run shows no spread: {_named(choice.single)}. "
                "repeat=5 trains five."
            )
        yield from larger_strides(runs)
    else:
        yield (
            "Whether one variant is better than another is not known: that needs two seeds or more "
            "of two variants (repeat=5 trains five)."
        )
    yield _front(choice)
    yield from influences(runs)
    yield from _test_set(choice.best)


def _chosen(choice: Choice, runs: DataFrame, noun: str, cost: str) -> Iterator[str]:
    """What has the highest validation accuracy, and its accuracy on the test set."""
    best, number = choice.best, len(choice.ranked)
    by_test = choice.by != VALIDATION
    metric = "test accuracy" if by_test else "validation accuracy"
    among = f"{number} {noun}s{' with two runs or more' if len(choice.single) else ''}"
    highest = f"the highest {metric} of {among}, {percent(best[choice.by])}"
    result = f"{_result(choice, runs)}{cost}"
    if len(choice.tied) > 1:
        tied = choice.ranked.loc[choice.tied]
        yield (
            f"{listed(list(tied['name']))} share {highest}. Of these, {best['name']} "
            f"{'takes the fewest MACs' if tied['macs'].nunique() > 1 else 'is listed first'}: "
            f"its test accuracy is {result}."
        )
    elif by_test:
        yield f"{best['name']} has {highest}: {result}."
    else:
        yield f"{best['name']} has {highest}; its test accuracy is {result}."
    if by_test:
        yield (
            "Validation accuracies are missing, so it was chosen by the very accuracy that is "
            "reported: the highest of several is too high by chance."
        )


def _result(choice: Choice, runs: DataFrame) -> str:
    best = choice.best
    mean = f"{percent(best['test_accuracy'])} {_over(best)}"
    if not choice.repeated:
        return mean
    bounds = simultaneous_intervals(runs[runs["group"].isin(choice.ranked.index)])
    low, high, number = bounds.loc[best.name, ["low", "high", "number"]]
    interval = percent_range(low, high)
    return f"{mean} (95 % interval {interval}, adjusted for the choice among {number:.0f})"


def _tested(choice: Choice, runs: DataFrame, *, brief: bool = False) -> Iterator[str]:
    """The others' test accuracies, seen from the chosen one's."""
    best = choice.best
    found = differences_from(runs, str(best.name), choice.ranked.index).assign(
        name=choice.ranked["name"], test_accuracy=choice.ranked["test_accuracy"]
    )
    worse = found[found["differs"] & (found["difference"] < 0)]
    better = found[found["differs"] & (found["difference"] > 0)]
    alike = found[~found["differs"]].sort_values("test_accuracy", ascending=False, kind="stable")
    if len(worse):
        yield f"In test accuracy it is significantly better than {_margins(worse, len(found))}."
    if len(better):
        yield (
            f"In test accuracy {listed(list(better['name']))} "
            f"{'is' if len(better) == 1 else 'are'} significantly better than {best['name']}, by "
            f"{_by(better['difference'].abs())}: validation and test do not agree."
        )
    if len(alike):
        least = _by(alike["high"] - alike["difference"])
        need = f" A significant difference would have to exceed {least}: these may differ by less."
        yield f"Not significantly different from it (95 %): {_named(alike)}.{'' if brief else need}"


def _margins(worse: DataFrame, others: int) -> str:
    size = -worse["difference"]
    nearest, farthest = size.idxmin(), size.idxmax()
    by = (
        f"by {percentage_points(size[nearest])} "
        f"(95 % interval {-100 * worse.loc[nearest, 'high']:.2f} to "
        f"{-100 * worse.loc[nearest, 'low']:.2f})"
    )
    name = worse["name"]
    if len(worse) == 1:
        return f"{name[nearest]}, {by}"
    of = f"{len(worse)} of the {others}"
    if len(worse) == others:
        of = "both" if others == 2 else f"all {others}"
    return (
        f"{of} others: {by} than {name[nearest]}, the nearest of them, and by "
        f"{percentage_points(size[farthest])} than {name[farthest]}, the farthest"
    )


def _by(sizes: Series) -> str:
    """One difference of accuracies, or the range of several."""
    low, high = f"{100 * sizes.min():.2f}", f"{100 * sizes.max():.2f}"
    return f"{high} points" if low == high else f"{low} to {high} points (by pair)"


def _bargains(choice: Choice, runs: DataFrame, speed: bool) -> Iterator[str]:
    """Those that do not differ significantly from the chosen one, and cost less."""
    best = choice.best
    found = differences_from(runs, str(best.name), choice.ranked.index)
    alike = choice.ranked.loc[found.index[~found["differs"]]]
    lighter = alike[alike["macs"] < best["macs"]]
    parts: dict[str, list[str]] = {}
    if len(lighter):
        fewest = lighter[lighter["macs"] == lighter["macs"].min()]
        takes = "takes" if len(fewest) == 1 else "take"
        parts.setdefault(listed(list(fewest["name"])), []).append(
            f"{takes} the fewest MACs ({count(fewest['macs'].iloc[0])}, "
            f"{share(fewest['macs'].iloc[0] / best['macs'])} of {best['name']}'s)"
        )
    if speed and len(alike):
        rates = differences_from(runs, str(best.name), alike.index, _SPEED, ratio=True)
        faster = rates[rates["differs"] & (rates["difference"] > 0)]
        if len(faster):
            most = faster["difference"].idxmax()
            ratio, low, high = (math.exp(faster.loc[most, end]) for end in _INTERVAL)
            parts.setdefault(str(alike.loc[most, "name"]), []).append(
                f"trains {times(ratio)} as fast as {best['name']} "
                f"(95 % interval {low:.2f} to {high:.2f})"
            )
    if parts:
        does = [f"{name} {' and '.join(what)}" for name, what in parts.items()]
        yield f"Of these, {listed(does)}."


_INTERVAL = ("difference", "low", "high")


def _front(choice: Choice) -> str:
    metric = "validation" if choice.by == VALIDATION else "test"
    names = [choice.ranked.loc[one, "name"] for one in chosen_front(choice.ranked, "macs")]
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
        low, high = image_interval(accuracy, images)
        means = (
            f"an accuracy of {percent(accuracy)} on these may be {percent_range(low, high)} on all "
            "images of their kind (95 %, Wilson)"
        )
    else:
        error = percentage_points(sampling_error(accuracy, images))
        means = f"that alone gives {percent(accuracy)} a standard error of up to {error}"
    yield (
        f"The {count(images)} test images are a sample too: {means}. That is not part of the "
        "intervals over seeds, and more seeds do not lower it."
    )


def _named(groups: DataFrame) -> str:
    return listed(
        [f"{one['name']} ({percent(one['test_accuracy'])})" for _, one in groups.iterrows()]
    )


def _over(group: Series) -> str:
    return "in a single run" if group["runs"] == 1 else f"over {counted(group['runs'], 'seed')}"


def _cost(group: Series, speed: bool) -> str:
    cost = f"at {count(group['macs'])} MACs an image"
    return (
        f"{cost} and {count(group[_SPEED])} training samples/s"
        if (speed and pd.notna(group[_SPEED]))
        else cost
    )
