"""Variances that share information: against scipy, and planted ones."""

import numpy as np
import pytest
from scipy import stats

from convscope.analysis.pooling import bartlett, moderated, pooled


def test_bartlett_is_scipys() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.standard_normal(n) * s for n, s in ((3, 1), (5, 2), (4, 1), (9, 5))]
    variance, df = (np.array([f(one) for one in samples]) for f in (lambda x: x.var(ddof=1), len))
    assert bartlett(variance, df - 1) == pytest.approx(stats.bartlett(*samples).pvalue)
    assert bartlett(variance[:1], df[:1] - 1) == 1


def test_planted_variances_are_moderated_as_planted() -> None:
    """True variances of 6 prior degrees of freedom around 3: Smyth's model itself."""
    rng = np.random.default_rng(1)
    true = 3 * 6 / rng.chisquare(6, 4_000)
    variance = true * rng.chisquare(4, 4_000) / 4
    found, df = moderated(variance, np.full(4_000, 4))
    assert df == pytest.approx(np.full(4_000, 10), rel=0.1)
    assert (found >= variance).all()
    small = variance < 2
    assert found[small] == pytest.approx((6 * 3 + 4 * variance[small]) / 10, rel=0.1)


def test_equal_variances_are_pooled() -> None:
    variance, df = np.array([1.0, 1.1, 0.9, 1.05]), np.array([4, 4, 6, 9])
    found, of_found = moderated(variance, df)
    assert found.tolist() == [pooled(variance, df)] * 4
    assert of_found.tolist() == [23] * 4
    assert pooled(variance, df) == pytest.approx(np.average(variance, weights=df))


@pytest.mark.parametrize("largest", [1e2, 1e6, 1e12])
def test_an_outlier_keeps_its_variance(largest: float) -> None:
    variance, df = np.array([1.0, 1.2, 0.8, 1.1, 0.9, largest]), np.full(6, 4)
    found, of_found = moderated(variance, df)
    assert found[-1] >= largest
    assert (found[:-1] < largest / 10).all()
    assert ((of_found >= 4) & (of_found <= 24)).all()
