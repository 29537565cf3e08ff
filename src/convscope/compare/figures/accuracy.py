"""Accuracy against what it costs: a point per group, its 95 % interval, the Pareto front."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare.figures.marks import NEUTRAL, key, key_height
from convscope.compare.figures.points import ACCURACY, COSTS, Panel, points
from convscope.compare.figures.quantities import Quantity, chosen, plain, rows, with_interval
from convscope.compare.figures.stack import axes, axis_key, panel_title, stacked
from convscope.compare.figures.style import figure
from convscope.compare.figures.text import escaped, lines
from convscope.tables import numbered

_HEIGHT, _ONE_OF_SEVERAL = 330, 240
"""Of the only panel, and of one of several, pixels."""
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
    front = "dotted: the Pareto front" if any(panel.front for panel in shown.panels) else ""
    titles = [f"Accuracy against {against.title}", front, shown.note]
    height = _HEIGHT if len(shown.panels) == 1 else _ONE_OF_SEVERAL
    layout = stacked(titles, [height] * len(shown.panels), legend=key_height(shown.looks))
    traces = key(shown.looks)
    for number, panel in enumerate(shown.panels):
        on = axes(number)
        if panel.front:
            traces.append(_front(panel, against) | on)
        traces.append(_points(panel, shown.looks, against) | on)
        layout[axis_key(on["xaxis"])] |= {
            "title": {"text": f"{against.title}, {against.which_is_better}"},
            "tickformat": against.tick_format,
            "tickfont": {"size": 11},
            "range": shown.x,
            **({"type": "log", "dtick": "D2"} if shown.log_x else {}),
        }
        layout[axis_key(on["yaxis"])] |= {
            "title": {"text": ACCURACY.title},
            "tickformat": ACCURACY.tick_format,
            "range": shown.y,
        }
    layout["annotations"] = [
        panel_title(number, panel.title) for number, panel in enumerate(shown.panels)
    ]
    return figure(traces, layout)


def _points(panel: Panel, looks: DataFrame, cost: Quantity) -> dict[str, Any]:
    groups, looks = panel.groups, looks.loc[panel.groups.index]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": plain(groups[cost.column]),
        "y": plain(groups[ACCURACY.column]),
        "error_y": _interval(groups, ACCURACY),
        **({"error_x": _interval(groups, cost)} if cost.measured else {}),
        "marker": {
            "color": list(looks["colour"]),
            "symbol": list(looks["shape"] + looks["fill"]),
            "size": 10,
            "opacity": 1,
            "line": {"width": 1.5, "color": list(looks["outline"])},
        },
        "text": [escaped(panel.labels.get(group, "")) for group in groups.index],
        "textposition": "top right" if cost.more_is_better else "top left",
        "customdata": list(groups.index),
        "hovertext": [
            lines(
                group["label"],
                f"{with_interval(ACCURACY, group)}, {numbered(group['runs'], 'run')}",
                with_interval(cost, group),
                "on the front: no other is better in both" if name in panel.front else "",
            )
            for name, group in rows(groups)
        ],
        "hoverinfo": "text",
        "showlegend": False,
    }


def _interval(groups: DataFrame, shown: Quantity) -> dict[str, Any]:
    half = groups[f"{shown.column}_high"] - groups[shown.column]
    return {"type": "data", "array": plain(half), "width": 0, "thickness": 1, "color": _FAINT}


def _front(panel: Panel, cost: Quantity) -> dict[str, Any]:
    front = panel.groups.loc[panel.front]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plain(front[cost.column]),
        "y": plain(front[ACCURACY.column]),
        # Between two of the front, what the cheaper reaches is the most that can be had.
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
        "customdata": panel.front,
        "hoverinfo": "skip",
        "showlegend": False,
    }
