"""What wins, by how much over what, at what cost, and what cannot be told apart from it.

One variant is called better than another only where `differences` says that they differ.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pandas import DataFrame, Series

from convscope.compare.differences import differences, sampling_error
from convscope.compare.groups import grouped
from convscope.compare.pareto import front
from convscope.compare.words.influence import influences
from convscope.compare.words.phrases import between, listed, points, share, times
from convscope.compare.words.stride import larger_strides
from convscope.tables import count, numbered, percent


def verdict(runs: DataFrame) -> list[str]:
    """Sentences on the runs of one setting; a paragraph per setting, named first, where several.

    Args:
        runs: `frame`'s table.
    """
    settings = list(runs.groupby("setting", sort=False))
    if len(settings) > 1:
        return [f"{setting}: {' '.join(_sentences(of_it))}" for setting, of_it in settings]
    return list(_sentences(runs))


def _sentences(runs: DataFrame) -> Iterator[str]:
    if not ((runs["status"] == "finished") & runs["test_accuracy"].notna()).any():
        yield "No run with a test accuracy has finished."
        return
    groups = grouped(runs)
    ranked = groups[groups["test_accuracy"].notna()].sort_values(
        "test_accuracy", ascending=False, kind="stable"
    )
    repeated, single = ranked[ranked["runs"] > 1], ranked[ranked["runs"] == 1]
    if len(ranked) == 1:
        yield f"{_name(ranked.iloc[0])} alone has a result: {_result(ranked.iloc[0])}."
    elif len(repeated) < 2:
        yield from _unrepeated(ranked)
    else:
        pairs = differences(runs)
        yield from _compared(pairs, repeated, among_all=single.empty)
        if len(single):
            yield f"Of {_named(single)} there is a single run, too few to compare."
        yield from larger_strides(pairs, runs)
    if len(ranked) > 1:
        yield from _fronts(ranked)
        yield from influences(runs)
    yield _test_set(ranked.iloc[0])


def _unrepeated(ranked: DataFrame) -> Iterator[str]:
    best = ranked.iloc[0]
    yield (
        f"{_name(best)} has the highest test accuracy of {len(ranked)} variants, {_result(best)}; "
        "whether it is better than another cannot be said before two of them have two seeds or "
        "more (repeat=5 trains five)."
    )


def _compared(pairs: DataFrame, groups: DataFrame, among_all: bool) -> Iterator[str]:
    best = groups.iloc[0]
    # The best one's differences to all others, in their order.
    pairs = pairs[pairs["first"] == best.name].set_index("second")
    beaten, alike = pairs[pairs["differs"]], groups.loc[pairs.index[~pairs["differs"]]]
    among = "" if among_all else "Among those with two seeds or more, "
    yield f"{among}{_name(best)} has the highest test accuracy, {_result(best)}."
    if len(beaten):
        yield _margins(groups["variant"], beaten, len(pairs))
    if len(alike):
        hidden = float((pairs["high"] - pairs["difference"]).median())
        yield (
            f"It cannot be told apart from {_named(alike)}: with these seeds, differences below "
            f"about {points(hidden)} do not show."
        )
        yield from _bargains(best, alike)


def _margins(name: Series, beaten: DataFrame, others: int) -> str:
    next_best, last = beaten.iloc[0], beaten.iloc[-1]
    by = (
        f"by {points(next_best['difference'])} (95 % interval {100 * next_best['low']:.2f} to "
        f"{100 * next_best['high']:.2f}) than {name[next_best.name]}"
    )
    if len(beaten) == 1:
        return f"It is better {by}."
    of = "all" if len(beaten) == others else f"{len(beaten)} of the"
    return (
        f"It is better than {of} {others} others: {by}, the best of them, and by "
        f"{points(last['difference'])} than {name[last.name]}, the worst."
    )


def _bargains(best: Series, alike: DataFrame) -> Iterator[str]:
    """Those that are as good as the best for all that is known, and cost less."""
    lighter = alike[alike["macs"] < best["macs"]]
    faster = alike[alike["train_samples_per_sec"] > best["train_samples_per_sec"]]
    parts: dict[str, list[str]] = {}
    if len(lighter):
        one = lighter.loc[lighter["macs"].idxmin()]
        parts.setdefault(_name(one), []).append(
            f"takes the fewest MACs ({count(one['macs'])}, "
            f"{share(one['macs'] / best['macs'])} of {_name(best)}'s)"
        )
    if len(faster):
        one = faster.loc[faster["train_samples_per_sec"].idxmax()]
        factor = one["train_samples_per_sec"] / best["train_samples_per_sec"]
        parts.setdefault(_name(one), []).append(
            f"trains fastest ({count(one['train_samples_per_sec'])} samples/s, {times(factor)} "
            f"{_name(best)}'s)"
        )
    if parts:
        phrases = [f"{name} {' and '.join(does)}" for name, does in parts.items()]
        yield f"Of these, {listed(phrases)}."


def _fronts(groups: DataFrame) -> Iterator[str]:
    by_macs = [groups.loc[one, "variant"] for one in front(groups, "macs")]
    by_rate = [groups.loc[one, "variant"] for one in front(groups, "train_samples_per_sec")]
    yield (
        "No variant has both a higher mean accuracy and fewer MACs than these, the Pareto front, "
        f"cheapest first: {listed(by_macs)}."
    )
    if by_rate:
        same = "they are the same" if by_rate == by_macs else listed(by_rate)
        yield f"With more samples/s in place of fewer MACs, fastest first: {same}."


def _test_set(best: Series) -> str:
    error = sampling_error(best["test_accuracy"], best["test_images"])
    return (
        f"The {count(best['test_images'])} test images are a sample too: at "
        f"{percent(best['test_accuracy'])} that alone is a standard error of {points(error)}, "
        "which more seeds do not lower."
    )


def _name(group: Series) -> str:
    return str(group["variant"])


def _named(groups: DataFrame) -> str:
    return listed(
        [f"{_name(one)} ({percent(one['test_accuracy'])})" for _, one in groups.iterrows()]
    )


def _result(group: Series) -> str:
    """Accuracy, its interval, and what it costs."""
    mean, rate = percent(group["test_accuracy"]), group["train_samples_per_sec"]
    cost = f"at {count(group['macs'])} MACs an image"
    if pd.notna(rate):
        cost += f" and {count(rate)} training samples/s"
    if group["runs"] == 1:
        return f"{mean} in a single run, {cost}"
    interval = between(group["test_accuracy_low"], group["test_accuracy_high"])
    return f"{mean} over {numbered(group['runs'], 'seed')} (95 % interval {interval}), {cost}"
