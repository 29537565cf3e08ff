"""Kernel size by stride as a heat map, a panel per padding."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare.figures.cells import VALUES, Panel, panels
from convscope.compare.figures.quantities import quantity
from convscope.compare.figures.stack import axis_suffix, stacked
from convscope.compare.figures.style import NEUTRAL, figure
from convscope.compare.figures.text import escaped, lines

_ROW, _GAP = 38, 52
"""Height of a row of cells, and below a panel, pixels."""


def heat(runs: DataFrame, value: str = "test_accuracy", setting: str | None = None) -> go.Figure:
    """Accuracy, last feature map, samples/s or MACs by kernel size, stride and padding.

    Args:
        runs: `frame`'s table.
        value: a column of `cells.VALUES`.
        setting: which one to draw; by default that with the most finished runs.

    Raises:
        UserError: `value` is none of them, there is no such setting, or no run has the value.
    """
    shown = quantity(value, VALUES)
    drawn, which = panels(runs, shown, setting)
    layout = stacked([_ROW * len(panel.kernels) for panel in drawn], _GAP)
    traces = []
    for number, panel in enumerate(drawn):
        suffix = axis_suffix(number)
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        traces += [_known(panel) | axes, _holes(panel) | axes]
        layout[f"yaxis{suffix}"] |= {
            "type": "category",
            "categoryarray": panel.kernels,
            "autorange": "reversed",
            "title": {"text": "kernel size"},
            "showgrid": False,
        }
        layout[f"xaxis{suffix}"] |= {
            "type": "category",
            "categoryarray": panel.strides,
            "title": {"text": f"stride, padding {panel.padding}"},
            "showgrid": False,
        }
    layout["title"] = {"text": "<br>".join(filter(None, (shown.title, escaped(which))))}
    layout["coloraxis"] = {"showscale": False}
    return figure(traces, layout)


def _known(panel: Panel) -> dict[str, Any]:
    rows = [[panel.cells.get((k, s)) for s in panel.strides] for k in panel.kernels]
    return {
        "type": "heatmap",
        "x": panel.strides,
        "y": panel.kernels,
        "z": [[cell and cell.value for cell in row] for row in rows],
        "text": [[cell.text if cell else "" for cell in row] for row in rows],
        "texttemplate": "%{text}",
        "hovertext": [[lines(*cell.hints) if cell else "" for cell in row] for row in rows],
        "hoverinfo": "text",
        "hoverongaps": False,
        "customdata": [[cell and cell.group for cell in row] for row in rows],
        "coloraxis": "coloraxis",
        "xgap": 2,
        "ygap": 2,
    }


def _holes(panel: Panel) -> dict[str, Any]:
    holes = {place: cell for place, cell in panel.cells.items() if cell.value is None}
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [stride for _, stride in holes],
        "y": [kernel for kernel, _ in holes],
        "text": [cell.text for cell in holes.values()],
        "textposition": "middle center",
        "marker": {"size": 30, "opacity": 0},
        "textfont": {"color": NEUTRAL},
        "hovertext": [lines(*cell.hints) for cell in holes.values()],
        "hoverinfo": "text",
        "customdata": [cell.group for cell in holes.values()],
        "showlegend": False,
    }
