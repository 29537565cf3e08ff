"""Accuracy against its cost as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from pandas import DataFrame

from convscope.compare.figures.marks import NEUTRAL
from convscope.compare.figures.points import ACCURACY, COSTS, Panel, Points, points
from convscope.compare.figures.quantities import Quantity, chosen, rows
from convscope.compare.pictures.canvas import (
    PERCENT,
    SMALL,
    TEXT,
    TITLE,
    legend,
    mark,
    new_figure,
    plain_axes,
    png,
)

_PANEL = 3.6
_INTERVAL = "#b5b5b5"


def accuracy_png(runs: DataFrame, cost: str = "train_samples_per_sec") -> bytes:
    """`figures.accuracy_against` as a picture; raises as it does."""
    against = chosen("cost", cost, COSTS)
    shown = points(runs, against)
    figure = new_figure(_PANEL * len(shown.panels))
    for place, panel in enumerate(shown.panels, start=1):
        axes = figure.add_subplot(len(shown.panels), 1, place)
        _scales(axes, shown, against)
        _front(axes, panel, against)
        _points(axes, panel, shown.looks, against)
        axes.set_title(panel.title, loc="left", fontsize=TITLE, parse_math=False)
    legend(figure.axes[0], shown.looks)
    return png(figure, shown.note)


def _scales(axes: Axes, shown: Points, cost: Quantity) -> None:
    plain_axes(axes)
    low, high = shown.x
    if shown.log_x:
        low, high = 10**low, 10**high
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(low, high)
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
        drawstyle="steps-post",
        zorder=1,
    )


def _points(axes: Axes, panel: Panel, looks: DataFrame, cost: Quantity) -> None:
    side, align = (5, "left") if cost.more_is_better else (-5, "right")
    for name, group in rows(panel.groups.join(looks[["colour", "shape", "fill"]])):
        x, y = group[cost.column], group[ACCURACY.column]
        axes.errorbar(
            x,
            y,
            xerr=_half(group, cost),
            yerr=_half(group, ACCURACY),
            ecolor=_INTERVAL,
            elinewidth=1,
            fmt="none",
            zorder=2,
        )
        axes.plot(x, y, **mark(group["shape"], group["fill"], group["colour"]))
        axes.annotate(
            panel.labels.get(name, ""),
            (x, y),
            (side, 5),
            textcoords="offset points",
            ha=align,
            fontsize=SMALL,
            parse_math=False,
        )


def _half(group: Mapping[str, Any], shown: Quantity) -> float | None:
    """Half the interval's width; None of a single run."""
    if not shown.measured or math.isnan(group[f"{shown.column}_high"]):
        return None
    return float(group[f"{shown.column}_high"] - group[shown.column])
