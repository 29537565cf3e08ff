"""Parallel coordinates: a line per finished group from its window to what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from pandas import DataFrame

from convscope.compare.figures.accuracy import ACCURACY
from convscope.compare.figures.marks import Window, by_size
from convscope.compare.figures.quantities import QUANTITIES, abbreviated, plain
from convscope.compare.figures.style import SCALE, figure
from convscope.compare.figures.text import escaped
from convscope.compare.groups import grouped
from convscope.errors import UserError
from convscope.tables import percent

_MEASURED = {
    "receptive_field": "sees, px",
    "final_map": "map units",
    "params": "params",
    "macs": "MACs",
    "train_samples_per_sec": "samples/s",
}
_TICKS = 5


def parallel(runs: DataFrame) -> go.Figure:
    """Kernel size, stride, padding, setting, sizes, costs and accuracy of each group.

    An axis on which all groups are equal is left out.

    Raises:
        UserError: no run is finished with an accuracy.
    """
    groups = grouped(runs)
    if len(groups):
        groups = groups.dropna(subset=[ACCURACY.column])
    if groups.empty:
        raise UserError("no finished run has a test accuracy")
    windows = [Window.of(variant) for variant in groups["variant"]]
    dimensions = [
        _named("kernel", [window.kernel for window in windows]),
        _named("stride", [window.stride for window in windows]),
        _named("padding", groups["padding_policy"]),
        _named("setting", groups["setting"]),
        *(_numbers(title, column, groups[column]) for column, title in _MEASURED.items()),
    ]
    accuracy = groups[ACCURACY.column]
    trace = {
        "type": "parcoords",
        "dimensions": [*filter(None, dimensions), _accuracies(accuracy)],
        "line": {"color": plain(accuracy), "colorscale": SCALE},
        "customdata": list(groups.index),
        "labelangle": -20,
        "labelside": "top",
    }
    return figure(
        [trace],
        {
            "height": 440,
            "margin": {"l": 56, "r": 64, "t": 100, "b": 24},
            "title": {"text": "Each group's mean; drag along an axis to select"},
        },
    )


def _named(title: str, values: Sequence[str]) -> dict[str, Any] | None:
    names = sorted(set(values), key=by_size)
    if len(names) == 1:
        return None
    return {
        "label": title,
        "values": [names.index(value) for value in values],
        "tickvals": list(range(len(names))),
        "ticktext": [escaped(name) or "–" for name in names],
    }


def _numbers(title: str, column: str, values: pd.Series) -> dict[str, Any] | None:
    if values.nunique() < 2:
        return None
    short = QUANTITIES[column].short
    if not QUANTITIES[column].is_log(values):
        return {"label": title, "values": plain(values)}
    ticks = [
        values.min() * (values.max() / values.min()) ** (n / _TICKS) for n in range(_TICKS + 1)
    ]
    return {
        "label": title,
        "values": [math.log10(value) for value in values],
        "tickvals": [math.log10(tick) for tick in ticks],
        "ticktext": [short(tick) for tick in ticks],
    }


def _accuracies(values: pd.Series) -> dict[str, Any]:
    low, high = values.min(), values.max()
    ticks = [low + (high - low) * n / _TICKS for n in range(_TICKS + 1)] if high > low else [low]
    return {
        "label": "accuracy",
        "values": plain(values),
        "tickvals": ticks,
        "ticktext": [percent(tick) for tick in ticks],
    }
