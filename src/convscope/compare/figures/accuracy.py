"""Accuracy against what it costs: a point per group, its 95 % interval, the Pareto front."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare import pareto
from convscope.compare.figures.marks import Marks
from convscope.compare.figures.quantities import (
    QUANTITIES,
    Quantity,
    plain,
    quantity,
    with_interval,
)
from convscope.compare.figures.settings import by_setting
from convscope.compare.figures.style import NEUTRAL, figure
from convscope.compare.figures.text import escaped, lines
from convscope.compare.groups import grouped
from convscope.errors import UserError
from convscope.tables import numbered

COSTS = ("train_samples_per_sec", "macs", "params")
ACCURACY = QUANTITIES["test_accuracy"]
_HEIGHT = 440


def measured_groups(runs: DataFrame, cost: Quantity) -> DataFrame:
    """The groups with an accuracy and this cost.

    Raises:
        UserError: there is none.
    """
    groups = grouped(runs)
    if len(groups):
        groups = groups.dropna(subset=[ACCURACY.column, cost.column])
    if groups.empty:
        raise UserError(f"no finished run has a {ACCURACY.title} and {cost.title}")
    return groups


def accuracy_against(runs: DataFrame, cost: str = "train_samples_per_sec") -> go.Figure:
    """Test accuracy against training samples/s, MACs per image or parameters.

    Args:
        runs: `frame`'s table.
        cost: a column of `COSTS`.

    Raises:
        UserError: `cost` is none of them, or no finished run has both.
    """
    against = quantity(cost, COSTS)
    groups = measured_groups(runs, against)
    marks = Marks(groups["variant"])
    traces = [
        *marks.key(groups["padding_policy"]),
        *(_front(part, name, against) for name, part in by_setting(groups) if len(part) > 1),
        *(_points(part, against, marks) for _, part in groups.groupby("kernel_size", sort=True)),
    ]
    layout: dict[str, Any] = {
        "title": {"text": f"Test accuracy against {against.title}"},
        "height": _HEIGHT,
        "xaxis": {
            "title": {"text": against.title},
            "tickformat": against.tick_format,
            "type": "log" if against.is_log(groups[cost]) else "linear",
        },
        "yaxis": {"title": {"text": ACCURACY.title}, "tickformat": ACCURACY.tick_format},
        "hovermode": "closest",
    }
    return figure(traces, layout)


def _points(groups: DataFrame, cost: Quantity, marks: Marks) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": plain(groups[cost.column]),
        "y": plain(groups[ACCURACY.column]),
        "error_y": _interval(groups, ACCURACY),
        **({"error_x": _interval(groups, cost)} if cost.measured else {}),
        "marker": {
            "color": [marks.colour(variant) for variant in groups["variant"]],
            "symbol": [
                marks.symbol(variant, policy)
                for variant, policy in zip(groups["variant"], groups["padding_policy"], strict=True)
            ],
            "size": 10,
            "line": {"width": 1.5},
        },
        "customdata": list(groups.index),
        "hovertext": [
            lines(
                group["label"],
                f"{with_interval(ACCURACY, group)}, {numbered(group['runs'], 'run')}",
                with_interval(cost, group),
            )
            for _, group in groups.iterrows()
        ],
        "hoverinfo": "text",
        "showlegend": False,
    }


def _interval(groups: DataFrame, shown: Quantity) -> dict[str, Any]:
    half = groups[f"{shown.column}_high"] - groups[shown.column]
    return {"type": "data", "array": plain(half), "width": 3, "thickness": 1}


def _front(groups: DataFrame, setting: str, cost: Quantity) -> dict[str, Any]:
    front = groups.loc[pareto.front(groups, cost.column)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(front[cost.column]),
        "y": plain(front[ACCURACY.column]),
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        "customdata": list(front.index),
        "hoverinfo": "skip",
        "name": escaped(f"front, {setting}" if setting else "front"),
        "legendgroup": "front",
    }
