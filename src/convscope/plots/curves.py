"""Learning curves: a line per group, the mean over its runs, and a band over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.analysis.anova import in_order, levels_of
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.plots.histories import Curve, learned
from convscope.plots.labels import placed
from convscope.plots.marks import key, key_height, looks
from convscope.plots.quantities import log_ticks, rows
from convscope.plots.settings import MOST_PANELS, SINGLE, parts
from convscope.plots.stack import axes, axis_key, panel_title, stacked
from convscope.plots.style import figure
from convscope.plots.text import escaped, lines
from convscope.runs.history import METRICS
from convscope.text import counted, percent

_HEIGHT = 240
"""Of a panel, pixels."""
_MOST_BANDS = 4
"""Groups of a panel; more bands hide each other and the lines."""
_FEW_EPOCHS = 12
_BAND, _MARGIN = 0.14, 0.05


def curves(runs: DataFrame, metric: str = "val/accuracy") -> go.Figure:
    """A metric per epoch: the mean over a group's runs, from least to greatest a band.

    Where a group has finished runs these alone count. A panel per setting; where there is but one
    setting a panel per stride, or per stride and padding where that leaves room for bands, which
    are drawn where no panel has more than 4 groups. All panels share their axes, when zoomed too.

    Args:
        runs: `frame`'s table; each run's history is read beside its record.
        metric: of `history.METRICS`.

    Raises:
        UserError: `metric` is none of them, or no run has it.
    """
    if metric not in METRICS:
        raise UserError(f"metric must be one of {', '.join(METRICS)}, got {metric}")
    found, unreadable = learned(runs, metric)
    if not found:
        raise UserError(unreadable[0] if unreadable else f"no run has {metric} in its history")
    groups = runs.drop_duplicates("group").set_index("group").loc[list(found)]
    look = looks(groups)
    panels = _panels(groups)
    shown = panels[:MOST_PANELS]
    banded = max(len(part) for _, part in shown) <= _MOST_BANDS and any(
        curve.runs > 1 for curve in found.values()
    )
    every = max(curve.every for curve in found.values())
    titles = [
        f"{metric}, mean over seeds",
        "band: least to greatest seed" if banded else "",
        "drag over the last epochs to zoom in",
        f"one of every {every} epochs is drawn" if every > 1 else "",
        *_missing(len(panels) - len(shown), unreadable),
    ]
    layout = stacked(titles, [_HEIGHT] * len(shown), legend=key_height(look))
    traces = key(look, lines=True)
    epochs = _epochs(found)
    values = _values(found, metric, banded=banded) | {"title": {"text": metric}}
    for number, (title, part) in enumerate(shown):
        on = axes(number)
        ends = _ends(part, found) if title == SINGLE else {}
        for group, about in rows(part[["label"]].join(look)):
            if banded:
                traces.append(_band(group, found[group], about["colour"]) | on)
            traces.append(_line(group, about, found[group], metric, ends.get(group, "")) | on)
        first = axes(0) if number else {"xaxis": None, "yaxis": None}
        layout[axis_key(on["xaxis"])] |= epochs | {"matches": first["xaxis"]}
        layout[axis_key(on["yaxis"])] |= values | {"matches": first["yaxis"]}
    layout["annotations"] = [panel_title(number, name) for number, (name, _) in enumerate(shown)]
    return figure(traces, layout)


def _panels(groups: DataFrame) -> list[tuple[str, DataFrame]]:
    """A panel per setting; of a single one a panel per stride, or also per padding and the like."""
    if groups["setting"].nunique() > 1:
        return parts(groups)
    levels = levels_of(groups)
    by_stride = _split(groups, levels[["stride"]])
    more = [key for key in levels if key != "kernel_size" and levels[key].nunique() > 1]
    by_both = _split(groups, levels[list(dict.fromkeys(["stride", "padding", *more]))])
    has_room = len(by_both) <= MOST_PANELS and _most(by_both) <= _MOST_BANDS
    return by_both if _most(by_stride) > _MOST_BANDS and has_room else by_stride


def _split(groups: DataFrame, levels: DataFrame) -> list[tuple[str, DataFrame]]:
    names = levels.rename(columns={factor.key: factor.title for factor in FACTORS})
    titles = names.apply(lambda row: ", ".join(f"{n} {v}" for n, v in row.items()), axis="columns")
    ordered = sorted(
        names.drop_duplicates().itertuples(), key=lambda one: [*map(in_order, one[1:])]
    )
    return [(titles[level.Index], groups[(titles == titles[level.Index])]) for level in ordered]


def _most(panels: list[tuple[str, DataFrame]]) -> int:
    return max(len(part) for _, part in panels)


def _ends(groups: DataFrame, found: dict[str, Curve]) -> dict[str, str]:
    """What is written where a curve ends: the setting."""
    last = {str(group): found[str(group)].means[-1] for group in groups.index}
    low, high = min(last.values()), max(last.values())
    places = {group: (1.0, (mean - low) / ((high - low) or 1)) for group, mean in last.items()}
    labels = dict(zip(last, groups["setting"], strict=True))
    kept = placed(labels, places, sorted(last, key=lambda group: -last[group]))
    return {group: label.text for group, label in kept.items()}


def _missing(panels: int, unreadable: list[str]) -> list[str]:
    """What is not shown, a line each."""
    missing = [f"{counted(panels, 'more panel')} not shown"] if panels else []
    if unreadable:
        others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        missing.append(f"left out: {unreadable[0]}{others}")
    return missing


def _band(group: str, curve: Curve, colour: str) -> dict[str, Any]:
    epochs, values = list(curve.values), list(curve.values.values())
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return {
        "type": "scatter",
        "mode": "none",
        "x": [*epochs, *reversed(epochs)],
        "y": [*map(max, values), *map(min, reversed(values))],
        "fill": "toself",
        "fillcolor": f"rgba({red}, {green}, {blue}, {_BAND})",
        "customdata": [group] * (2 * len(epochs)),
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _line(
    group: str, about: Mapping[str, Any], curve: Curve, metric: str, end: str
) -> dict[str, Any]:
    epochs = list(curve.values)
    written = {"text": [""] * (len(epochs) - 1) + [escaped(end)], "textposition": "top left"}
    return {
        "type": "scatter",
        "mode": "lines+markers+text" if end else "lines+markers",
        "x": epochs,
        "y": curve.means,
        **(written if end else {}),
        "line": {"color": about["colour"], "dash": about["dash"], "width": about["width"]},
        "marker": {"symbol": about["shape"] + about["fill"], "size": 0.7 * about["size"]},
        "customdata": [group] * len(epochs),
        "hovertext": [
            _hint(about["label"], epoch, of, metric) for epoch, of in curve.values.items()
        ],
        "hoverinfo": "text",
        "showlegend": False,
    }


def _hint(label: str, epoch: int, values: list[float], metric: str) -> str:
    text = percent if metric.endswith("/accuracy") else "{:,.4g}".format
    mean = text(sum(values) / len(values))
    if len(values) == 1:
        return lines(label, f"epoch {epoch}: {mean}", "1 run")
    least, greatest = text(min(values)), text(max(values))
    return lines(
        label, f"epoch {epoch}: {mean} ({least} to {greatest})", counted(len(values), "run")
    )


def _epochs(found: dict[str, Curve]) -> dict[str, Any]:
    last = max(max(curve.values) for curve in found.values())
    return {"title": {"text": "epoch"}, **({"dtick": 1} if last <= _FEW_EPOCHS else {})}


def _values(found: dict[str, Curve], metric: str, *, banded: bool) -> dict[str, Any]:
    """An axis that holds every curve, and every band where they are drawn."""
    shown = [
        value
        for curve in found.values()
        for value in ([v for of in curve.values.values() for v in of] if banded else curve.means)
    ]
    low, high = min(shown), max(shown)
    if metric.endswith("/loss") and low > 0:
        low, high = math.log10(low), math.log10(high)
        range_ = _with_margin(low, high)
        ticks = log_ticks(*range_)
        return {
            "type": "log",
            "range": range_,
            "tickvals": ticks,
            "ticktext": [f"{tick:,g}" for tick in ticks],
        }
    tick_format = ".3~%" if metric.endswith("/accuracy") else ",~g"
    return {"tickformat": tick_format, "range": _with_margin(low, high)}


def _with_margin(low: float, high: float) -> tuple[float, float]:
    margin = _MARGIN * (high - low or abs(high) or 1)
    return low - margin, high + margin
