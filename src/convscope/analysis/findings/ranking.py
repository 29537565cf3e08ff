"""Sentences on the chosen variant, its test accuracy, and which others differ or cost less.

The choice is made by validation accuracy. One variant is called better than another only if
`pairwise` finds their test accuracies, or speeds, significantly different.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from convscope.analysis.anova import levels_of
from convscope.analysis.answers import seed_noise
from convscope.analysis.choice import (
    VALIDATION,
    Family,
    Ranking,
    optimism,
    rank,
    setting_families,
    variant_families,
    with_result,
)
from convscope.analysis.citations import OPTIMISM, SIMULTANEOUS, TEST_SET_NOISE, TESTS, WILSON
from convscope.analysis.equivalence import MARGIN
from convscope.analysis.findings.caveats import speed_caveats
from convscope.analysis.findings.diagnostics import summarize_diagnostics
from convscope.analysis.findings.effects import summarize_effects
from convscope.analysis.findings.equivalence import summarize_equivalence
from convscope.analysis.findings.fairness import summarize_matched
from convscope.analysis.findings.finding import (
    BEST,
    Finding,
    difference_finding,
    pair_findings,
    within,
)
from convscope.analysis.findings.sequential import summarize_sequential
from convscope.analysis.findings.sources import summarize_sources
from convscope.analysis.findings.tuning import summarize_tuning
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import (
    BY_IMAGE,
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


def summarize(runs: DataFrame, margin: float = MARGIN) -> list[Finding]:
    """Return the findings on the variants of each setting, and on the settings of each variant.

    Args:
        runs: table from `frame`.
        margin: largest difference in test accuracy that is called equivalent, as a share.
    """
    if with_result(runs).empty:
        return [Finding("no_result", (), "No run with a test accuracy has finished.")]
    if runs["setting"].nunique() > 1:
        compared = [found for comparison in _comparisons(runs, margin) for found in comparison]
        return [
            *summarize_matched(runs),
            *summarize_tuning(runs),
            *compared,
            *_not_compared(runs),
        ]
    families = variant_families(runs)
    found = _of_variants(families[0], margin) if families else _only_variant(grouped(runs))
    return [*found, *summarize_tuning(runs)]


def headlines(runs: DataFrame) -> list[Finding]:
    """Return the first finding of each comparison of `summarize`, for runs of several settings.

    Args:
        runs: table from `frame`.
    """
    return [
        *summarize_matched(runs),
        *summarize_tuning(runs),
        *map(next, _comparisons(runs, MARGIN)),
        *_not_compared(runs),
    ]


def _comparisons(runs: DataFrame, margin: float) -> Iterator[Iterator[Finding]]:
    """Yield the findings of each comparison, with its title as their scope."""
    for family in variant_families(runs)[:_MOST]:
        yield within(family.title, _of_variants(family, margin))
    for family in setting_families(runs)[:_MOST]:
        yield within(family.title, _of_settings(family))


def _not_compared(runs: DataFrame) -> Iterator[Finding]:
    variants, settings = variant_families(runs), setting_families(runs)
    compared = [family.runs for family in (*variants, *settings)]
    groups = grouped(with_result(runs))
    others = groups[~groups.index.isin(pd.concat(compared)["group"] if compared else [])]
    if len(others):
        names = [f"{one.label}, {percent(one.test_accuracy)}" for one in others.itertuples()]
        sentence = (
            "Nothing to compare with, neither another variant of its setting nor another setting "
            f"on the same images: {listed(names, '; ')}."
        )
        yield Finding("not_compared", tuple(others["label"]), sentence)
    more = max(len(variants) - _MOST, 0) + max(len(settings) - _MOST, 0)
    if more:
        sentence = f"{counted(more, 'more comparison')} not described: select runs with --where."
        yield Finding("not_described", (), sentence)


def _only_variant(groups: DataFrame) -> Iterator[Finding]:
    one = groups[groups["test_accuracy"].notna()].iloc[0]
    estimate, low, high = one[["test_accuracy", "test_accuracy_low", "test_accuracy_high"]]
    over = _over(one) + (f" (95 % interval {percent_range(low, high)})" if one["runs"] > 1 else "")
    sentence = (
        f"{one['variant']} is the only variant with a result: {percent(estimate)} "
        f"{over}, {_cost(one, speed=True)}."
    )
    yield Finding(
        *("only_variant", (one["label"],), sentence, estimate, low, high),
        metric="test_accuracy",
        statistic="mean",
    )
    yield from _test_set(one)


def _of_settings(family: Family) -> Iterator[Finding]:
    ranking = rank(family.runs)
    yield from _best(ranking, family.runs, "setting", "")
    if ranking.repeated:
        yield from _others(ranking)
    else:
        sentence = "A test of significance needs two runs or more of each (repeat=5 trains five)."
        yield Finding("not_tested", tuple(ranking.groups["label"]), sentence)


def _of_variants(family: Family, margin: float) -> Iterator[Finding]:
    runs = family.runs
    ranking = rank(runs)
    speed = not speed_caveats(runs[runs["status"] == "finished"])
    yield from _best(ranking, runs, "variant", f", {_cost(ranking.best, speed)}")
    if ranking.repeated:
        yield from _others(ranking)
        yield from _cheaper(ranking, runs, speed)
        yield from summarize_equivalence(ranking, runs, margin)
        yield from summarize_sequential(runs)
        if len(ranking.single):
            sentence = (
                f"Not among these, as a single run shows no spread: {_named(ranking.single)}. "
                "repeat=5 trains five."
            )
            yield Finding("single_run", tuple(ranking.single["label"]), sentence)
        yield from _larger_strides(runs)
    else:
        sentence = (
            "Whether one variant is better than another is not known: that needs two seeds or more "
            "of two variants (repeat=5 trains five)."
        )
        yield Finding("not_tested", tuple(ranking.groups["label"]), sentence)
    yield _front(ranking)
    yield from summarize_effects(runs)
    yield from summarize_sources(runs)
    yield from summarize_diagnostics(ranking, runs)
    yield from _seed_noise(runs)
    yield from _test_set(ranking.best, ranking.others)


def _best(ranking: Ranking, runs: DataFrame, noun: str, cost: str) -> Iterator[Finding]:
    """Yield which group has the highest validation accuracy, and its test accuracy."""
    best, by_test = ranking.best, ranking.by != VALIDATION
    metric = "test accuracy" if by_test else "validation accuracy"
    repeated = " with two runs or more" if len(ranking.single) else ""
    among = f"{len(ranking.groups)} {noun}s{repeated}"
    highest = f"the highest {metric} of {among}, {percent(best[ranking.by])}"
    result = f"{percent(best['test_accuracy'])} {_over(best)}"
    low = high = None
    if ranking.repeated:
        bounds = simultaneous_intervals(runs[runs["group"].isin(ranking.groups.index)])
        low, high, number = bounds.loc[best.name, ["low", "high", "number"]]
        interval = percent_range(low, high)
        result += f" (95 % interval {interval}, adjusted for the choice among {number:.0f})"
    if len(ranking.tied) > 1:
        tied = ranking.groups.loc[ranking.tied]
        sentence = (
            f"{listed(list(tied['name']))} share {highest}. Of these, {best['name']} "
            f"{'takes the fewest MACs' if tied['macs'].nunique() > 1 else 'is listed first'}: "
            f"its test accuracy is {result}{cost}."
        )
    else:
        its = ":" if by_test else "; its test accuracy is"
        sentence = f"{best['name']} has {highest}{its} {result}{cost}."
    subjects = (best["label"],)
    yield Finding(
        *(BEST, subjects, sentence, best["test_accuracy"], low, high),
        metric="test_accuracy",
        statistic="mean",
        cites=SIMULTANEOUS if ranking.repeated else (),
    )
    if by_test:
        excess = optimism(runs) if ranking.repeated else None
        by = ""
        if excess is not None:
            size = f"about {percentage_points(excess)}" if excess >= 5e-5 else "under 0.01 points"
            by = f", here by {size} (bootstrap over seeds)"
        sentence = (
            "Validation accuracies are missing, so it was chosen by the very accuracy that is "
            f"reported: the highest of several is too high by chance{by}."
        )
        yield Finding(
            *("chosen_by_test", subjects, sentence, excess),
            metric="test_accuracy",
            statistic="optimism",
            cites=OPTIMISM,
        )


def _others(ranking: Ranking) -> Iterator[Finding]:
    """Yield how the test accuracies of the others differ from that of the chosen group."""
    worse, better = ranking.worse, ranking.better
    similar = ranking.not_different.sort_values("test_accuracy", ascending=False, kind="stable")
    of_pairs = ranking.groups["label"], str(ranking.best.name), "test_accuracy"
    if len(worse):
        margins = _margins(worse, len(ranking.others))
        sentence = f"In test accuracy it is significantly better than {margins}."
        yield from pair_findings("worse", sentence, worse, *of_pairs)
    if len(better):
        sentence = (
            f"In test accuracy {listed(list(better['name']))} "
            f"{'is' if len(better) == 1 else 'are'} significantly better than "
            f"{ranking.best['name']}, by {_points_range(better['difference'])}: validation and "
            "test do not agree."
        )
        yield from pair_findings("better", sentence, better, *of_pairs)
    if len(similar):
        sentence = f"Not significantly different from it (95 %): {_named(similar)}."
        yield from pair_findings("not_different", sentence, similar, *of_pairs)


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


def _cheaper(ranking: Ranking, runs: DataFrame, speed: bool) -> Iterator[Finding]:
    """Yield which groups cost less but do not differ significantly from the chosen one."""
    best = ranking.best
    similar = ranking.groups.loc[ranking.not_different.index]
    lighter = similar[similar["macs"] < best["macs"]]
    parts: dict[str, list[str]] = {}
    found: list[Finding] = []
    if len(lighter):
        fewest = lighter[lighter["macs"] == lighter["macs"].min()]
        ratio = fewest["macs"].iloc[0] / best["macs"]
        parts[listed(list(fewest["name"]))] = [
            f"{'takes' if len(fewest) == 1 else 'take'} the fewest MACs "
            f"({count(fewest['macs'].iloc[0])}, {share(ratio)} of {best['name']}'s)"
        ]
        found += [
            Finding("cheaper", (label, best["label"]), "", ratio, metric="macs", statistic="ratio")
            for label in fewest["label"]
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
            subjects = similar.loc[most.name, "label"], best["label"]
            found.append(
                Finding(
                    *("faster", subjects, "", ratio, low, high, most["p_value"]),
                    metric=_SPEED,
                    statistic="ratio",
                    cites=TESTS[most["method"]],
                )
            )
    if found:
        clauses = [f"{name} {' and '.join(what)}" for name, what in parts.items()]
        yield replace(found[0], sentence=f"Of these, {listed(clauses)}.")
        yield from found[1:]


def _larger_strides(runs: DataFrame) -> Iterator[Finding]:
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
        sentence = (
            f"At the same {same}, {winner['variant']} is significantly better "
            f"than {loser['variant']}, {by}."
        )
    else:
        sentence = (
            f"Of the {number} pairs of variants with the same {same}, the larger "
            f"stride is significantly better in {len(won)} and the smaller in {len(lost)}. The "
            f"largest difference of the first kind: {winner['variant']} is better than "
            f"{loser['variant']} {by}."
        )
    subjects = winner["label"], loser["label"]
    yield difference_finding("larger_stride", subjects, sentence, most, "test_accuracy")
    sentence = (
        "These two differ in more than stride: receptive field "
        f"{winner['receptive_field']:.0f} against {loser['receptive_field']:.0f} pixels, last map "
        f"{final_map_text(winner['record'].geometry)} against "
        f"{final_map_text(loser['record'].geometry)}, MACs "
        f"{count(winner['macs'])} against {count(loser['macs'])}."
    )
    yield Finding("more_than_stride", subjects, sentence)


def _jump(record: RunRecord) -> Sequence[int] | None:
    """Return the jump of the last map: image pixels between neighbouring units, per axis."""
    return record.geometry[-1].get("jump") if record.geometry else None


def _is_larger(one: Sequence[int] | None, other: Sequence[int] | None) -> int:
    """Return 1 if `one` is larger on an axis and smaller on none, -1 if reversed, else 0."""
    if one is None or other is None:
        return 0
    return int(np.sign(np.sign(np.subtract(one, other)).sum()))


def _front(ranking: Ranking) -> Finding:
    metric = "validation" if ranking.by == VALIDATION else "test"
    front = ranking.groups.loc[chosen_front(ranking.groups, "macs")]
    tested = " Neighbours on it need not differ significantly." if len(front) > 1 else ""
    sentence = (
        f"Pareto front of mean {metric} accuracy and MACs, fewest MACs first: "
        f"{listed(list(front['name']))}.{tested}"
    )
    return Finding("pareto_front", tuple(front["label"]), sentence, metric=ranking.by)


def _seed_noise(runs: DataFrame) -> Iterator[Finding]:
    """Yield how much of the variance between seeds is noise of the finite test set."""
    found = seed_noise(runs)
    if found is None:
        return
    share_, low, high = found.share()
    std = found.between_networks
    if std is None:
        sentence = (
            f"The variance of test accuracy between seeds ({counted(found.runs, 'run')}) is not "
            "larger than the noise of a test set of this size: how much the networks themselves "
            "differ cannot be estimated."
        )
    else:
        sentence = (
            f"Of the variance of test accuracy between seeds, {share(share_)} is noise of the "
            f"finite test set (95 % interval {share(low)} to {share(high)}): on average over "
            "variants, the networks of different seeds differ by a standard deviation of "
            f"{percentage_points(std)} on all images of the kind."
        )
    yield Finding(
        *("seed_noise", (), sentence, share_, low, high),
        metric="test_accuracy",
        statistic="share",
        cites=TEST_SET_NOISE,
    )


def _test_set(group: Series, tested: DataFrame | None = None) -> Iterator[Finding]:
    """Yield the error of the chosen group's accuracy that the sample of test images causes.

    Args:
        group: the chosen one.
        tested: its differences from the others, if any were tested.
    """
    accuracy, images = group["test_accuracy"], group["test_images"]
    if not images > 0:
        return
    low = high = None
    cites: tuple[str, ...] = ()
    if min(accuracy, 1 - accuracy) * images < _NORMAL_FROM:
        low, high = image_interval(accuracy, images)
        means = (
            f"an accuracy of {percent(accuracy)} on these may be {percent_range(low, high)} on all "
            "images of their kind (95 %, Wilson)"
        )
        estimate, statistic, cites = accuracy, "mean", WILSON
    else:
        error = sampling_error(accuracy, images)
        means = (
            f"this sampling gives {percent(accuracy)} a standard error of up to "
            f"{percentage_points(error)}"
        )
        estimate, statistic = error, "standard_error"
    paired = tested is not None and tested["method"].str.endswith(BY_IMAGE).any()
    sentence = (
        f"The {count(images)} test images are a sample too: {means}. That is not part of the "
        f"intervals {'of means ' if paired else ''}over seeds, and more seeds do not lower it."
    )
    if paired:
        sentence += " Differences between variants allow for the part of it that both do not share."
    yield Finding(
        *("test_set", (group["label"],), sentence, estimate, low, high),
        metric="test_accuracy",
        statistic=statistic,
        cites=cites,
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
