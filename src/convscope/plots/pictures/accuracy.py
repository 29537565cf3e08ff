"""Accuracy against its cost as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from pandas import DataFrame

from convscope.plain_pictures import plain_label, plain_text
from convscope.plots.marks import NEUTRAL
from convscope.plots.pictures.canvas import (
    MOST_OF_A_TITLE,
    PERCENT,
    SMALL,
    TEXT,
    TITLE,
    legend,
    legend_height,
    mark,
    new_figure,
    plain_axes,
    png,
)
from convscope.plots.points import ACCURACY, COSTS, Panel, Points, Range, points
from convscope.plots.quantities import Quantity, chosen, log_ticks, rows

_PANEL = 3.6
_INTERVAL = "#b5b5b5"


@plain_text()
def accuracy_png(runs: DataFrame, cost: str = "train_samples_per_sec") -> bytes:
    """`figures.accuracy_against` as a picture; raises as it does."""
    against = chosen("cost", cost, COSTS)
    shown = points(runs, against)
    has_front = any(panel.front for panel in shown.panels)
    height = max(_PANEL * len(shown.panels), legend_height(shown.looks, has_front))
    figure = new_figure(height)
    for place, panel in enumerate(shown.panels, start=1):
        axes = figure.add_subplot(len(shown.panels), 1, place)
        _scales(axes, shown, against)
        if panel.front:
            _front(axes, panel, against)
        _points(axes, panel, shown, against)
        axes.set_title(plain_label(panel.title, MOST_OF_A_TITLE), loc="left", fontsize=TITLE)
    legend(figure.axes[0], shown.looks, has_front)
    return png(figure, shown.note)


def _scales(axes: Axes, shown: Points, cost: Quantity) -> None:
    plain_axes(axes)
    if shown.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(*shown.x)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(*shown.x_values)
    axes.set_ylim(*shown.y)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cost.short(value)))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set_xlabel(f"{cost.title}, {cost.which_is_better}", fontsize=TEXT)
    axes.set_ylabel(ACCURACY.title, fontsize=TEXT)


def _front(axes: Axes, panel: Panel, cost: Quantity) -> None:
    front = panel.groups.loc[panel.front]
    axes.plot(
        front[cost.column],
        front[ACCURACY.column],
        color=NEUTRAL,
        linestyle=":",
        zorder=1,
    )


def _points(axes: Axes, panel: Panel, shown: Points, cost: Quantity) -> None:
    groups = panel.groups.sort_values(ACCURACY.column, kind="stable").join(shown.looks)
    for name, group in rows(groups):
        x, y = group[cost.column], group[ACCURACY.column]
        _interval(axes, group, ACCURACY, shown.y, cost)
        if cost.measured:
            _interval(axes, group, cost, shown.x_values, cost)
        axes.plot(x, y, **mark(group))
        if label := panel.labels.get(name):
            up, right = label.position.split()
            align_x, align_y = _ALIGN[right], _ALIGN[up]
            axes.annotate(
                plain_label(label.text),
                (x, y),
                (5 * align_x[0], 5 * align_y[0]),
                textcoords="offset points",
                ha=align_x[1],
                va=align_y[1],
                fontsize=SMALL,
            )


_ALIGN = {
    "left": (-1, "right"),
    "center": (0, "center"),
    "right": (1, "left"),
    "top": (1, "bottom"),
    "middle": (0, "center"),
    "bottom": (-1, "top"),
}
"""Of Plotly's places of a label, the direction from the point and how the text is set."""


def _interval(
    axes: Axes, group: Mapping[str, Any], quantity: Quantity, ends: Range, cost: Quantity
) -> None:
    """A bar of the interval; a triangle at the axis's end where it goes on."""
    low, high = (group[f"{quantity.column}_{end}"] for end in ("low", "high"))
    if math.isnan(low):
        return
    x, y = group[cost.column], group[ACCURACY.column]
    cut_low, cut_high = max(low, ends[0]), min(high, ends[1])
    if quantity is ACCURACY:
        axes.vlines(x, cut_low, cut_high, _INTERVAL, linewidth=1, zorder=2)
        triangles = ((x, cut_low, "v", low < cut_low), (x, cut_high, "^", high > cut_high))
    else:
        axes.hlines(y, cut_low, cut_high, _INTERVAL, linewidth=1, zorder=2)
        triangles = ((cut_low, y, "<", low < cut_low), (cut_high, y, ">", high > cut_high))
    for across, up, marker, is_cut in triangles:
        if is_cut:
            axes.scatter(across, up, s=16, color=NEUTRAL, marker=marker, clip_on=False, zorder=2)
