"""Which variants differ: all pairs of a setting at once, so that "better" is rarely said by chance.

Among pairs without any true difference, one or more is called different in at most 5 % of studies
(the family-wise error). Tukey's HSD, in Kramer's form for unequal numbers of seeds (Tukey 1949,
Kramer 1956), holds to that where all variants vary alike from seed to seed. Where Bartlett's test
(1937) doubts that at the 25 % level that Bancroft (1964) advises for preliminary tests, a pair must
satisfy Games and Howell (1976) as well.

Why both, not Games-Howell alone: with few seeds that one promises too much. In 1,000 generated
studies of 12 equal variants, at least one false difference was found

| | Tukey alone | Games-Howell alone | as here |
| --- | --- | --- | --- |
| 3 seeds, equal spreads | 3.9 % | 12.2 % | 3.4 % |
| 3 seeds, spreads from 1 to 3 | 10.4 % | 12.3 % | 5.7 % |
| 3 seeds, one spread of 5 among 1 | 21.5 % | 12.6 % | 8.3 % |
| 5 seeds, equal spreads | 4.0 % | 7.9 % | 3.2 % |
| 5 seeds, spreads from 1 to 3 | 9.6 % | 8.6 % | 3.2 % |
| 5 seeds, one spread of 5 among 1 | 21.9 % | 7.8 % | 2.8 % |

Asking both at any doubt would find about half as many true differences with 3 seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
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
COLUMNS = ["first", "second", "difference", "low", "high", "p_value", "differs", "method"]

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
    """All pairs of groups that differ in their variant only and have two finished runs or more.

    Args:
        runs: `frame`'s table.
        metric: of `metrics.measured`.
        only: pairs of groups, in any order, to leave the others out of the table. Its intervals and
            p-values are adjusted for all pairs all the same.
        ratio: compare the logarithms of a positive metric, a speed: the exponential of a difference
            is how many times the other the first is.

    Returns:
        A row per pair: `first` and `second`, their groups, the first with the higher mean;
        `difference` of the means and its simultaneous 95 % interval, `low` to `high`; `p_value`,
        adjusted for all pairs of the setting; `differs` where that is below 5 %; `method`,
        `Tukey HSD` or `Games-Howell`: of the two, where both were asked, the less sure one.
    """
    wanted = None if only is None else list(only)
    pairs = [_pairs(samples, wanted) for samples in _settings(runs, metric, ratio=ratio).values()]
    pairs = [table for table in pairs if len(table)]
    return pd.concat(pairs, ignore_index=True) if pairs else DataFrame(columns=COLUMNS)


def simultaneous_intervals(runs: DataFrame, metric: str = "test_accuracy") -> DataFrame:
    """95 % intervals of the means of all groups of a setting at once (Bonferroni, Dunn 1961).

    In 95 % of studies all of them hold, and so does that of a group which was chosen by its
    results. They share one variance, or where that is doubted each has its own, if that is wider.

    Returns:
        Indexed by group, those with two finished runs or more: `low`, `high`, and `number` of
        groups in the setting.
    """
    tables = []
    for samples in _settings(runs, metric).values():
        chance = 1 - LEVEL / (2 * len(samples.ids))
        half = stdtrit(samples.df, chance) * np.sqrt(samples.pooled / samples.n)
        if len(samples.ids) > 1 and _equal_spread(samples) < DOUBT:
            own = stdtrit(samples.n - 1, chance) * np.sqrt(samples.variance / samples.n)
            half = np.maximum(half, own)
        bounds = {"low": samples.mean - half, "high": samples.mean + half}
        tables.append(DataFrame(bounds | {"number": len(samples.ids)}, index=samples.ids))
    return pd.concat(tables) if tables else DataFrame(columns=["low", "high", "number"])


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


def _settings(runs: DataFrame, metric: str, *, ratio: bool = False) -> dict[str, _Samples]:
    """The groups of each setting, where two have two runs or more."""
    measured = runs[(runs["status"] == "finished") & runs[metric].notna()]
    if ratio:
        measured = measured[measured[metric] > 0]
        measured = measured.assign(**{metric: np.log(measured[metric])})
    found = {
        str(setting): _samples(of_it, metric)
        for setting, of_it in measured.groupby("setting", sort=False)
    }
    return {setting: samples for setting, samples in found.items() if len(samples.ids)}


def _samples(runs: DataFrame, metric: str) -> _Samples:
    of = runs.groupby("group", sort=False)[metric].agg(["size", "mean", "var"])
    of = of[of["size"] > 1].sort_values("mean", ascending=False, kind="stable")
    n, mean, variance = (of[name].to_numpy(float) for name in ("size", "mean", "var"))
    return _Samples(of.index.to_numpy(), n, mean, np.maximum(variance, _rounding(runs, metric)))


def _rounding(runs: DataFrame, metric: str) -> float:
    """Variance that rounding hides where seeds agree to the last digit.

    An accuracy is a whole number of images, other metrics are 32-bit floats.
    """
    images = METRICS[metric].images
    if images is not None and (fewest := runs[images].min()) > 0:
        return float(hidden_std(fewest) ** 2)
    step = np.finfo(np.float32).eps * (runs[metric].abs().max() or 1)
    return float(step**2 / 12)


def _pairs(samples: _Samples, only: list[tuple[str, str]] | None) -> DataFrame:
    i, j = _places(samples, only)
    if not len(i):
        return DataFrame(columns=COLUMNS)
    difference = samples.mean[i] - samples.mean[j]
    half, p_value = _tukey(samples, i, j, difference)
    method = np.full(len(i), TUKEY, object)
    if _equal_spread(samples) < DOUBT:
        other_half, other_p = _games_howell(samples, i, j, difference)
        less_sure = other_p > p_value
        half, p_value = np.where(less_sure, (other_half, other_p), (half, p_value))
        method[less_sure] = GAMES_HOWELL
    return DataFrame(
        {
            "first": samples.ids[i],
            "second": samples.ids[j],
            "difference": difference,
            "low": difference - half,
            "high": difference + half,
            "p_value": p_value,
            "differs": p_value < LEVEL,
            "method": method,
        }
    )


def _places(samples: _Samples, only: list[tuple[str, str]] | None) -> tuple[Array, Array]:
    """Of each pair, the places of both groups, that with the higher mean first."""
    if only is None:
        first, second = np.triu_indices(len(samples.ids), 1)
        return first, second
    place = {group: number for number, group in enumerate(samples.ids)}
    pairs = {
        (min(place[one], place[other]), max(place[one], place[other]))
        for one, other in only
        if one != other and one in place and other in place
    }
    places = np.array(sorted(pairs), int).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def _tukey(samples: _Samples, i: Array, j: Array, difference: Array) -> tuple[Array, Array]:
    """Half widths of the intervals, and p-values."""
    groups = len(samples.ids)
    error = np.sqrt(samples.pooled / 2 * (1 / samples.n[i] + 1 / samples.n[j]))
    half = critical(groups, samples.df, LEVEL) * error
    return half, survival(difference / error, groups, samples.df)


def _games_howell(samples: _Samples, i: Array, j: Array, difference: Array) -> tuple[Array, Array]:
    """As `_tukey`, each pair with its own variance and degrees of freedom (Welch 1938)."""
    groups = len(samples.ids)
    of_mean = samples.variance / samples.n
    both = of_mean[i] + of_mean[j]
    df = both**2 / (of_mean[i] ** 2 / (samples.n[i] - 1) + of_mean[j] ** 2 / (samples.n[j] - 1))
    error = np.sqrt(both / 2)
    return critical(groups, df, LEVEL) * error, survival(difference / error, groups, df)


def _equal_spread(samples: _Samples) -> float:
    """p-value of Bartlett's test that all groups vary alike."""
    df, groups = samples.n - 1, len(samples.n)
    statistic = samples.df * math.log(samples.pooled) - (df * np.log(samples.variance)).sum()
    correction = 1 + ((1 / df).sum() - 1 / samples.df) / (3 * (groups - 1))
    return float(chdtrc(groups - 1, max(statistic, 0) / correction))
