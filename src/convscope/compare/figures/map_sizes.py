"""Feature maps per layer, drawn to scale: a row per variant."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare.figures.marks import Marks
from convscope.compare.figures.style import NEUTRAL, figure
from convscope.compare.figures.text import escaped, lines
from convscope.errors import UserError
from convscope.geometry.label import pair_token
from convscope.runs.record import RunRecord

_ROW, _LARGEST = 44, 30
_MOST_ROWS = 60

Stages = dict[str, tuple[int, int]]
"""Height and width after each stage, from `input` to the last layer."""


def map_sizes(runs: DataFrame) -> go.Figure:
    """The feature map after each layer and pool, as squares of proportional sides.

    Groups with equal maps share a row.

    Raises:
        UserError: no run has a geometry.
    """
    rows = _rows(runs)
    if not any(stages for _, _, stages, _ in rows):
        raise UserError("no run has a geometry: all variants are impossible, or there are none")
    marks = Marks(variant for variant, *_ in rows)
    traces = [_row(*row, marks) for row in rows[:_MOST_ROWS]]
    columns = [name for trace in traces for name in trace["x"]]
    more = f" (the first {_MOST_ROWS} of {len(rows)} variants)" if len(rows) > _MOST_ROWS else ""
    layout: dict[str, Any] = {
        "title": {"text": f"Feature maps, height x width{more}"},
        "height": 120 + _ROW * len(traces),
        "showlegend": False,
        "xaxis": {
            "type": "category",
            "side": "top",
            "categoryarray": sorted(set(columns), key=_stage_order),
            "showgrid": False,
        },
        "yaxis": {"type": "category", "autorange": "reversed"},
    }
    return figure(traces, layout)


def _rows(runs: DataFrame) -> list[tuple[str, str, Stages, list[str]]]:
    """Variant, reason, stages and groups, those of equal variant and stages joined."""
    rows: dict[tuple[Any, ...], tuple[str, str, Stages, list[str]]] = {}
    for _, run in runs.drop_duplicates("group").iterrows():
        stages = _stages(run["record"])
        key = (run["variant"], *stages.items())
        row = rows.setdefault(key, (run["variant"], run["reason"] or "", stages, []))
        row[3].append(run["group"])
    return list(rows.values())


def _stages(record: RunRecord) -> Stages:
    stages: Stages = {}
    size: list[int] = []
    for number, layer in enumerate(record.geometry):
        if layer["in_shape"][1:] != size:
            name = f"pool{number}" if number else "input"
            stages[name] = tuple(layer["in_shape"][1:])
        size = layer["out_shape"][1:]
        stages[layer["name"]] = tuple(size)
    return stages


def _stage_order(name: str) -> tuple[int, bool]:
    number = name.removeprefix("conv").removeprefix("pool")
    return (0, False) if name == "input" else (int(number), name.startswith("pool"))


def _row(
    variant: str, reason: str, stages: Stages, groups: list[str], marks: Marks
) -> dict[str, Any]:
    if not stages:
        return {
            "type": "scatter",
            "mode": "text",
            "x": ["input"],
            "y": [variant],
            "text": ["impossible"],
            "textposition": "middle center",
            "textfont": {"color": NEUTRAL},
            "hovertext": [lines(variant, reason)],
            "hoverinfo": "text",
            "customdata": [" ".join(groups)],
        }
    largest = max(max(size) for size in stages.values())
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": list(stages),
        "y": [escaped(variant)] * len(stages),
        "text": [pair_token(size) for size in stages.values()],
        "textposition": "middle right",
        "cliponaxis": False,
        "marker": {
            "symbol": "square",
            "color": marks.colour(variant),
            "size": [max(2, _LARGEST * max(size) / largest) for size in stages.values()],
        },
        "hovertext": [
            lines(variant, f"{name}: {pair_token(size)}") for name, size in stages.items()
        ],
        "hoverinfo": "text",
        "customdata": [" ".join(groups)] * len(stages),
    }
