"""Pairwise tests of the variants of a setting, with a family-wise error of at most 5 %.

In at most 5 % of studies without true differences is any pair called different. Tukey's HSD, in
Kramer's form for unequal numbers of seeds (Tukey 1953, Kramer 1956), guarantees this if all
variants have the same variance over seeds. Where Bartlett's test (1937) rejects equal variances at
25 %, the level that Bancroft (1964) recommends for preliminary tests, a pair must be significant by
Games and Howell (1976) too.

Test accuracies are compared by image where the answers of all runs are known (`answers`). Then the
test images are a sample as well: what they add to the variance of a difference is added to that
over seeds. The critical value of the sum, squared, is the mean of those of its parts, weighted by
the parts (Banerjee 1960), which is conservative however few seeds there are. The variances over
seeds are compared in units of the noise that the answers of each variant show, and pooled in these
units. Where they seem unequal even so, they are moderated if each has 4 degrees of freedom, and
Games-Howell must find a pair too; it also must where Bartlett's test would find too little.

docs/decisions/tukey-and-games-howell.md and docs/decisions/paired-by-image.md give the reasons and
measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.special import chdtri, stdtrit

from convscope.analysis.answers import ACCURACY, image_statistics
from convscope.analysis.groups import hidden_std
from convscope.analysis.looks import Sample, samples_of
from convscope.analysis.pooling import bartlett, moderated, pooled
from convscope.analysis.studentized import critical_value, df_of, survival, survival_of_sum

LEVEL = 0.05
DOUBT = 0.25
"""Below this p-value of Bartlett's test, variances are not assumed to be equal."""

_FEWEST_DF, _FEWEST_DF_IN_ALL = 2, 16
"""Degrees of freedom, of each variance and of all, below which Bartlett's test finds too little."""
_MODERATED_FROM_DF = 4
"""Degrees of freedom of each variance from which unequal ones are moderated."""
_TOO_MANY_DF = 0.5
"""Welch's degrees of freedom are too many with few seeds: with two variants of three seeds, 6 % of
studies would find a false difference, and 5 % with half a degree less."""
_KNOWN = 1e5
"""Degrees of freedom of a variance that is known."""

TUKEY, GAMES_HOWELL, MODERATED = "Tukey HSD", "Games-Howell", "moderated"
BY_IMAGE = " by image"
"""Ends the name of a method that uses the answers to each image."""
_COLUMNS = [
    *("first", "second", "difference", "low", "high", "p_value", "differs", "method"),
    *("error", "df", "image_error", "share", "groups", "n", "wide_error", "wide_df"),
]

Array = NDArray[Any]


