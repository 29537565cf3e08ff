"""Parallel coordinates: a line per finished group, from its window to what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame, Series
from pandas.api.types import is_numeric_dtype

from convscope.analysis.anova import in_order, levels_of
from convscope.analysis.frame import setting_keys, short
from convscope.geometry import FACTORS
from convscope.plots.points import ACCURACY, measured_groups
from convscope.plots.quantities import QUANTITIES, plain
from convscope.plots.stack import heading
from convscope.plots.style import figure
from convscope.plots.text import escaped
from convscope.text import abbreviated, counted, shorten

_NUMBERS = {
    "receptive_field": "RF px",
    "final_map": "map",
    "params": "params",
    "macs": "MACs",
    "train_samples_per_sec": "samples/s",
}
_MOST_TICKS = 7
"""Of numbers, the least and the greatest among them."""
_NEAREST = 0.045
"""Ticks that are nearer to each other would overlap: part of the axis."""
_AXIS = 92
"""Width that the texts of an axis need, pixels."""
_LONGEST = 12
"""Characters of a name beside an axis."""


def parallel(runs: DataFrame) -> go.Figure:
    """Kernel size, stride, padding, what else differs, sizes, costs and accuracy of each group.

    An axis on which all groups are equal is left out, all but the accuracy's. Quantities over
    orders of magnitude are drawn by their logarithm to base 10, levels by their place in order.

    Raises:
        UserError: no run is finished with an accuracy.
    """
    groups = measured_groups(runs)
    numbers = {title: groups[name] for name, title in _NUMBERS.items() if _differs(groups[name])}
    whole = groups.dropna(subset=[values.name for values in numbers.values()])
    without = len(groups) - len(whole)
    dimensions = [
        *(_places(title, values) for title, values in _named(whole).items() if _differs(values)),
        *(_numbers(title, whole[values.name]) for title, values in numbers.items()),
        _dimension("accuracy %", list(whole[ACCURACY.column]), ACCURACY.short),
    ]
    trace = {
        "type": "parcoords",
        "dimensions": dimensions,
        "line": {"color": plain(whole[ACCURACY.column]), "coloraxis": "coloraxis2"},
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
        ),
    }
    return figure([trace], layout)


def _differs(values: Series) -> bool:
    return bool(values.nunique() > 1)


def _named(groups: DataFrame) -> dict[str, Series]:
    """Columns whose values have an order but no distance, by title."""
    levels = levels_of(groups)
    keys = [key for key in setting_keys(groups) if _differs(groups[key])]
    return {
        **{factor.title: levels[factor.key] for factor in FACTORS},
        **{short(key, keys): groups[key] for key in keys},
    }


def _places(title: str, values: Series) -> dict[str, Any]:
    numeric = is_numeric_dtype(values)
    present = values.dropna().unique()
    # As text 1 and "1" are one.
    ordered = sorted(present) if numeric else sorted(set(map(str, present)), key=in_order)
    names = [f"{value:,g}" if numeric else shorten(value, _LONGEST) for value in ordered]
    places = {value: place for place, value in enumerate(ordered)}
    # What a group does not have is a place of its own, below.
    shown = [places.get(value if numeric else str(value), -1) for value in values]
    if -1 in shown:
        places, names = {"–": -1, **places}, ["–", *names]
    of_place = dict(zip(places.values(), names, strict=True))
    ticks = spaced(list(of_place), len(of_place))
    return {
        "label": escaped(title),
        "values": shown,
        "tickvals": ticks,
        "ticktext": [escaped(of_place[int(tick)]) for tick in ticks],
    }


def _numbers(title: str, values: Series) -> dict[str, Any]:
    if not QUANTITIES[str(values.name)].is_log(values):
        return _dimension(title, list(values), abbreviated)
    logs = [math.log10(value) for value in values]
    return _dimension(title, logs, lambda log: abbreviated(10**log))


def _dimension(title: str, values: list[float], text: Callable[[float], str]) -> dict[str, Any]:
    ticks = spaced(values, _MOST_TICKS)
    return {
        "label": title,
        "values": values,
        "tickvals": ticks,
        "ticktext": [text(tick) for tick in ticks],
    }


def spaced(values: Sequence[float], most: int) -> list[float]:
    """At most so many of the values, the least and the greatest among them, with room between.

    The others are those nearest to even steps between the two.
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
    "tickformat": ACCURACY.tick_format,
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
