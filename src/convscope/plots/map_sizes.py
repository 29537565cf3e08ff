"""Sizes of the feature maps after each layer, drawn to scale, with a row per variant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.errors import UserError
from convscope.geometry import pair_token
from convscope.plots.registry import Figure, InReport, View
from convscope.plots.style import NEUTRAL, Trace, figure, heading, lines, scatter
from convscope.plots.variant_style import variant_style
from convscope.runs.record import RunRecord

_ROW, _SIDE, _AROUND = 52, 28, 100
"""Height of a row, longest side of a map, and height above and below the rows, in pixels."""
_NARROW = 180
"""Width of a row of maps on a page of 360 pixels, in pixels."""
_PAIR, _SMALL = 35, 10
"""Width of the text `28x30`, in pixels; font size for stages that are narrower."""
_MOST_ROWS = 60
_SETTING = 24
"""Characters in a line of a row's name."""

Stages = dict[str, tuple[int, int]]
"""Height and width after each stage: `input, conv1, pool1, conv2, …`."""


def map_sizes(runs: DataFrame) -> go.Figure:
    """Draw the feature map after each layer and pool as a square whose side is to scale.

    Groups with equal maps share a row; the longer side of a map is drawn.

    Args:
        runs: table from `frame`.

    Raises:
        UserError: no run has a geometry.
    """
    rows = [] if runs.empty else _rows(runs)
    sizes = [max(size) for _, stages, _ in rows for size in stages.values()]
    if not sizes:
        raise UserError("no run has feature maps: all variants are impossible, or there are none")
    shown = rows[:_MOST_ROWS]
    names = {name for _, stages, _ in rows for name in stages}
    room = _NARROW / len(names)
    scale = min(_SIDE, room - 2) / max(sizes)
    variants = runs.drop_duplicates("variant").set_index("variant", drop=False)
    colours = variant_style(variants)["colour"]
    traces = [
        _row(number, run, stages, groups, colours[run["variant"]], scale, room)
        for number, (run, stages, groups) in enumerate(shown)
    ]
    more = f"the first {len(shown)} of {len(rows)} variants" if len(rows) > len(shown) else ""
    layout: dict[str, Any] = {
        "title": heading("Feature maps, height x width", more),
        "height": _AROUND + _ROW * len(shown),
        "margin": {"t": _AROUND - 16, "b": 16, "r": 40},
        "xaxis": {
            "type": "category",
            "side": "top",
            "categoryorder": "array",
            "categoryarray": sorted(names, key=_stage_order),
            "showgrid": False,
        },
        "yaxis": {
            "tickvals": list(range(len(shown))),
            "ticktext": _names(shown, runs),
            "range": [len(shown) - 0.5, -0.5],
            "zeroline": False,
        },
    }
    return figure(traces, layout)


def _rows(runs: DataFrame) -> list[tuple[dict[str, Any], Stages, list[str]]]:
    """Return a run, the stages and the groups of each variant, in the table's order."""
    rows: dict[tuple[Any, ...], tuple[dict[str, Any], Stages, list[str]]] = {}
    columns = runs.drop_duplicates("group")[["group", "variant", "reason", "record"]]
    for run in columns.to_dict("records"):
        stages = _stages(run["record"])
        _, _, groups = rows.setdefault((run["variant"], *stages.items()), (run, stages, []))
        groups.append(run["group"])
    return list(rows.values())


def _names(rows: Sequence[tuple[dict[str, Any], Stages, list[str]]], runs: DataFrame) -> list[str]:
    """Return the variant of each row, with its settings where several rows have that variant."""
    count = Counter(run["variant"] for run, _, _ in rows)
    settings = runs.drop_duplicates("group").set_index("group")["setting"]
    return [
        lines(
            run["variant"],
            "; ".join(settings[groups].unique()) if count[run["variant"]] > 1 else "",
            width=_SETTING,
        )
        for run, _, groups in rows
    ]


def _stages(record: RunRecord) -> Stages:
    if not record.geometry:
        return {}
    shapes = {layer["name"]: layer["out_shape"] for layer in record.geometry}
    shapes = {"input": record.geometry[0]["in_shape"], **shapes}
    return {name: (height, width) for name, (_, height, width) in shapes.items()}


def _stage_order(name: str) -> tuple[int, bool, bool]:
    """Return the sort key of a stage: `input` first, and each layer before its blur and pool."""
    layer = name.removesuffix(".blur")
    number = re.search(r"\d+$", layer)
    return int(number[0]) if number else 0, layer.startswith("pool"), layer != name


def _row(
    number: int,
    run: dict[str, Any],
    stages: Stages,
    groups: list[str],
    colour: str,
    scale: float,
    room: float,
) -> Trace:
    """Return the squares of a row, or the text "impossible".

    Args:
        number: of the row, from 0.
        run: one of the variant's runs.
        stages: the variant's maps; empty if it is impossible.
        groups: ids of the variant's groups.
        colour: of the squares.
        scale: pixels of the figure per pixel of a map.
        room: width of a stage on a narrow page, in pixels.
    """
    if not stages:
        return scatter(
            "text",
            ["input"],
            [number],
            [lines(run["variant"], run["reason"] or "")],
            text=["impossible"],
            textposition="middle right",
            textfont={"color": NEUTRAL},
            customdata=[groups],
        )
    is_tight = room < _PAIR
    sizes = [pair_token(size) for size in stages.values()]
    return scatter(
        "markers+text",
        list(stages),
        [number] * len(stages),
        [
            lines(run["variant"], f"{name}: {height} x {width} px")
            for name, (height, width) in stages.items()
        ],
        text=[size.replace("x", "x<br>") if is_tight else size for size in sizes],
        # Below: beside its square, the text would cover the next one on a narrow page.
        textposition="bottom center",
        textfont={"size": _SMALL} if is_tight else {},
        cliponaxis=False,
        marker={
            "symbol": "square",
            "color": colour,
            "opacity": 1,
            "line": {"width": 0},
            "size": [scale * max(size) for size in stages.values()],
        },
        customdata=[groups] * len(stages),
    )


FIGURE = Figure(
    map_sizes,
    order=40,
    view=View("maps", "Feature maps"),
    reports=(
        InReport(
            "map-sizes",
            "What is left of the image, layer by layer",
            "Height and width of each layer's output, drawn to scale.",
        ),
    ),
)
