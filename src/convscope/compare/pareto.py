"""Pareto fronts: the variants that no other beats in accuracy and cost at once."""

from __future__ import annotations

from pandas import DataFrame

from convscope.errors import UserError

COSTS = {"train_samples_per_sec": -1, "step_ms": 1, "macs": 1, "params": 1}
"""What an accuracy may cost; -1 where more is better."""


def front(groups: DataFrame, cost: str, metric: str = "test_accuracy") -> list[str]:
    """Ids of the groups on the front, cheapest first, so that the accuracy rises along it.

    On it are the groups than which no other is as accurate and as cheap and better in one of both,
    by their means; where two agree in both, each of them is. Groups that miss one are left out.

    Args:
        groups: as `groups.grouped` gives them.
        cost: one of `COSTS`.

    Raises:
        UserError: `cost` is none of them.
    """
    if cost not in COSTS:
        raise UserError(f"cost must be one of {', '.join(COSTS)}, got {cost!r}")
    points = DataFrame({"cost": COSTS[cost] * groups[cost], "metric": groups[metric]}).dropna()
    on_it: list[str] = []
    best, at = float("-inf"), float("inf")
    for point in points.sort_values(["cost", "metric"], ascending=[True, False]).itertuples():
        if point.metric > best or (point.metric, point.cost) == (best, at):
            best, at = point.metric, point.cost
            on_it.append(str(point.Index))
    return on_it
