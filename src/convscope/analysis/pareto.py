"""Pareto fronts: the variants that no other beats in accuracy and cost at once."""

from __future__ import annotations

from pandas import DataFrame

from convscope.analysis.choice import chosen_by
from convscope.errors import UserError
from convscope.metrics import METRICS, metrics_of


def front(groups: DataFrame, cost: str, metric: str = "test_accuracy") -> list[str]:
    """Ids of the groups on the front, cheapest first, so that the accuracy rises along it.

    On it are the groups than which no other is as accurate and as cheap and better in one of both,
    by their means; where two agree in both, each of them is. Groups that miss one are left out.

    Args:
        groups: as `groups.grouped` gives them.
        cost: a metric that `metrics_of("pareto")` lists.

    Raises:
        UserError: `cost` is none of them.
    """
    costs = {one.name: one for one in metrics_of("pareto")}
    if cost not in costs:
        raise UserError(f"cost must be one of {', '.join(costs)}, got {cost!r}")
    points = DataFrame({"cost": costs[cost].sign * groups[cost], "metric": groups[metric]}).dropna()
    on_it = unbeaten(points).sort_values("cost", ascending=False, kind="stable")
    return [str(group) for group in on_it.index]


def chosen_front(groups: DataFrame, cost: str) -> list[str]:
    """The front by the accuracy that variants are chosen by, and none of a measured cost.

    Means of speeds differ by chance too: what is faster is told where a test says so.
    """
    return [] if METRICS[cost].is_measured else front(groups, cost, chosen_by(groups))


def unbeaten(points: DataFrame) -> DataFrame:
    """The rows than which no other is as good in every column and better in one; more is better."""
    values = points.to_numpy()
    as_good = (values[:, None] >= values).all(axis=2)
    better = (values[:, None] > values).any(axis=2)
    return points[~(as_good & better).any(axis=0)]
