"""Accuracy against what it costs: a point per group, its 95 % interval, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from pandas import DataFrame

from convscope.plots.marks import NEUTRAL, key, key_height
from convscope.plots.points import ACCURACY, COSTS, Panel, Points, points
from convscope.plots.quantities import Quantity, chosen, log_ticks, plain, rows, with_interval
from convscope.plots.stack import axes, axis_key, panel_title, stacked
from convscope.plots.style import figure
from convscope.plots.text import escaped, lines
from convscope.text import counted

_HEIGHT, _ONE_OF_SEVERAL = 330, 240
"""Of the only panel, and of one of several, pixels."""
_ONE_PLACE, _MOST_LISTED = 0.01, 3
"""As parts of an axis: what is nearer is hidden by its mark."""
_FAINT = "rgba(140, 140, 140, 0.6)"


def accuracy_against(runs: DataFrame, cost: str = "train_samples_per_sec") -> go.Figure:
    """Test accuracy against training samples/s, MACs per image or parameters.

    Args:
        runs: `frame`'s table.
        cost: a column of `points.COSTS`.

    Raises:
        UserError: `cost` is none of them, or no finished run has both.
    """
    against = chosen("cost", cost, COSTS)
    shown = points(runs, against)
    front = (
        "dotted: Pareto front by validation" if any(panel.front for panel in shown.panels) else ""
    )
    beyond = [_beyond(panel, shown, against) for panel in shown.panels]
    titles = [
        f"Accuracy against {against.title}",
        front,
        "triangle: interval goes on beyond the axis" if any(beyond) else "",
        shown.note,
    ]
    height = _HEIGHT if len(shown.panels) == 1 else _ONE_OF_SEVERAL
    layout = stacked(titles, [height] * len(shown.panels), legend=key_height(shown.looks))
    traces = key(shown.looks)
    for number, panel in enumerate(shown.panels):
        on = axes(number)
        if panel.front:
            traces.append(_front(panel, against) | on)
        traces.append(_points(panel, shown, against) | on)
        traces += [trace | on for trace in beyond[number]]
        layout[axis_key(on["xaxis"])] |= {
            "title": {"text": f"{against.title}, {against.which_is_better}"},
            "tickfont": {"size": 11},
            "range": shown.x,
            **_ticks(shown, against),
        }
        layout[axis_key(on["yaxis"])] |= {
            "title": {"text": ACCURACY.title},
            "tickformat": ACCURACY.tick_format,
            "range": shown.y,
            # Room for a triangle.
            "ticklabelstandoff": 5,
        }
    layout["annotations"] = [
        panel_title(number, panel.title) for number, panel in enumerate(shown.panels)
    ]
    return figure(traces, layout)


def _ticks(shown: Points, cost: Quantity) -> dict[str, Any]:
    if not shown.log_x:
        return {"tickformat": cost.tick_format}
    ticks = log_ticks(*shown.x)
    return {"type": "log", "tickvals": ticks, "ticktext": [cost.short(tick) for tick in ticks]}


def _points(panel: Panel, shown: Points, cost: Quantity) -> dict[str, Any]:
    # The best come last, on top of the others.
    groups = panel.groups.sort_values(ACCURACY.column, kind="stable")
    looks = shown.looks.loc[groups.index]
    low, high = shown.x_values
    labels = [panel.labels.get(group) for group in groups.index]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": plain(groups[cost.column]),
        "y": plain(groups[ACCURACY.column]),
        "error_y": _interval(groups, ACCURACY, *shown.y),
        **({"error_x": _interval(groups, cost, low, high)} if cost.measured else {}),
        "marker": {
            "color": list(looks["colour"]),
            "symbol": list(looks["shape"] + looks["fill"]),
            "size": list(looks["size"]),
            "opacity": 0.8,
            "line": {"width": list(looks["ring"]), "color": list(looks["outline"])},
        },
        "text": [escaped(label.text) if label else "" for label in labels],
        "textposition": [label.position if label else "top right" for label in labels],
        "customdata": list(groups.index),
        "hovertext": [
            lines(
                group["label"],
                f"{with_interval(ACCURACY, group)}, {counted(group['runs'], 'run')}",
                with_interval(cost, group),
                "on the front, by validation accuracy" if name in panel.front else "",
                beside,
            )
            for (name, group), beside in zip(
                rows(groups), _at_one_place(groups, cost, shown), strict=True
            )
        ],
        "hoverinfo": "text",
        "showlegend": False,
    }


def _at_one_place(groups: DataFrame, cost: Quantity, shown: Points) -> list[str]:
    """Of each group, which others its mark lies upon; "" where it has its place to itself."""
    across = groups[cost.column].map(math.log10) if shown.log_x else groups[cost.column]
    near = np.ones((len(groups), len(groups)), bool)
    for values, (low, high) in ((across, shown.x), (groups[ACCURACY.column], shown.y)):
        places = values.to_numpy(float) / (high - low)
        near &= abs(places[:, None] - places) < _ONE_PLACE
    np.fill_diagonal(near, val=False)
    labels = groups["label"].to_numpy(object)
    return [_listed(labels[others]) for others in near]


def _listed(labels: Sequence[str]) -> str:
    if len(labels) == 0:
        return ""
    more = f" and {len(labels) - _MOST_LISTED} more" if len(labels) > _MOST_LISTED else ""
    return f"at the same place: {', '.join(labels[:_MOST_LISTED])}{more}"


def _interval(groups: DataFrame, shown: Quantity, low: float, high: float) -> dict[str, Any]:
    """The interval's bars, which end where the axis does: beyond a log axis's there is no place."""
    mean = groups[shown.column]
    return {
        "type": "data",
        "symmetric": False,
        "array": plain(groups[f"{shown.column}_high"].clip(upper=high) - mean),
        "arrayminus": plain(mean - groups[f"{shown.column}_low"].clip(lower=low)),
        "width": 0,
        "thickness": 1,
        "color": _FAINT,
    }


def _beyond(panel: Panel, shown: Points, cost: Quantity) -> list[dict[str, Any]]:
    """A triangle at the axis's end where an interval goes on."""
    ends = [(ACCURACY, *shown.y, "triangle-down", "triangle-up")]
    if cost.measured:
        ends.append((cost, *shown.x_values, "triangle-left", "triangle-right"))
    marks = [
        (name, quantity, end, symbol, group)
        for name, group in rows(panel.groups)
        for quantity, low, high, below, above in ends
        for end, symbol, beyond in (
            (low, below, group[f"{quantity.column}_low"] < low),
            (high, above, group[f"{quantity.column}_high"] > high),
        )
        if beyond
    ]
    if not marks:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [end if q is cost else group[cost.column] for _, q, end, _, group in marks],
            "y": [
                end if q is ACCURACY else group[ACCURACY.column] for _, q, end, _, group in marks
            ],
            "marker": {
                "symbol": [symbol for *_, symbol, _ in marks],
                "color": NEUTRAL,
                "size": 7,
            },
            "cliponaxis": False,
            "customdata": [name for name, *_ in marks],
            "hovertext": [
                lines(group["label"], with_interval(quantity, group))
                for _, quantity, *_, group in marks
            ],
            "hoverinfo": "text",
            "showlegend": False,
        }
    ]


def _front(panel: Panel, cost: Quantity) -> dict[str, Any]:
    front = panel.groups.loc[panel.front]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(front[cost.column]),
        "y": plain(front[ACCURACY.column]),
        # Straight: ordered by validation accuracy, the test accuracy may fall along it.
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        "customdata": panel.front,
        "hoverinfo": "skip",
        "showlegend": False,
    }
