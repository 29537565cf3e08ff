"""What a comparison of two variants shows beyond their difference: equivalence, power, chance.

Two variants that are not significantly different need not be equal. Two one-sided tests
(Schuirmann 1987, Lakens 2017) show that a true difference is smaller than a margin; power says
which difference the study could have shown, and how many seeds it would need to show the margin.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.interpolate import PchipInterpolator
from scipy.special import nctdtrinc

from convscope.analysis.pairwise import LEVEL
from convscope.analysis.studentized import critical_value, survival

MARGIN = 0.001
"""Largest difference of accuracies that is called equivalent unless another one is asked for."""
POWER = 0.8
MEANINGFUL = 0.75
"""Probability of a better run from which Bouthillier et al. (2021) call a variant better."""
DIFFERENT, EQUIVALENT, UNDECIDED = "different", "equivalent", "undecided"

MANY_DF = 1e6
"""Degrees of freedom that stand for infinitely many; critical values differ by less than 1e-5."""
_INVERSE_DF = np.linspace(1 / MANY_DF, 1, 60)
"""Nodes for the noncentrality of many degrees of freedom, as in `studentized.critical_value`."""
_SEEDS_MAX = 2**20

Array = NDArray[Any]


def judge(
    pairs: DataFrame, runs: DataFrame, margin: float = MARGIN, metric: str = "test_accuracy"
) -> DataFrame:
    """Add to compared pairs whether they are equivalent, and what the study could have shown.

    Args:
        pairs: from `pairwise.differences` for `metric`: all pairs or some.
        runs: the table that `pairs` is of.
        margin: differences below it do not matter, as a share: 0.001 are 0.1 points.
        metric: the metric that was compared.

    Returns:
        `pairs` with

        - `margin`;
        - `p_equivalent`: of a pair that is not significantly different, the p-value of the two
          one-sided tests of a difference of `margin` or more, adjusted for all pairs of the
          setting: half the probability of a studentized range as large as the distance to the
          nearer margin. With two variants, the larger p-value of two t-tests.
        - `verdict`: `different` if significantly so; else `equivalent` if `p_equivalent` is below
          5 %, or `undecided`. At most 5 % of studies call any pair equivalent whose true difference
          is the margin or more; up to 8 % with 3 seeds of very unequal spreads.
        - `detectable`: smallest true difference that is found significant with a probability of
          80 %, at this number of seeds and this standard error.
        - `seeds`: number of seeds of each variant with which that difference is at most `margin`;
          infinite if the sample of test images is too small for any number of seeds.
        - `limit`: `detectable` with any number of seeds: 0 where answers to images are not used.
        - `better`: probability that a run of the first group has a higher value than one of the
          second (Mann and Whitney 1947): the share of pairs of runs, ties count one half.
    """
    groups = pairs["groups"].to_numpy(int)
    error, df, image_error, share, n = (
        pairs[name].to_numpy(float)
        for name in ("wide_error", "wide_df", "image_error", "share", "n")
    )
    df = np.minimum(df, MANY_DF)
    p_equivalent = equivalence(pairs, margin)
    detectable, seeds, limit = np.full((3, len(pairs)), math.nan)
    # Critical values are of one number of groups and one level.
    for number, part in sorted({*zip(groups, share, strict=True)}):
        of = (groups == number) & (share == part)
        level = LEVEL * part
        detectable[of] = error[of] * _noncentrality(df[of], number, level)
        limit[of] = image_error[of] * _noncentrality(np.array([MANY_DF]), number, level)
        seeds[of] = _seeds(margin, error[of], image_error[of], df[of], n[of], number, level)
    differs = pairs["differs"].to_numpy(bool)
    is_equivalent = p_equivalent < LEVEL
    used = runs[(runs["status"] == "finished") & runs[metric].notna()]
    values = {group: one.to_numpy() for group, one in used.groupby("group")[metric]}
    return pairs.assign(
        margin=margin,
        p_equivalent=np.where(differs, math.nan, p_equivalent),
        verdict=np.select([differs, is_equivalent], [DIFFERENT, EQUIVALENT], UNDECIDED),
        detectable=detectable,
        seeds=seeds,
        limit=limit,
        better=[
            better_run(values[one], values[other])
            for one, other in pairs[["first", "second"]].to_numpy()
        ],
    )


def equivalence(pairs: DataFrame, margin: float) -> Array:
    """Return the p-value of the two one-sided tests of each pair; `judge` defines it.

    Args:
        pairs: from `pairwise.differences`.
        margin: as for `judge`.
    """
    groups = pairs["groups"].to_numpy(int)
    difference, error, df, share = (
        pairs[name].to_numpy(float) for name in ("difference", "wide_error", "wide_df", "share")
    )
    distance, df = (margin - np.abs(difference)) / error, np.minimum(df, MANY_DF)
    p_value = np.full(len(pairs), math.nan)
    for number in np.unique(groups):
        of = groups == number
        p_value[of] = _p_equivalent(distance[of], df[of], number)
    adjusted: Array = np.minimum(p_value / share, 1)
    return adjusted


def margin_text(margin: float) -> str:
    """Return a margin in percentage points: `0.1 points`."""
    points = f"{100 * margin:.6g}"
    return f"{points} {'point' if points == '1' else 'points'}"


def better_run(first: Array, second: Array) -> float:
    """Return the share of pairs of runs in which that of `first` is higher; ties count one half."""
    above = np.count_nonzero(first[:, None] > second)
    ties = np.count_nonzero(first[:, None] == second)
    return (above + ties / 2) / (len(first) * len(second))


def _p_equivalent(distance: Array, df: Array, groups: int) -> Array:
    """Return the p-value of a difference by its distance to the nearer margin.

    The distance is in standard errors, and negative outside of the margins.
    """
    tail = survival(np.abs(distance) * math.sqrt(2), groups, df) / 2
    return np.where(distance >= 0, tail, 1 - tail)


def _noncentrality(df: Array, groups: int, level: float) -> Array:
    """Return the number of standard errors of a true difference that is shown at 80 % power."""
    exact, index = np.unique(df, return_inverse=True)
    if len(exact) <= len(_INVERSE_DF):
        found = nctdtrinc(exact, 1 - POWER, critical_value(groups, exact, level) / math.sqrt(2))
        return np.asarray(found[index])
    known = np.log(_noncentrality(1 / _INVERSE_DF, groups, level))
    interpolated: Array = np.exp(PchipInterpolator(_INVERSE_DF, known)(1 / df))
    return interpolated


def _seeds(
    margin: float,
    error: Array,
    image_error: Array,
    df: Array,
    n: Array,
    groups: int,
    level: float,
) -> Array:
    """Return the number of seeds of each variant that shows a difference of `margin`.

    With more seeds, the part of the squared error that comes from seeds is divided, and its
    degrees of freedom grow; the part of the images, of infinitely many, remains.

    Args:
        margin: the true difference.
        error: standard error of each pair's difference.
        image_error: the part of it that comes from the sample of images.
        df: degrees of freedom of the error.
        n: number of seeds of each pair.
        groups: number of groups.
        level: family-wise error.
    """
    of_images = image_error**2
    of_seeds = np.maximum(error**2 - of_images, 0)
    # Satterthwaite's rule: df = (sum of variances)² / sum of (variance² / its df).
    seed_df = df * (of_seeds / error**2) ** 2

    def is_shown(seeds: Array) -> Array:
        seed_part = of_seeds * n / seeds
        squared = of_images + seed_part
        with np.errstate(divide="ignore"):
            at = squared**2 / (seed_part**2 / (seed_df * (seeds - 1) / (n - 1)))
        at = np.clip(at, 1, MANY_DF)
        shown: Array = np.sqrt(squared) * _noncentrality(at, groups, level) <= margin
        return shown

    low, high = np.full(len(n), 1.0), np.full(len(n), float(_SEEDS_MAX))
    possible = is_shown(high)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        shown = is_shown(np.maximum(middle, 2)) & (middle > 1)
        low, high = np.where(shown, low, middle), np.where(shown, middle, high)
    return np.where(possible, high, math.inf)
