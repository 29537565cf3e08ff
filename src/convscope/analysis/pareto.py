"""Pareto fronts: the variants that no other beats in accuracy and cost at once."""

from __future__ import annotations

from pandas import DataFrame

from convscope.analysis.choice import chosen_by
from convscope.errors import UserError
from convscope.metrics import METRICS, metrics_of


def front(groups: DataFrame, cost: str, metric: str = "test_accuracy") -> list[str]:
    """Return the ids of the groups on the Pareto front, cheapest first, so that accuracy rises.

    A group is on the front if no other has a mean as good in both metrics and better in one. Groups
    that lack one of the metrics are left out.

    Args:
        groups: from `groups.grouped`.
        cost: name of a metric of `metrics_of("pareto")`.
        metric: an accuracy; larger is better.

    Raises:
        UserError: `cost` is not such a metric.
    """
    costs = {one.name: one for one in metrics_of("pareto")}
    if cost not in costs:
        raise UserError(f"cost must be one of {', '.join(costs)}, got {cost!r}")
    points = DataFrame({"cost": costs[cost].sign * groups[cost], "metric": groups[metric]}).dropna()
    on_front = non_dominated(points).sort_values("cost", ascending=False, kind="stable")
    return [str(group) for group in on_front.index]


def chosen_front(groups: DataFrame, cost: str) -> list[str]:
    """Return the front by the accuracy that variants are chosen by.

    It is empty for speeds, which also depend on other load of the machine, so that only a test can
    say which variant is faster; and for metrics of which no direction is better.
    """
    metric = METRICS[cost]
    return [] if metric.is_speed or not metric.better else front(groups, cost, chosen_by(groups))


def non_dominated(points: DataFrame) -> DataFrame:
    """Return the rows that no other row dominates, larger being better in every column."""
    values = points.to_numpy()
    as_good = (values[:, None] >= values).all(axis=2)
    better = (values[:, None] > values).any(axis=2)
    return points[~(as_good & better).any(axis=0)]
