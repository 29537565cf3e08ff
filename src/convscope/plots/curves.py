"""Learning curves: a line per group for the mean over its runs, and a band for their range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from pandas import DataFrame

from convscope.analysis.anova import level_order, levels_of
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.plots.axes import log_ticks
from convscope.plots.labels import non_overlapping
from convscope.plots.registry import Choice, Figure, InReport, View
from convscope.plots.style import DRAG_HINT, Panel, Trace, escaped, lines, scatter, subplots
from convscope.plots.table import MOST_PANELS, SINGLE, records, split_by_setting
from convscope.plots.variant_style import legend_traces, variant_style
from convscope.runs.directory import RunDirectory
from convscope.runs.history import METRICS, History
from convscope.text import counted, percent

METRIC = Choice(
    "metric",
    "Curves of",
    {
        "val/accuracy": "validation accuracy",
        "val/loss": "validation loss",
        "train/accuracy": "training accuracy",
        "train/loss": "training loss",
        "throughput/train_samples_per_sec": "training samples/s",
    },
)
MOST_EPOCHS = 2_000
"""Largest number of epochs per curve, more than a figure has pixels; longer ones are thinned."""
_HEIGHT = 240
"""Height of a panel, in pixels."""
_MOST_BANDS = 4
"""Largest number of groups in a panel with bands; more would hide each other and the lines."""
_FEW_EPOCHS = 12
_MARGIN = 0.05
_FAINT = "24"
"""Suffix of a colour for an opacity of 1/7."""


@dataclass(frozen=True)
class Curve:
    """A metric of a group's runs.

    Args:
        runs: number of runs that have it.
        values: the runs' values by epoch.
        every: step between the epochs of `values`.
    """

    runs: int
    values: dict[int, list[float]]
    every: int = 1

    @cached_property
    def means(self) -> list[float]:
        """Mean over the runs per epoch."""
        return [sum(values) / len(values) for values in self.values.values()]


def load_curves(runs: DataFrame, metric: str) -> tuple[dict[str, Curve], list[str]]:
    """Return the curves by group, and the errors of unreadable histories.

    If a group has finished runs, only these count, as others lack the last epochs. Pruned runs do
    not count.

    Args:
        runs: table from `frame`.
        metric: one of `history.METRICS`.
    """
    curves: dict[str, Curve] = {}
    unreadable: list[str] = []
    runs = runs[runs["status"] != "pruned"]
    is_finished = runs["status"] == "finished"
    counting = runs[is_finished | ~runs["group"].isin(runs.loc[is_finished, "group"])]
    for group, paths in counting.groupby("group", sort=False)["path"]:
        series = []
        for path in paths:
            try:
                series.append(_series(Path(path), metric))
            except UserError as error:
                unreadable.append(str(error))
        epochs = sorted(set().union(*series))
        if epochs:
            every = -(-len(epochs) // MOST_EPOCHS)
            # Counted from the last epoch, which is always drawn.
            drawn = epochs[::-every][::-1]
            values = {epoch: [one[epoch] for one in series if epoch in one] for epoch in drawn}
            curves[str(group)] = Curve(sum(map(bool, series)), values, every)
    return curves, unreadable


def _series(run: Path, metric: str) -> dict[int, float]:
    """Return the metric by epoch; {} without a history.

    Raises:
        UserError: the history is not a regular file, is unreadable, or has an invalid accuracy.
    """
    path = RunDirectory(run).history
    series = {
        int(row["epoch"] or 0): float(value)
        for row in History(path).read()
        if (value := row[metric]) is not None and math.isfinite(value)
    }
    for epoch, value in series.items():
        if metric.endswith("/accuracy") and not 0 <= value <= 1:
            raise UserError(f"{path} epoch {epoch}: {metric} must be a share, 0 to 1, got {value}")
    return series


def curves(runs: DataFrame, metric: str = "val/accuracy") -> go.Figure:
    """Draw a metric per epoch: the mean over a group's runs, and a band from minimum to maximum.

    If a group has finished runs, only these count. Several settings have a panel each; a single
    setting has a panel per stride, split further by padding and other factors if this allows bands,
    which need at most 4 groups per panel. All panels share their axes, also when zoomed.

    Args:
        runs: table from `frame`; the history of each run is read from its folder.
        metric: one of `history.METRICS`.

    Raises:
        UserError: the metric is unknown, or no run has it.
    """
    if metric not in METRICS:
        raise UserError(f"metric must be one of {', '.join(METRICS)}, got {metric}")
    found, unreadable = load_curves(runs, metric)
    if not found:
        raise UserError(unreadable[0] if unreadable else f"no run has {metric} in its history")
    groups = runs.drop_duplicates("group").set_index("group").loc[list(found)]
    groups = groups.filter(["label", "setting", "also_in"]).join(
        [variant_style(groups), levels_of(groups)]
    )
    parts = _parts(groups)
    shown = parts[:MOST_PANELS]
    more = len(parts) - len(shown)
    banded = _most(shown) <= _MOST_BANDS and any(curve.runs > 1 for curve in found.values())
    every = max(curve.every for curve in found.values())
    others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
    titles = [
        f"{metric}, mean over seeds",
        "band: minimum to maximum over seeds" if banded else "",
        f"one of every {every} epochs is drawn" if every > 1 else "",
        f"{counted(more, 'more panel')} not shown" if more else "",
        f"left out: {unreadable[0]}{others}" if unreadable else "",
    ]
    last_epoch = max(max(curve.values) for curve in found.values())
    x = {"title": {"text": "epoch"}, **({"dtick": 1} if last_epoch <= _FEW_EPOCHS else {})}
    y = {"title": {"text": metric}, **_values(found, metric, banded=banded)}
    panels = [
        Panel(
            title,
            _HEIGHT,
            _lines(part, found, metric, banded=banded, labelled=title == SINGLE),
            x | ({"matches": "x"} if number else {}),
            y | ({"matches": "y"} if number else {}),
        )
        for number, (title, part) in enumerate(shown)
    ]
    return subplots(titles, panels, legend_traces(groups, lines=True), DRAG_HINT)


def _parts(groups: DataFrame) -> list[tuple[str, DataFrame]]:
    """Return the title and the groups of each panel."""
    if groups["setting"].nunique() > 1:
        return split_by_setting(groups)
    varied = [factor.key for factor in FACTORS[2:] if groups[factor.key].nunique() > 1]
    for count in range(len(varied) + 1):
        for more in combinations(varied, count):
            parts = _split(groups, ["stride", *more])
            if len(parts) <= MOST_PANELS and _most(parts) <= _MOST_BANDS:
                return parts
    return _split(groups, ["stride"])


def _split(groups: DataFrame, factors: list[str]) -> list[tuple[str, DataFrame]]:
    titles = [factor.title for factor in FACTORS if factor.key in factors]
    parts = sorted(groups.groupby(factors), key=lambda part: [*map(level_order, part[0])])
    return [
        (", ".join(f"{title} {one}" for title, one in zip(titles, levels, strict=True)), part)
        for levels, part in parts
    ]


def _most(parts: list[tuple[str, DataFrame]]) -> int:
    return max(len(part) for _, part in parts)


def _lines(
    groups: DataFrame, found: dict[str, Curve], metric: str, *, banded: bool, labelled: bool
) -> list[Trace]:
    """Return the lines of a panel, each on top of its band; `labelled` adds the settings' names."""
    ends = _ends(groups, found) if labelled else {}
    traces: list[Trace] = []
    for group, style in records(groups):
        curve = found[group]
        if banded:
            traces.append(_band(group, curve, style["colour"]))
        traces.append(_line(group, style, curve, metric, ends.get(group, "")))
    return traces


