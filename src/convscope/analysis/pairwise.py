"""Which variants differ: all pairs of a setting at once, so that "better" is rarely said by chance.

Among pairs without any true difference, one or more is called different in at most 5 % of studies
(the family-wise error). Tukey's HSD, in Kramer's form for unequal numbers of seeds (Tukey 1949,
Kramer 1956), holds to that where all variants vary alike from seed to seed. Where Bartlett's test
(1937) doubts that at the 25 % level that Bancroft (1964) advises for preliminary tests, a pair must
satisfy Games and Howell (1976) as well.

Why both, and what was measured: docs/decisions/tukey-and-games-howell.md.
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
from scipy.special import chdtrc, chdtri, stdtrit

from convscope.analysis.groups import hidden_std
from convscope.analysis.studentized import critical, survival
from convscope.metrics import METRICS

LEVEL = 0.05
DOUBT = 0.25
"""Below this chance of Bartlett's test, equal spreads are not taken for granted."""

TUKEY, GAMES_HOWELL = "Tukey HSD", "Games-Howell"
_COLUMNS = ["first", "second", "difference", "low", "high", "p_value", "differs", "method"]

Array = NDArray[Any]


def sampling_error(accuracy: float, images: int) -> float:
    """Standard error of an accuracy because its test images are a sample: sqrt(p (1 - p) / n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def image_interval(accuracy: float, images: int) -> tuple[float, float]:
    """95 % interval for the accuracy on all images of which the test images are a sample.

    Wilson's (1927): it holds near 0 and 1 too, where the standard error is too small or 0 (Brown,
    Cai and DasGupta 2001).
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
) -> DataFrame:
    """Compare all pairs of groups that differ in their variant only and have two finished runs.

    Args:
        runs: `frame`'s table.
        metric: one of `metrics.measured`.
        only: pairs of groups, in any order, to leave the others out of the table. Its intervals and
            p-values are adjusted for all pairs all the same.
        ratio: compare the logarithms of a positive metric, a speed: the exponential of a difference
            is how many times the second's mean the first's is.

    Returns:
        A row per pair: `first` and `second`, their groups, the first with the higher mean;
        `difference` of the means and its simultaneous 95 % interval, `low` to `high`; `p_value`,
        adjusted for all pairs of the setting; `differs` where that is below 5 %; `method`,
        `Tukey HSD` or `Games-Howell`: of the two, where both were asked, the less sure one.
    """
    wanted = None if only is None else list(only)
    tables = [
        _compare(samples, *_pairs(samples, wanted))
        for samples in _settings(runs, metric, ratio=ratio)
    ]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else DataFrame(columns=_COLUMNS)


def differences_from(
    runs: DataFrame,
    group: str,
    others: Iterable[str],
    metric: str = "test_accuracy",
    *,
    ratio: bool = False,
) -> DataFrame:
    """Compare other groups of a setting with one group, as `differences` does.

    Returns:
        As from `differences`, without `first` and `second`: indexed by the other group, highest
        mean first; `difference` is above 0 where the other's mean is higher.
    """
    for samples in _settings(runs, metric, ratio=ratio):
        if group in samples.ids:
            is_other = (samples.ids != group) & np.isin(samples.ids, list(others))
            i, j = np.flatnonzero(is_other), np.flatnonzero(samples.ids == group)
            return _compare(samples, i, np.repeat(j, len(i))).set_index("first")
    return DataFrame(columns=_COLUMNS).set_index("first").astype({"differs": bool})


def simultaneous_intervals(runs: DataFrame, metric: str = "test_accuracy") -> DataFrame:
    """Return 95 % intervals of all means of a setting at once (Bonferroni, Dunn 1961).

    In 95 % of studies all of them hold, and so does that of a group which was chosen by its
    results. They share one variance, or where that is doubted each has its own, if that is wider.

    Returns:
        Indexed by group, those with two finished runs or more: `low`, `high`, and `number` of
        groups in the setting.
    """
    tables = [DataFrame(columns=["low", "high", "number"])]
    for samples in _settings(runs, metric):
        chance = 1 - LEVEL / (2 * len(samples.ids))
        half = stdtrit(samples.df, chance) * np.sqrt(samples.pooled / samples.n)
        if len(samples.ids) > 1 and _equal_spread(samples) < DOUBT:
            own = stdtrit(samples.n - 1, chance) * np.sqrt(samples.variance / samples.n)
            half = np.maximum(half, own)
        bounds = {"low": samples.mean - half, "high": samples.mean + half}
        tables.append(DataFrame(bounds | {"number": len(samples.ids)}, index=samples.ids))
    return pd.concat(tables[1:] or tables)


