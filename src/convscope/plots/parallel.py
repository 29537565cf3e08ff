"""Parallel coordinates: a line per finished group, from its factors to its results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame, Series
from pandas.api.types import is_numeric_dtype

from convscope.analysis.anova import level_order, levels_of
from convscope.analysis.frame import setting_keys, short
from convscope.geometry import FACTORS
from convscope.metrics import METRICS, Metric, metrics_of
from convscope.plots.axes import is_log
from convscope.plots.registry import Figure, View
from convscope.plots.style import escaped, figure, heading
from convscope.plots.table import measured_groups
from convscope.text import abbreviated, counted, listed, shorten

_ACCURACY = METRICS["test_accuracy"]
_MOST_TICKS = 7
"""Largest number of ticks on a numeric axis, including minimum and maximum."""
_NEAREST = 0.045
"""Smallest distance of two ticks, as a fraction of the axis."""
_AXIS = 92
"""Width of an axis with its texts, in pixels."""
_LONGEST = 12
"""Largest number of characters of a tick's text."""


def parallel(runs: DataFrame) -> go.Figure:
    """Draw each group's factors, other varying settings, sizes, costs and accuracy.

    Axes on which all groups are equal are left out, except that of the accuracy, and so are
    latencies and diagnostics that not every group has. Quantities that span orders of magnitude
    have logarithmic axes; levels are equidistant.

    Args:
        runs: table from `frame`.

    Raises:
        UserError: no finished run has a test accuracy.
    """
    groups = measured_groups(runs)
    # Sizes and costs come before the results.
    shown = [metric for metric in reversed(metrics_of("parallel")) if metric is not _ACCURACY]
    numbers = [metric for metric in shown if _differs(groups[metric.name])]
    partial = [one for one in numbers if one.is_optional and groups[one.name].isna().any()]
    numbers = [metric for metric in numbers if metric not in partial]
    whole = groups.dropna(subset=[metric.name for metric in numbers])
    without = len(groups) - len(whole)
    accuracies = list(whole[_ACCURACY.name])
    dimensions = [
        *(_levels(title, values) for title, values in _named(whole).items() if _differs(values)),
        *(_numbers(metric, whole[metric.name]) for metric in numbers),
        _dimension("accuracy %", accuracies, spaced(accuracies, _MOST_TICKS), _ACCURACY.short),
    ]
    trace = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": {"color": accuracies, "coloraxis": "coloraxis2"},
        "customdata": list(whole.index),
        "labelangle": -35,
        "tickfont": {"size": 10},
    }
    layout = {
        "height": 490,
        "margin": {"l": 40, "r": 60, "t": 134, "b": 64},
        "coloraxis2": {"showscale": True, "colorbar": _COLOUR_KEY},
        "meta": {"least_width": _AXIS * len(dimensions)},
        "title": heading(
            "Means of each group",
            "drag along an axis to select",
            "line colour: test accuracy, by the key below",
            f"{counted(without, 'group')} without all numbers left out" if without else "",
            f"not measured for all: {listed([one.title for one in partial])}" if partial else "",
        ),
    }
    return figure([trace], layout)


def _differs(values: Series) -> bool:
    return bool(values.nunique() > 1)


def _named(groups: DataFrame) -> dict[str, Series]:
    """Return the ordinal columns (factors, and settings that vary), by title."""
    levels = levels_of(groups)
    keys = [key for key in setting_keys(groups) if _differs(groups[key])]
    return {
        **{factor.title: levels[factor.key] for factor in FACTORS},
        **{short(key, keys): groups[key] for key in keys},
    }


def _levels(title: str, values: Series) -> dict[str, Any]:
    """Return an axis with the sorted values at equal distances."""
    numeric = is_numeric_dtype(values)
    # As text, so that 1 and "1" are the same level.
    values = values if numeric else values.map(str, na_action="ignore")
    present = sorted(values.dropna().unique(), key=None if numeric else level_order)
    names = [f"{value:,g}" if numeric else shorten(value, _LONGEST) for value in present]
    positions = {value: position for position, value in enumerate(present)}
    # Missing values are at the bottom.
    shown = [positions.get(value, -1) for value in values]
    named = dict(enumerate(names)) | ({-1: "–"} if -1 in shown else {})
    ticks = spaced(list(named), len(named))
    return _dimension(title, shown, ticks, lambda tick: escaped(named[int(tick)]))


def _numbers(metric: Metric, values: Series) -> dict[str, Any]:
    unit = "%" if metric.is_share else "px" if metric.unit == "px" else ""
    title = f"{metric.head} {unit}".rstrip()
    if not is_log(metric, values):
        text = metric.short if metric.is_share else abbreviated
        return _dimension(title, list(values), spaced(values, _MOST_TICKS), text)
    logs = [math.log10(value) for value in values]
    ticks = spaced(logs, _MOST_TICKS)
    return _dimension(title, logs, ticks, lambda log: abbreviated(10**log))


def _dimension(
    title: str, values: Sequence[float], ticks: list[float], text: Callable[[float], str]
) -> dict[str, Any]:
    return {
        "label": escaped(title),
        "values": values,
        "tickvals": ticks,
        "ticktext": [text(tick) for tick in ticks],
    }


def spaced(values: Iterable[float], most: int) -> list[float]:
    """Return at most `most` of the values as ticks: minimum, maximum, and evenly spaced others.

    Values that are too close to other ticks are left out.
    """
    present = sorted(set(values))
    low, high = present[0], present[-1]
    room = _NEAREST * (high - low)
    kept = [low, high] if high > low else [low]
    for step in range(1, most - 1):
        even = low + (high - low) * step / (most - 1)
        nearest = min(present, key=lambda value: abs(value - even))
        if all(abs(nearest - other) >= room for other in kept):
            kept.append(nearest)
    return sorted(kept)


_COLOUR_KEY = {
    "orientation": "h",
    "tickformat": _ACCURACY.tick_format,
    "nticks": 5,
    "thickness": 10,
    "len": 0.6,
    "x": 0,
    "xanchor": "left",
    "y": 0,
    "yref": "container",
    "yanchor": "bottom",
    "outlinewidth": 0,
}


FIGURE = Figure(parallel, order=30, view=View("parallel", "Parallel coordinates"))
