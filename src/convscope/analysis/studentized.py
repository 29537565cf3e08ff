"""Distribution of the studentized range: (highest - lowest mean) / its standard error.

`scipy.stats.studentized_range` integrates value by value: minutes for the pairs of 200 groups.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import ndtr

Array = NDArray[Any]

_RANGES = np.linspace(0, 16, 3201)
"""In standard deviations; no realistic number of groups has a range near the end."""

_BATCH = 20_000
"""Values of `q` per batch: 25 MB an array."""

_T = np.arange(-30, 8, 0.25)
"""Nodes for the logarithm of the estimated standard deviation s, in units of 1 / sqrt(2 df)."""


def survival(q: ArrayLike, groups: int, df: ArrayLike) -> Array:
    """Return the probability that the range of equal means exceeds `q` estimated standard errors.

    1 - ∫ f(s) P(q s) ds, with P the range's distribution among `groups` normal values and f the
    density of sqrt(chi2(df) / df) (Lund & Lund 1983, AS 190). The trapezoid rule over log s, whose
    density is proportional to exp(df (log s - s² / 2)); absolute error below 1e-5.

    Args:
        q: of any shape, at least 0.
        groups: number of means.
        df: degrees of freedom of the standard error, at least 1; broadcast against `q`.

    Returns:
        Probabilities, in the broadcast shape of `q` and `df`.
    """
    q, df = np.broadcast_arrays(np.asarray(q, float), np.asarray(df, float))
    if q.size > _BATCH and df.min() == df.max() and np.isfinite(q).all():
        # One interpolated curve, with so many points that the error bound above still holds.
        points = np.linspace(0, np.log1p(q.max()), _BATCH // 4)
        curve = PchipInterpolator(points, survival(np.expm1(points), groups, df.flat[0]))
        interpolated: Array = np.clip(curve(np.log1p(q)), 0, 1)
        return interpolated
    pairs = q.ravel(), df.ravel()
    # In one batch, the half million pairs of a thousand groups would take gigabytes.
    chances = [
        _survival(q_part, groups, df_part)
        for q_part, df_part in zip(
            *(np.array_split(part, 1 + q.size // _BATCH) for part in pairs), strict=True
        )
    ]
    return np.concatenate(chances).reshape(q.shape)


def _survival(q: Array, groups: int, df: Array) -> Array:
    log_s = _T / np.sqrt(2 * df)[..., None]
    s = np.exp(log_s)
    weight = np.exp(df[..., None] * (log_s - s**2 / 2 + 0.5))
    below = np.interp(q[..., None] * s, _RANGES, _range_below(groups))
    chance: Array = 1 - (weight * below).sum(-1) / weight.sum(-1)
    return np.clip(chance, 0, 1)


def survival_of_sum(
    difference: Array, groups: int, variance: Array, df: Array, known: Array
) -> Array:
    """Return the p-values of differences whose variance is the sum of an estimated and a known one.

    The p-value is the level at which q(level, df)² variance + q(level, infinite)² known is twice
    the squared difference, with q the critical value: then the interval ends at 0.

    Args:
        difference: of two means, at least 0, (pairs,).
        groups: number of means.
        variance: estimated part, above 0, (pairs,).
        df: its degrees of freedom, (pairs,).
        known: known part, (pairs,).
    """
    size = difference * np.sqrt(2)
    low, high = size / np.sqrt(variance + known), size / np.sqrt(variance)
    above = 1 - _range_below(groups)[::-1]
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        of_known = np.interp(survival(middle, groups, df), above, _RANGES[::-1])
        is_low = middle**2 * variance + of_known**2 * known < size**2
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return survival(low, groups, df)


_HALVINGS = 12
"""Steps of bisection: of the usual range of 1 to 10, they leave less than 0.1 %."""


def critical_value(groups: int, df: ArrayLike, level: float = 0.05) -> Array:
    """Return the `q` at which `survival` equals `level`; relative error below 1e-4.

    If `df` has many values, log q is interpolated over 1 / df.

    Args:
        groups: number of means.
        df: degrees of freedom, at least 1, of any shape.
        level: probability of a larger range.

    Returns:
        Critical values, in the shape of `df`.
    """
    wanted = np.asarray(df, float)
    exact = np.unique(wanted)
    if len(exact) <= _FEW:
        return np.array([_solve_critical_value(groups, one, level) for one in exact])[
            np.searchsorted(exact, wanted)
        ]
    known = [np.log(_solve_critical_value(groups, 1 / inverse, level)) for inverse in _INVERSE_DF]
    values: Array = np.exp(PchipInterpolator(_INVERSE_DF, known)(1 / wanted))
    return values


def df_of(critical: ArrayLike, groups: int, level: float = 0.05) -> Array:
    """Return the degrees of freedom with these critical values, the inverse of `critical_value`.

    Args:
        critical: critical values, of any shape, between those of infinitely many degrees and of 1.
        groups: number of means.
        level: probability of a larger range.
    """
    known = [np.log(_solve_critical_value(groups, 1 / inverse, level)) for inverse in _INVERSE_DF]
    inverse = PchipInterpolator(known, _INVERSE_DF)(np.clip(np.log(critical), known[0], known[-1]))
    degrees: Array = 1 / inverse
    return degrees


_INVERSE_DF = np.linspace(1e-5, 1, 60)
_FEW = 4
"""Number of degrees of freedom from which interpolation between `_INVERSE_DF` is faster."""


@lru_cache(maxsize=1024)
def _solve_critical_value(groups: int, df: float, level: float) -> float:
    most = 1000.0
    # One degree of freedom, at the level of a first look.
    while survival(most, groups, df) > level:
        most *= 10
    return float(brentq(lambda q: survival(q, groups, df) - level, 0.01, most, xtol=1e-6))


@lru_cache(maxsize=64)
def _range_below(groups: int) -> Array:
    """Return P(range of `groups` standard normal values < w) for each w of `_RANGES`.

    k ∫ φ(z) (Φ(z + w) - Φ(z))^(k-1) dz over the smallest value z.
    """
    z = np.arange(-9, 9, 0.05)
    density = np.exp(-(z**2) / 2)
    within = ndtr(z + _RANGES[:, None]) - ndtr(z)
    chance: Array = groups * (density * within ** (groups - 1)).sum(-1) * 0.05 / np.sqrt(2 * np.pi)
    return np.clip(chance, 0, 1)
