"""Parallel coordinates: a line per finished group, from its window to what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame, Series
from pandas.api.types import is_numeric_dtype

from convscope.compare.effects import levels_of
from convscope.compare.figures.points import ACCURACY
from convscope.compare.figures.quantities import QUANTITIES, plain
from convscope.compare.figures.style import figure
from convscope.compare.figures.text import escaped
from convscope.compare.frame import setting_keys, short
from convscope.compare.grid import in_order
from convscope.compare.groups import grouped
from convscope.errors import UserError

_LEVELS = {"kernel_size": "kernel", "stride": "stride", "padding_policy": "padding"}
_NUMBERS = {
    "receptive_field": "sees px",
    "final_map": "map",
    "params": "params",
    "macs": "MACs",
    "train_samples_per_sec": "samples/s",
    "test_accuracy": "accuracy %",
}
_STEPS = 4
_LONGEST = 12
"""Characters of a name beside an axis."""


def parallel(runs: DataFrame) -> go.Figure:
    """Kernel size, stride, padding, what else differs, sizes, costs and accuracy of each group.

    An axis on which all groups are equal is left out, all but the accuracy's.

    Raises:
        UserError: no run is finished with an accuracy.
    """
    groups = grouped(runs)
    if len(groups):
        groups = groups.dropna(subset=[ACCURACY.column])
    if groups.empty:
        raise UserError(f"no finished run has {ACCURACY.title}")
    levels = levels_of(groups)
    keys = [key for key in setting_keys(groups) if groups[key].nunique() > 1]
    columns = [
        *((title, levels[name], str) for name, title in _LEVELS.items()),
        *((short(key, keys), groups[key], "{:g}".format) for key in keys),
        *((title, groups[name], QUANTITIES[name].short) for name, title in _NUMBERS.items()),
    ]
    dimensions = [
        _numbers(title, values, text) if is_numeric_dtype(values) else _names(title, values)
        for title, values, text in columns
        if values.nunique() > 1 or values.name == ACCURACY.column
    ]
    trace = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": {"color": plain(groups[ACCURACY.column]), "coloraxis": "coloraxis"},
        "customdata": list(groups.index),
        "labelangle": -35,
        "tickfont": {"size": 10},
    }
    layout = {
        "height": 420,
        "margin": {"l": 40, "r": 60, "t": 108, "b": 24},
        "coloraxis": {"showscale": False},
        "title": {"text": "Means of each group; drag along an axis to select"},
    }
    return figure([trace], layout)


def _names(title: str, values: Series) -> dict[str, Any]:
    texts = [str(value) for value in values]
    names = sorted(set(texts), key=in_order)
    return {
        "label": escaped(title),
        "values": [names.index(text) for text in texts],
        "tickvals": list(range(len(names))),
        "ticktext": [escaped(_cut(name)) for name in names],
    }


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _numbers(title: str, values: Series, text: Callable[[float], str]) -> dict[str, Any]:
    log = values.name in QUANTITIES and QUANTITIES[values.name].is_log(values)
    shown = [math.log10(value) for value in values] if log else plain(values)
    ticks = _ticks([one for one in shown if one is not None])
    return {
        "label": escaped(title),
        "values": shown,
        "tickvals": ticks,
        "ticktext": [text(10**tick if log else tick) for tick in ticks],
    }


def _ticks(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    if low == high:
        return [low]
    return [low + (high - low) * step / _STEPS for step in range(_STEPS + 1)]
