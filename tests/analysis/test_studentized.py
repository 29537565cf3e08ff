"""The studentized range against scipy's, one quadrature at a time."""

import tracemalloc

import numpy as np
import pytest
from scipy.stats import studentized_range

from convscope.analysis.studentized import critical_value, survival


@pytest.mark.parametrize("groups", [2, 3, 12, 60])
@pytest.mark.parametrize("df", [1, 2.5, 24, 800])
def test_the_chance_and_the_limit_are_scipys(groups: int, df: float) -> None:
    q = np.array([0.0, 0.5, 2, 3.5, 4.5, 6, 20])
    expected = [studentized_range.sf(one, groups, df) for one in q]
    assert survival(q, groups, df) == pytest.approx(expected, abs=1e-5)
    assert critical_value(groups, df) == pytest.approx(
        studentized_range.ppf(0.95, groups, df), rel=1e-4
    )


def test_each_q_has_its_own_degrees_of_freedom() -> None:
    q, df = np.array([3.0, 4.0, 5.0]), np.array([2.0, 8.0, 30.0])
    expected = [studentized_range.sf(*pair) for pair in zip(q, [12] * 3, df, strict=True)]
    assert survival(q, 12, df) == pytest.approx(expected, abs=1e-5)


def test_limits_for_thousands_of_degrees_of_freedom_are_those_of_each() -> None:
    df = np.random.default_rng(0).uniform(1, 8, 5000)
    limits = critical_value(12, df)
    for place in (0, 1234, 4999):
        assert limits[place] == pytest.approx(critical_value(12, df[place]), rel=1e-4)


def test_a_range_without_end_has_no_chance() -> None:
    assert survival(np.inf, 12, 24) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("alike", [True, False])
def test_half_a_million_chances_are_those_of_each_and_take_little_memory(alike: bool) -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(0, 12, 100_000 if alike else 30_000)
    df = np.full(q.shape, 24.0) if alike else rng.uniform(2, 30, q.shape)
    tracemalloc.start()
    chances = survival(q, 12, df)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All at once they would take six arrays of 152 numbers for each: 730 MB, and 220 MB.
    assert most < 150e6
    for place in (0, 1234, len(q) - 1):
        exact = studentized_range.sf(q[place], 12, df[place])
        assert chances[place] == pytest.approx(exact, abs=1e-5)