@dataclass(frozen=True)
class _Samples:
    """Groups, highest mean first: number of runs, mean and variance of each, shape (groups,)."""

    ids: Array
    n: Array
    mean: Array
    variance: Array

    @property
    def df(self) -> float:
        """Degrees of freedom of the variance that all groups share."""
        return float((self.n - 1).sum())

    @property
    def pooled(self) -> float:
        return float(((self.n - 1) * self.variance).sum() / self.df)


def _settings(runs: DataFrame, metric: str, *, ratio: bool = False) -> Iterator[_Samples]:
    """The groups of each setting that have two runs or more."""
    measured = runs[(runs["status"] == "finished") & runs[metric].notna()]
    if ratio:
        measured = measured[measured[metric] > 0]
        measured = measured.assign(**{metric: np.log(measured[metric])})
    for _, of_it in measured.groupby("setting", sort=False):
        of = of_it.groupby("group", sort=False)[metric].agg(["size", "mean", "var"])
        of = of[of["size"] > 1].sort_values("mean", ascending=False, kind="stable")
        if len(of):
            n, mean, variance = (of[name].to_numpy(float) for name in ("size", "mean", "var"))
            variance = np.maximum(variance, _rounding(of_it, metric))
            yield _Samples(of.index.to_numpy(), n, mean, variance)


def _rounding(runs: DataFrame, metric: str) -> float:
    """Variance that rounding hides where seeds agree to the last digit.

    An accuracy is a whole number of images, other metrics are 32-bit floats.
    """
    images = METRICS[metric].images
    if images is not None and (fewest := runs[images].min()) > 0:
        return float(hidden_std(fewest) ** 2)
    step = np.finfo(np.float32).eps * (runs[metric].abs().max() or 1)
    return float(step**2 / 12)


def _pairs(samples: _Samples, only: list[tuple[str, str]] | None) -> tuple[Array, Array]:
    """Indices of both groups of each pair, that with the higher mean first."""
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


def _compare(samples: _Samples, i: Array, j: Array) -> DataFrame:
    """Compare the groups `i` with the groups `j`: Tukey's HSD, and Games-Howell in doubt."""
    if not len(i):
        return DataFrame(columns=_COLUMNS).astype({"differs": bool})
    difference = samples.mean[i] - samples.mean[j]
    groups, n = len(samples.ids), samples.n

    def test(error: Array, df: Array | float) -> tuple[Array, Array]:
        half = critical(groups, df, LEVEL) * error
        return half, survival(np.abs(difference) / error, groups, df)

    half, p_value = test(np.sqrt(samples.pooled / 2 * (1 / n[i] + 1 / n[j])), samples.df)
    method = np.full(len(i), TUKEY, object)
    if _equal_spread(samples) < DOUBT:
        # Each pair has its own variance and degrees of freedom (Welch 1938).
        of_mean = samples.variance / n
        both = of_mean[i] + of_mean[j]
        df = both**2 / (of_mean[i] ** 2 / (n[i] - 1) + of_mean[j] ** 2 / (n[j] - 1))
        other_half, other_p = test(np.sqrt(both / 2), df)
        less_sure = other_p > p_value
        half, p_value = np.where(less_sure, (other_half, other_p), (half, p_value))
        method[less_sure] = GAMES_HOWELL
    values = (
        *(samples.ids[i], samples.ids[j], difference, difference - half, difference + half),
        *(p_value, p_value < LEVEL, method),
    )
    return DataFrame(dict(zip(_COLUMNS, values, strict=True)))


def _equal_spread(samples: _Samples) -> float:
    """p-value of Bartlett's test that all groups vary alike.

    Not scipy's, which takes the runs themselves: what rounding hides is part of these variances.
    """
    df, groups = samples.n - 1, len(samples.n)
    statistic = samples.df * math.log(samples.pooled) - (df * np.log(samples.variance)).sum()
    correction = 1 + ((1 / df).sum() - 1 / samples.df) / (3 * (groups - 1))
    return float(chdtrc(groups - 1, max(statistic, 0) / correction))