def sampling_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy p on n test images: sqrt(p (1 - p) / n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def image_interval(accuracy: float, images: int) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy on the population behind the test images.

    Wilson's (1927) interval is also valid near 0 and 1, where the standard error is too small or 0
    (Brown, Cai and DasGupta 2001).
    """
    z2 = float(chdtri(1, LEVEL)) / images
    middle = (accuracy + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (accuracy * (1 - accuracy) + z2 / 4)) / (1 + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def differences(
    runs: DataFrame,
    metric: str = "test_accuracy",
    only: Iterable[tuple[str, str]] | None = None,
    *,
    ratio: bool = False,
    level: float = LEVEL,
) -> DataFrame:
    """Compare all pairs of groups that differ only in their variant and have two finished runs.

    Args:
        runs: table from `frame`.
        metric: one of `metrics.measured`.
        only: pairs of groups, in any order, to restrict the table to. Intervals and p-values are
            still adjusted for all pairs.
        ratio: compare logarithms, for a positive metric such as a speed; the exponential of a
            difference is the ratio of the geometric means.
        level: family-wise error; smaller than 5 % where several metrics share a family.

    Returns:
        A row per pair: `first` and `second`, the groups, the first with the higher mean;
        `difference` of the means with its simultaneous interval, `low` to `high`, of confidence
        1 - `level`; `p_value`, adjusted for all pairs of the setting; `differs`, whether that is
        below `level`; `method`, `Tukey HSD` or `Games-Howell`: the one with the larger p-value if
        both were applied, or one of `Tukey HSD by image`, `moderated by image` and `Games-Howell by
        image` where answers are used; `error`, the standard error of the difference (of the
        logarithms' if `ratio`), and `df`, the degrees of freedom with which it has the critical
        value of this `level`; `image_error`, the part of `error` that comes from the sample of test
        images and that more seeds do not lower (`error`² is the sum of the squares of both parts);
        0 where answers are not used;
        `share`, what the pair's look may use of `level` in a sequential study, else 1. There a pair
        is compared on the seeds of the last look that both groups have reached, its interval has
        the look's level, and its p-value is divided by `share`; `groups`, the number of groups
        whose pairs share the level; `n`, the number of seeds of the pair (harmonic mean); and
        `wide_error` and `wide_df`, those of the method with the wider interval: where both methods
        were applied, both must find a difference.
    """
    wanted = None if only is None else list(only)
    return _joined(
        _at_look(sample, _compare(samples, *_pairs(samples, wanted), level * sample.share))
        for sample in samples_of(runs)
        for samples in _settings(sample.runs, metric, ratio=ratio)
    )


def differences_from(
    runs: DataFrame,
    group: str,
    others: Iterable[str],
    metric: str = "test_accuracy",
    *,
    ratio: bool = False,
    level: float = LEVEL,
) -> DataFrame:
    """Compare other groups of a setting with one group, as `differences` does.

    Args:
        runs: table from `frame`.
        group: id of the reference group.
        others: ids of the groups to compare with it.
        metric: as for `differences`.
        ratio: as for `differences`.
        level: as for `differences`.

    Returns:
        The columns of `differences` except `first`; indexed by the other group, highest mean first.
        `difference` is positive if the other group's mean is higher than that of `group`.
    """
    tables = []
    for sample in samples_of(runs):
        for samples in _settings(sample.runs, metric, ratio=ratio):
            if group in samples.ids:
                is_other = (samples.ids != group) & np.isin(samples.ids, list(others))
                i, j = np.flatnonzero(is_other), np.flatnonzero(samples.ids == group)
                pairs = _compare(samples, i, np.repeat(j, len(i)), level * sample.share)
                tables.append(_at_look(sample, pairs))
    found = _joined(tables).sort_values("difference", ascending=False, kind="stable")
    return found.set_index("first").astype({"differs": bool})


def simultaneous_intervals(runs: DataFrame, metric: str = "test_accuracy") -> DataFrame:
    """Return simultaneous 95 % intervals of all means of a setting (Bonferroni, Dunn 1961).

    They cover all means in 95 % of studies, so that of a group chosen by its results as well. They
    use the pooled variance; where variances seem unequal, the group's own one if that is wider.

    Returns:
        A row per group with two finished runs or more, indexed by group: `low`, `high`, and
        `number` of such groups in the setting.
    """
    tables = [DataFrame(columns=["low", "high", "number"])]
    for sample in samples_of(runs):
        for samples in _settings(sample.runs, metric):
            variance, df = samples.variance, samples.n - 1
            chance = 1 - LEVEL * sample.share / (2 * len(samples.ids))
            half = stdtrit(df.sum(), chance) * np.sqrt(pooled(variance, df) / samples.n)
            if bartlett(variance, df) < DOUBT:
                own = stdtrit(df, chance) * np.sqrt(variance / samples.n)
                half = np.maximum(half, own)
            bounds = {"low": samples.mean - half, "high": samples.mean + half}
            table = DataFrame(bounds | {"number": len(samples.ids)}, index=samples.ids)
            tables.append(table[sample.is_last_look_of(table.index)])
    return pd.concat(tables[1:] or tables)


def _joined(tables: Iterable[DataFrame]) -> DataFrame:
    found = [table for table in tables if len(table)]
    return pd.concat(found, ignore_index=True) if found else DataFrame(columns=_COLUMNS)


def _at_look(sample: Sample, pairs: DataFrame) -> DataFrame:
    """Return the pairs that are compared at this look; p-values allow for the other looks."""
    if sample.look is None:
        return pairs
    pairs = pairs[sample.is_last_look_of_both(pairs)]
    p_value = np.minimum(pairs["p_value"] / sample.share, 1)
    return pairs.assign(p_value=p_value, share=sample.share)


@dataclass(frozen=True)
class _Samples:
    """Groups, highest mean first.

    Args:
        ids, n, mean, variance: id, number of runs, mean and variance over seeds, (groups,) each.
        noise: (groups,) variances to which those over seeds are compared: `ImageStatistics.noise`,
            or 1 where answers are not used.
        image: `ImageStatistics.image`; None where answers are not used.
    """

    ids: Array
    n: Array
    mean: Array
    variance: Array
    noise: Array
    image: Array | None


def _settings(runs: DataFrame, metric: str, *, ratio: bool = False) -> Iterator[_Samples]:
    """Yield the groups of each setting that have two finished runs or more."""
    measured = runs[(runs["status"] == "finished") & runs[metric].notna()]
    if ratio:
        measured = measured[measured[metric] > 0]
        measured = measured.assign(**{metric: np.log(measured[metric])})
    for _, members in measured.groupby("setting", sort=False):
        stats = members.groupby("group", sort=False)[metric].agg(["size", "mean", "var"])
        stats = stats[stats["size"] > 1].sort_values("mean", ascending=False, kind="stable")
        if len(stats):
            n, mean, variance = stats.to_numpy(float).T
            rounding = _rounding(members, metric)
            variance = np.maximum(variance, rounding)
            noise, image = np.ones(len(n)), None
            if metric == ACCURACY and not ratio:
                known = image_statistics(members, list(stats.index))
                if known is not None:
                    noise, image = np.maximum(known.noise, rounding), known.image
            yield _Samples(stats.index.to_numpy(), n, mean, variance, noise, image)


def _rounding(runs: DataFrame, metric: str) -> float:
    """Return the variance that rounding hides; each number is rounded at least to float32."""
    float32 = np.finfo(np.float32).eps * (runs[metric].abs().max() or 1) / math.sqrt(12)
    return float((hidden_std(metric, runs).max() or float32) ** 2)


def _pairs(samples: _Samples, only: list[tuple[str, str]] | None) -> tuple[Array, Array]:
    """Return the indices of the first and second groups of all pairs, the higher mean first."""
    if only is None:
        return np.triu_indices(len(samples.ids), 1)
    index = {group: number for number, group in enumerate(samples.ids)}
    known = {
        tuple(sorted((index[one], index[other])))
        for one, other in only
        if one != other and one in index and other in index
    }
    pairs = np.array(sorted(known), int).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _compare(samples: _Samples, i: Array, j: Array, level: float) -> DataFrame:
    """Compare groups `i` with groups `j`; the docstring of the module tells how."""
    if not len(i):
        return DataFrame(columns=_COLUMNS).astype({"differs": bool})
    difference = samples.mean[i] - samples.mean[j]
    groups, n, df = len(samples.ids), samples.n, samples.n - 1
    image = np.zeros(len(i)) if samples.image is None else samples.image[i, j]

    def test(variance: Array, df: Array) -> Array:
        """Return half the interval's length, the p-value, the error and its df of each pair.

        Args:
            variance: of the difference over seeds, (pairs,).
            df: its degrees of freedom, (pairs,).
        """
        size = np.abs(difference)
        squared, critical = variance + image, critical_value(groups, df, level)
        # The studentized range is in standard errors of a mean, not of a difference.
        error = np.sqrt(squared / 2)
        if image.any():
            # The images' part is known well, as if it had infinitely many degrees of freedom.
            known = critical_value(groups, _KNOWN, level)
            critical = np.sqrt((critical**2 * variance + known**2 * image) / squared)
            p_value = survival_of_sum(size, groups, variance, df, image)
            df = np.where(image > 0, df_of(critical, groups, level), df)
        else:
            p_value = survival(size / error, groups, df)
        return np.array([critical * error, p_value, np.sqrt(squared), df])

    def of_pairs(variance: Array) -> tuple[Array, Array]:
        """Return the variances of both means of each pair."""
        of_means = variance * samples.noise / n
        return of_means[i], of_means[j]

    scaled = samples.variance / samples.noise
    chance = bartlett(scaled, df)
    seems_equal = chance >= DOUBT
    if samples.image is None:
        is_certain, suffix = seems_equal, ""
    else:
        is_certain = seems_equal and df.min() >= _FEWEST_DF and df.sum() >= _FEWEST_DF_IN_ALL
        suffix = BY_IMAGE
    name, common = TUKEY, (np.full(groups, pooled(scaled, df)), np.full(groups, df.sum()))
    if samples.image is not None and not seems_equal and df.min() >= _MODERATED_FROM_DF:
        name, common = MODERATED, moderated(scaled, df)
    first, second = of_pairs(common[0])
    tested = test(first + second, np.minimum(common[1][i], common[1][j]))
    method, wide = np.full(len(i), name + suffix, object), tested[2:]
    if not is_certain:
        # Each group's own variance, with the degrees of freedom of each pair (Welch 1938).
        first, second = of_pairs(scaled)
        welch_df = (first + second) ** 2 / (first**2 / df[i] + second**2 / df[j])
        if samples.image is not None:
            welch_df = np.maximum(welch_df - _TOO_MANY_DF, np.minimum(df[i], df[j]))
        welch = test(first + second, welch_df)
        wide = np.where(welch[0] > tested[0], welch, tested)[2:]
        is_larger = welch[1] > tested[1]
        tested = np.where(is_larger, welch, tested)
        method[is_larger] = GAMES_HOWELL + suffix
    half, p_value, error, of_error = tested
    values = (
        *(samples.ids[i], samples.ids[j], difference, difference - half, difference + half),
        *(p_value, p_value < level, method, error, of_error, np.sqrt(image), np.ones(len(i))),
        *(np.full(len(i), groups), 2 / (1 / n[i] + 1 / n[j]), *wide),
    )
    return DataFrame(dict(zip(_COLUMNS, values, strict=True)))
