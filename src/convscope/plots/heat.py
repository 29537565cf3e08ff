"""Kernel size by stride as a heat map, a panel per padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.plots.cells import VALUES, Cell, Cells, Panel, cells
from convscope.plots.marks import NEUTRAL
from convscope.plots.quantities import chosen
from convscope.plots.stack import axes, axis_key, panel_title, stacked
from convscope.plots.style import CELL_INK, figure
from convscope.plots.text import lines

_ROW = 36
"""Height of a row of cells, pixels."""
_GREY = "rgba(140, 140, 140, 0.16)"

Shown = Mapping[tuple[str, str], Cell]


def heat(runs: DataFrame, value: str = "test_accuracy", setting: str | None = None) -> go.Figure:
    """Accuracy, last feature map, samples/s or MACs by kernel size, stride and padding.

    Args:
        runs: `frame`'s table.
        value: a column of `cells.VALUES`.
        setting: which one to draw; by default that with the most finished runs.

    Raises:
        UserError: `value` is none of them, there is no such setting, or no run has the value.
    """
    shown = chosen("value", value, VALUES)
    drawn = cells(runs, shown, setting)
    layout = stacked(drawn.titles, [_ROW * len(drawn.kernels)] * len(drawn.panels))
    layout["annotations"] = []
    traces = []
    for number, panel in enumerate(drawn.panels):
        on = axes(number)
        traces += [_known(drawn, panel) | on, _holes(drawn, panel) | on]
        layout["annotations"].append(panel_title(number, panel.title))
        layout[axis_key(on["xaxis"])] |= _axis("stride", drawn.strides)
        layout[axis_key(on["yaxis"])] |= _axis("kernel", drawn.kernels) | {"autorange": "reversed"}
    return figure(traces, layout)


def _axis(title: str, levels: list[str]) -> dict[str, Any]:
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": levels,
        "title": {"text": title},
        "showgrid": False,
        "zeroline": False,
    }


def _known(drawn: Cells, panel: Panel) -> dict[str, Any]:
    known = {place: cell for place, cell in panel.cells.items() if cell.value is not None}
    values = _table(drawn, known, lambda cell: cell.value)
    return _map(drawn, known) | {
        "z": values,
        "coloraxis": "coloraxis",
        "textfont": {"color": CELL_INK},
    }


def _holes(drawn: Cells, panel: Panel) -> dict[str, Any]:
    holes = {place: cell for place, cell in panel.cells.items() if cell.value is None}
    return _map(drawn, holes) | {
        "z": _table(drawn, holes, lambda cell: 0),
        "colorscale": [[0, _GREY], [1, _GREY]],
        "showscale": False,
        "textfont": {"color": NEUTRAL},
    }


def _map(drawn: Cells, shown: Shown) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": drawn.strides,
        "y": drawn.kernels,
        "text": _table(drawn, shown, lambda cell: cell.text, ""),
        "texttemplate": "%{text}",
        "hovertext": _table(drawn, shown, lambda cell: lines(*cell.hints), ""),
        "hoverinfo": "text",
        "hoverongaps": False,
        "customdata": _table(drawn, shown, lambda cell: cell.group),
        "xgap": 2,
        "ygap": 2,
    }


def _table(
    drawn: Cells, shown: Shown, of: Callable[[Cell], Any], missing: str | None = None
) -> list[list[Any]]:
    return [
        [
            of(shown[kernel, stride]) if (kernel, stride) in shown else missing
            for stride in drawn.strides
        ]
        for kernel in drawn.kernels
    ]
