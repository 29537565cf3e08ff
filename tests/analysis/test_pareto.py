"""Pareto fronts against their definition, pair by pair."""

import numpy as np
import pytest
from pandas import DataFrame

from convscope.analysis.pareto import front, non_dominated
from convscope.errors import UserError
from convscope.metrics import METRICS, diagnostics


def on_the_front(points: list[tuple[float, float]]) -> set[int]:
    """Those than which no other is as cheap and as accurate and better in one of both."""
    return {
        i
        for i, (cost, accuracy) in enumerate(points)
        if not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points)
    }


@pytest.mark.parametrize("seed", range(20))
def test_front_is_what_the_definition_says(seed: int) -> None:
    # Few values, so that many points tie in one coordinate or both.
    points = np.random.default_rng(seed).integers(0, 8, (30, 2)).astype(float)
    groups = DataFrame(points, columns=["macs", "test_accuracy"]).rename(str)
    found = front(groups, "macs")
    assert {int(one) for one in found} == on_the_front([(c, a) for c, a in points])
    assert groups.loc[found, "macs"].is_monotonic_increasing


def test_more_samples_per_second_are_better() -> None:
    groups = DataFrame(
        {"train_samples_per_sec": [100.0, 300.0, 200.0], "test_accuracy": [0.99, 0.97, 0.96]},
        index=["slow", "fast", "beaten"],
    )
    assert front(groups, "train_samples_per_sec") == ["fast", "slow"]


def test_what_was_not_measured_is_left_out() -> None:
    groups = DataFrame(
        {"macs": [1.0, 2.0, np.nan], "test_accuracy": [np.nan, 0.9, 0.99]}, index=["a", "b", "c"]
    )
    assert front(groups, "macs") == ["b"]


def test_a_cost_that_is_none_is_named() -> None:
    groups = DataFrame({"lr": [1.0], "test_accuracy": [0.9]})
    latencies = ", ".join(f"latency_b{batch}_p{p}_ms" for batch in (1, 256) for p in (50, 95))
    answers = ", ".join(name for name in diagnostics() if METRICS[name].better)
    costs = f"train_samples_per_sec, step_ms, {latencies}, {answers}, macs, params"
    message = f"cost must be one of {costs}, got 'lr'"
    with pytest.raises(UserError, match=message):
        front(groups, "lr")


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_non_dominated_rows_are_what_the_definition_says(columns: int) -> None:
    points = np.random.default_rng(columns).integers(0, 4, (30, columns)).astype(float)
    kept = {
        place
        for place, point in enumerate(points)
        if not any((other >= point).all() and (other > point).any() for other in points)
    }
    found = non_dominated(DataFrame(points))
    assert set(found.index) == kept
    assert found.index.is_monotonic_increasing


def test_of_nothing_nothing_is_non_dominated() -> None:
    assert non_dominated(DataFrame(columns=[0, 1], dtype=float)).empty