def _ends(groups: DataFrame, found: dict[str, Curve]) -> dict[str, str]:
    """Return the settings to write at the ends of curves, without those that would overlap."""
    last = {group: found[group].means[-1] for group in groups.index}
    low, high = min(last.values()), max(last.values())
    positions = {group: (1.0, (mean - low) / ((high - low) or 1)) for group, mean in last.items()}
    settings = groups["setting"].to_dict()
    sides = non_overlapping(settings, positions, sorted(last, key=lambda group: -last[group]))
    return {group: settings[group] for group in sides}


def _band(group: str, curve: Curve, colour: str) -> Trace:
    epochs, values = list(curve.values), list(curve.values.values())
    return scatter(
        "none",
        [*epochs, *reversed(epochs)],
        [*map(max, values), *map(min, reversed(values))],
        fill="toself",
        fillcolor=f"{colour}{_FAINT}",
        customdata=[group] * (2 * len(epochs)),
    )


def _line(group: str, style: Mapping[str, Any], curve: Curve, metric: str, end: str) -> Trace:
    epochs = list(curve.values)
    text = [*[""] * (len(epochs) - 1), escaped(end)]
    return scatter(
        "lines+markers+text" if end else "lines+markers",
        epochs,
        curve.means,
        [_hint(style["label"], epoch, values, metric) for epoch, values in curve.values.items()],
        line={"color": style["colour"], "dash": style["dash"], "width": style["width"]},
        marker={"symbol": style["shape"] + style["fill"], "size": 0.7 * style["size"]},
        customdata=[group] * len(epochs),
        **({"text": text, "textposition": "top left"} if end else {}),
    )


def _hint(label: str, epoch: int, values: list[float], metric: str) -> str:
    text = percent if metric.endswith("/accuracy") else "{:,.4g}".format
    spread = f" ({text(min(values))} to {text(max(values))})" if len(values) > 1 else ""
    mean = text(sum(values) / len(values))
    return lines(label, f"epoch {epoch}: {mean}{spread}", counted(len(values), "run"))


def _values(found: dict[str, Curve], metric: str, *, banded: bool) -> dict[str, Any]:
    """Return an axis whose range contains every curve, and every band if `banded`."""
    shown = [
        value
        for curve in found.values()
        for value in (chain(*curve.values.values()) if banded else curve.means)
    ]
    low, high = min(shown), max(shown)
    is_log = metric.endswith("/loss") and low > 0
    if is_log:
        low, high = math.log10(low), math.log10(high)
    margin = _MARGIN * (high - low or abs(high) or 1)
    low, high = low - margin, high + margin
    if is_log:
        ticks = log_ticks(low, high)
        texts = [f"{tick:,g}" for tick in ticks]
        return {"type": "log", "range": (low, high), "tickvals": ticks, "ticktext": texts}
    tick_format = ".3~%" if metric.endswith("/accuracy") else ",~g"
    return {"tickformat": tick_format, "range": (low, high)}


FIGURE = Figure(
    curves,
    order=50,
    view=View("curves", "Learning curves"),
    choices=(METRIC,),
    reports=(
        InReport(
            "curves",
            "Learning curves",
            "Validation accuracy per epoch: the mean over the seeds, and a band from their minimum"
            " to their maximum.",
        ),
    ),
)
