"""Variances of groups with few runs each: whether they are equal, and estimates that share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, digamma, polygamma

Array = NDArray[Any]


def pooled(variance: Array, df: Array) -> float:
    """Return the mean of the variances, weighted by their degrees of freedom."""
    return float((df * variance).sum() / df.sum())


def bartlett(variance: Array, df: Array) -> float:
    """Return the p-value of Bartlett's (1937) test of equal variances; 1 for a single group.

    scipy's function takes the values themselves; the variances here include what rounding hides.
    """
    groups, total = len(df), df.sum()
    if groups < 2:
        return 1.0
    statistic = total * math.log(pooled(variance, df)) - (df * np.log(variance)).sum()
    correction = 1 + ((1 / df).sum() - 1 / total) / (3 * (groups - 1))
    return float(chdtrc(groups - 1, max(statistic, 0) / correction))


def moderated(variance: Array, df: Array) -> tuple[Array, Array]:
    """Return variances that are moved towards a common one, and their degrees of freedom.

    Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression":
    the true variances are taken as draws from a scaled inverse chi-squared distribution, whose
    parameters come from mean and variance of log(variance). A variance that is larger than its
    moderated one keeps its own value, since a mean of others says little about an outlier. Degrees
    of freedom are at most those of the pooled variance.

    Args:
        variance: positive, (groups,), at least 2 of them.
        df: their degrees of freedom.
    """
    total = df.sum()
    half = df / 2
    log = np.log(variance) - digamma(half) + np.log(half)
    excess = log.var(ddof=1) - polygamma(1, half).mean()
    if excess <= 0:
        return np.full(len(df), pooled(variance, df)), np.full(len(df), total)
    # Trigamma falls from infinity to 0: near 1 / x² at 0, and 1 / x at infinity.
    prior = 2 * brentq(lambda x: polygamma(1, x) - excess, 0.1 / (1 + excess), 1 + 2 / excess)
    centre = math.exp(log.mean() + digamma(prior / 2) - math.log(prior / 2))
    shared = (prior * centre + df * variance) / (prior + df)
    return np.maximum(shared, variance), np.minimum(prior + df, total)
