"""Heat map of kernel size by stride, with a panel per padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from pandas import DataFrame

from convscope.analysis.anova import level_order, levels_of
from convscope.analysis.groups import grouped
from convscope.errors import UserError
from convscope.geometry import FACTORS, pair_token
from convscope.geometry.factors import PADDING
from convscope.metrics import METRICS, Metric, metrics_of
from convscope.plots.axes import with_interval
from convscope.plots.registry import GEOMETRY, SETTING, Choice, Figure, InReport
from convscope.plots.style import CELL_INK, NEUTRAL, Panel, Trace, lines, subplots
from convscope.plots.table import one_setting, records
from convscope.text import MISSING, counted

VALUE = Choice("value", "Heat map of", {metric.name: metric.title for metric in metrics_of("heat")})
IMPOSSIBLE, NOT_FINISHED, NOT_MEASURED = "×", "?", MISSING
_MEANINGS = {
    IMPOSSIBLE: "impossible",
    NOT_FINISHED: "not finished",
    NOT_MEASURED: "not measured",
}
_ROW = 36
"""Height of a row of cells, in pixels."""
_GREY = f"{NEUTRAL}29"


def heat(runs: DataFrame, value: str = "test_accuracy", setting: str | None = None) -> go.Figure:
    """Draw a metric by kernel size and stride, with a panel per level of every other factor.

    Args:
        runs: table from `frame`.
        value: name of the metric, one of `VALUE`.
        setting: the setting to draw; by default the one with the most finished runs.

    Raises:
        UserError: `value` is not an option, the setting does not exist, or no run has the value.
    """
    shown = METRICS[VALUE.check(value)]
    runs, which = one_setting(runs, setting)
    cells = _cells(runs, shown)
    kernels, strides = (
        sorted(cells[key].unique(), key=level_order) for key in ("kernel_size", "stride")
    )
    others = [
        factor for factor in FACTORS[2:] if factor is PADDING or cells[factor.key].nunique() > 1
    ]
    panels = [
        Panel(
            ", ".join(f"{factor.title} {one}" for factor, one in zip(others, shared, strict=True)),
            _ROW * len(kernels),
            _maps(part, kernels, strides),
            _axis("stride", strides),
            _axis("kernel", kernels) | {"autorange": "reversed"},
        )
        for shared, part in sorted(
            cells.groupby([factor.key for factor in others]),
            key=lambda panel: [*map(level_order, panel[0])],
        )
    ]
    marks = [
        f"{mark} {meaning}" for mark, meaning in _MEANINGS.items() if mark in set(cells["text"])
    ]
    return subplots([shown.heading, which, "; ".join(marks)], panels)


def _cells(runs: DataFrame, shown: Metric) -> DataFrame:
    """Return each group's levels, `value`, `text` and `hint`."""
    groups = grouped(runs)
    if groups[shown.name].isna().all():
        raise UserError(shown.missing)
    first = runs.drop_duplicates("group").set_index("group")["record"]
    # The last map is written as 4x4, not as its number of units.
    maps = {
        group: pair_token(record.geometry[-1]["out_shape"][1:])
        for group, record in first.items()
        if record.geometry and shown.name == "final_map"
    }
    texts = [_texts(group, shown, maps.get(name)) for name, group in records(groups)]
    cells = levels_of(groups).assign(value=groups[shown.name])
    cells[["text", "hint"]] = texts
    # Groups with equal levels would share a cell: show the last one.
    return cells.drop_duplicates([factor.key for factor in FACTORS], keep="last")


def _texts(group: Mapping[str, Any], shown: Metric, size: str | None) -> tuple[str, str]:
    """Return the text of a group's cell and its hover text."""
    value = group[shown.name]
    if pd.isna(value) and group["runs"]:
        return NOT_MEASURED, lines(group["label"], f"no value of {shown.title}")
    if pd.isna(value):
        text = IMPOSSIBLE if "skipped" in group["unfinished"] else NOT_FINISHED
        why = group["reason"] if isinstance(group["reason"], str) else group["unfinished"]
        return text, lines(group["label"], f"{_MEANINGS[text]}: {why}")
    runs = counted(group["runs"], "finished run")
    return size or shown.short(value), lines(group["label"], with_interval(shown, group), runs)


def _axis(title: str, levels: list[str]) -> dict[str, Any]:
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": levels,
        "title": {"text": title},
        "showgrid": False,
        "zeroline": False,
    }


def _maps(cells: DataFrame, kernels: list[str], strides: list[str]) -> list[Trace]:
    """Return the cells with a value, and those without one in grey."""
    is_known = cells["value"].notna()
    known = {"coloraxis": "coloraxis", "textfont": {"color": CELL_INK}}
    holes = {
        "colorscale": [[0, _GREY], [1, _GREY]],
        "showscale": False,
        "textfont": {"color": NEUTRAL},
    }
    traces = []
    for part, style in ((cells[is_known], known), (cells[~is_known].assign(value=0), holes)):
        columns = part.reset_index(names="group").set_index(["kernel_size", "stride"])

        def grid(column: str, missing: Any = None, columns: DataFrame = columns) -> list[list[Any]]:
            found = columns[column].to_dict()
            return [[found.get((k, s), missing) for s in strides] for k in kernels]

        traces.append(
            {
                "type": "heatmap",
                "x": strides,
                "y": kernels,
                "z": grid("value"),
                "text": grid("text", ""),
                "texttemplate": "%{text}",
                "hovertext": grid("hint", ""),
                "hoverinfo": "text",
                "hoverongaps": False,
                "customdata": grid("group"),
                "xgap": 2,
                "ygap": 2,
                **style,
            }
        )
    return traces


FIGURE = Figure(
    heat,
    order=20,
    view=GEOMETRY,
    choices=(VALUE, SETTING),
    reports=(
        InReport(
            "heat",
            "Test accuracy by kernel size, stride and padding",
            "Kernel size by stride, with a panel for each padding and for each level of other"
            " factors that vary. A cell shows a variant's mean over the seeds, or × if the variant"
            " is impossible.",
        ),
        InReport(
            "heat-shift-change",
            "Answers changed by a shift of one pixel, by kernel size, stride and padding",
            "As above, for the share of test images whose predicted class changes when the image"
            " moves by one pixel: the mean of the four directions and of the seeds.",
            {"value": "shift_change"},
            needs="shift_change",
        ),
    ),
)
