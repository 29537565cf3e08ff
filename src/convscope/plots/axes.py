"""Axes, ticks and intervals of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from convscope.metrics import Metric
from convscope.plots.style import Trace, lines, scatter
from convscope.plots.table import records, to_json_list

_MOST_TICKS = 5
_LOG_FROM = 4
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def is_log(metric: Metric, values: Series) -> bool:
    """Return whether these values need a logarithmic axis."""
    return bool(metric.log and values.min() > 0 and values.max() / values.min() >= _LOG_FROM)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values from 10**low to 10**high, few enough not to overlap at 360 pixels."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(inside) <= _MOST_TICKS:
            return inside
    return inside[:: math.ceil(len(inside) / _MOST_TICKS)]


def interval_columns(metric: Metric) -> list[str]:
    """Return the interval's columns in `groups.grouped`; none for a metric without seeds."""
    return [f"{metric.name}_low", f"{metric.name}_high"] if metric.per_run else []


def bounded(metric: Metric, ends: Series) -> Series:
    """Return the bounds of intervals, clipped to the range of the metric."""
    return ends.clip(metric.least, metric.most)


def error_bars(
    mean: Series, low: Series, high: Series, colour: str, thickness: float
) -> dict[str, Any]:
    """Return Plotly's error bars from `low` to `high` around `mean`."""
    return {
        "type": "data",
        "symmetric": False,
        "array": to_json_list(high - mean),
        "arrayminus": to_json_list(mean - low),
        "width": 0,
        "thickness": thickness,
        "color": colour,
    }


def jitter(number: int) -> NDArray[np.float64]:
    """Return offsets from -0.5 to 0.5 for points of a strip.

    By the golden ratio: successive offsets are far apart, and equal data have equal figures.
    """
    return (np.arange(number) * (math.sqrt(5) - 1) / 2) % 1 - 0.5


def strip(
    runs: DataFrame, x: Series, y: Series, metric: Metric, colours: Sequence[str] | str
) -> Trace:
    """Return a small point per run, for a strip beside a mean.

    Args:
        runs: rows of the table from `frame`.
        x: positions of the points.
        y: positions of the points.
        metric: the one that the points show.
        colours: of the points.
    """
    hints = [
        lines(f"{run['label']}, seed {run['seed']}", metric.text(run[metric.name]))
        for _, run in records(runs)
    ]
    marker = {"color": colours, "symbol": "circle", "size": 4, "opacity": 0.6}
    groups = list(runs["group"])
    return scatter(
        "markers", to_json_list(x), to_json_list(y), hints, marker=marker, customdata=groups
    )


def with_interval(metric: Metric, group: Mapping[str, Any]) -> str:
    """Return the value with its interval, if any: `98.75 % (95 % interval 98.61 % to 98.89 %)`."""
    text = metric.text(group[metric.name])
    ends = Series([group[column] for column in interval_columns(metric)], dtype=float)
    if ends.empty or pd.isna(ends[0]):
        return text
    low, high = map(metric.text, bounded(metric, ends))
    return f"{text} (95 % interval {low} to {high})"
