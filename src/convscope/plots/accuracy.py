"""Accuracy against cost: a point per group with its 95 % interval, and the Pareto front."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from pandas import DataFrame, Series

from convscope.analysis import pareto
from convscope.errors import UserError
from convscope.metrics import LATENCY_BATCHES, METRICS, Metric, latency_name, metrics_of
from convscope.plots.axes import (
    bounded,
    error_bars,
    interval_columns,
    is_log,
    jitter,
    log_ticks,
    strip,
    with_interval,
)
from convscope.plots.labels import non_overlapping
from convscope.plots.registry import Choice, Figure, InReport, View
from convscope.plots.style import (
    NEUTRAL,
    Panel,
    Trace,
    escaped,
    lines,
    narrow_lines,
    scatter,
    subplots,
)
from convscope.plots.table import (
    MOST_PANELS,
    SINGLE,
    measured_groups,
    records,
    split_by_setting,
    to_json_list,
)
from convscope.plots.variant_style import legend_traces, variant_style
from convscope.text import counted

ACCURACY = METRICS["test_accuracy"]
COST = Choice("cost", "Against", {metric.name: metric.title for metric in metrics_of("scatter")})
_HEIGHT, _ONE_OF_SEVERAL = 330, 240
"""Height of the only panel, and of one of several, in pixels."""
_MARGIN, _SAME_POSITION = 0.08, 0.01
"""Fractions of an axis: margin beside the points; distance below which marks hide each other."""
_MOST_LABELLED, _MOST_LISTED = 30, 3
"""Largest number of points that are all labelled, else only the front and the best; largest number
of hidden points that a hover lists."""
_AXIS = 36
"""Largest number of characters of an axis's title, so that it fits at 360 pixels."""
_BESIDE, _STRIP = 0.015, 0.012
"""Distance of a strip of single runs from its mean, and its width, as fractions of an axis."""
_FAINT = f"{NEUTRAL}99"


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, which are exponents of 10 if `is_log`."""

    metric: Metric
    is_log: bool
    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """The range as values of the metric."""
        return (10**self.low, 10**self.high) if self.is_log else (self.low, self.high)

    def positions(self, groups: DataFrame) -> Series:
        """Return the groups' positions on the axis, from 0 to 1."""
        values = groups[self.metric.name]
        values = values.map(math.log10) if self.is_log else values
        return (values - self.low) / (self.high - self.low)

    def values(self, positions: Series) -> Series:
        """Return the metric's values at these positions."""
        values = self.low + positions * (self.high - self.low)
        return 10**values if self.is_log else values

    def layout(self) -> dict[str, Any]:
        """Return range and ticks as properties of Plotly's axis."""
        shown: dict[str, Any] = {"range": (self.low, self.high)}
        if not self.is_log:
            return shown | {"tickformat": self.metric.tick_format}
        ticks = log_ticks(self.low, self.high)
        texts = [self.metric.short(tick) for tick in ticks]
        return shown | {"type": "log", "tickvals": ticks, "ticktext": texts}


def accuracy_against(runs: DataFrame, cost: str = "train_samples_per_sec") -> go.Figure:
    """Draw test accuracy against a cost, such as training samples/s, or against a diagnostic.

    A panel per setting. Settings with one group share the last panel, where labels name them.

    Args:
        runs: table from `frame`.
        cost: name of the metric, one of `COST`.

    Raises:
        UserError: `cost` is not an option, or no finished run has both metrics.
    """
    against = METRICS[COST.check(cost)]
    groups = measured_groups(runs).dropna(subset=[cost])
    if groups.empty:
        raise UserError(against.missing)
    for metric in (ACCURACY, against):
        for end in interval_columns(metric):
            groups = groups.assign(**{end: bounded(metric, groups[end])})
    groups = groups.join(variant_style(groups))
    x, y = _axis(groups, against), _axis(groups, ACCURACY)
    settings = split_by_setting(groups)
    shown = settings[:MOST_PANELS]
    # Settings are not compared with each other, so that their common panel has no front.
    fronts = [pareto.chosen_front(part, cost) if title != SINGLE else [] for title, part in shown]
    height = _HEIGHT if len(shown) == 1 else _ONE_OF_SEVERAL
    cut = [_cut_intervals(part, x, y) for _, part in shown]
    strips = [_strip(runs, part, x, y) for _, part in shown]
    more = len(settings) - len(shown)
    titles = [
        *narrow_lines("Accuracy against", against.title),
        "dotted: Pareto front by validation" if any(fronts) else "",
        "small points: single runs" if any(strips) else "",
        "triangle: interval extends beyond the axis" if any(cut) else "",
        f"{counted(more, 'more setting')} not shown" if more else "",
    ]
    which = {"larger": "more is better", "smaller": "less is better", None: ""}[against.better]
    # Beside a unit there is no room for the direction at 360 pixels; ticks show a per cent sign.
    beside = against.axis_unit or which
    with_unit = f"{against.title}, {beside}"
    x_axis = x.layout() | {
        "title": {"text": with_unit if beside and len(with_unit) <= _AXIS else against.title},
        "tickfont": {"size": 11},
    }
    # Leaves room for a triangle beside the numbers.
    y_axis = y.layout() | {"title": {"text": ACCURACY.title}, "ticklabelstandoff": 5}
    panels = [
        Panel(
            title,
            height,
            [
                *_front(part.loc[front], cost),
                *singles,
                _points(part, front, x, y, title),
                *triangles,
            ],
            x_axis,
            y_axis,
        )
        for (title, part), front, singles, triangles in zip(shown, fronts, strips, cut, strict=True)
    ]
    return subplots(titles, panels, legend_traces(groups))


def _axis(groups: DataFrame, metric: Metric) -> Axis:
    """Return an axis for all values and intervals, with a margin.

    The intervals of few seeds may be far wider than the range of the means: they extend the axis by
    at most half of that range. Single runs are always on it.
    """
    values = lows = highs = least = most = groups[metric.name]
    if metric.per_run:
        lows, highs = (groups[end].fillna(values) for end in interval_columns(metric))
        least, most = (groups[f"{metric.name}_{end}"] for end in ("min", "max"))
    is_log_axis = is_log(metric, values)
    if is_log_axis:
        bottom = values.min() / 10
        values, lows, highs, least, most = (
            part.clip(lower=bottom).map(math.log10) for part in (values, lows, highs, least, most)
        )
    spread = values.max() - values.min() or highs.max() - lows.min() or abs(values.max()) / 10 or 1
    low = min(max(lows.min(), values.min() - spread / 2), least.min())
    high = max(min(highs.max(), values.max() + spread / 2), most.max())
    margin = max(high - low, spread) * _MARGIN
    return Axis(metric, is_log_axis, low - margin, high + margin)


def _points(groups: DataFrame, front: list[str], x: Axis, y: Axis, title: str) -> Trace:
    cost = x.metric
    # The best groups are drawn last, on top of the others.
    groups = groups.sort_values(ACCURACY.name, kind="stable")
    labels = groups["setting" if title == SINGLE else "variant"]
    best_first = list(groups.index[::-1])
    sides = non_overlapping(
        labels.to_dict(),
        dict(
            zip(
                groups.index,
                zip(x.positions(groups), y.positions(groups), strict=True),
                strict=True,
            )
        ),
        dict.fromkeys([*best_first[:1], *front]),
        best_first if len(groups) <= _MOST_LABELLED else (),
    )
    bars = {"error_y": _interval(groups, y)}
    if cost.per_run:
        bars["error_x"] = _interval(groups, x)
    hints = [
        lines(
            group["label"],
            f"{with_interval(ACCURACY, group)}, {counted(group['runs'], 'run')}",
            with_interval(cost, group),
            "on the front, by validation accuracy" if name in front else "",
            beside,
        )
        for (name, group), beside in zip(records(groups), _hidden_points(groups, x, y), strict=True)
    ]
    return scatter(
        "markers+text",
        to_json_list(groups[cost.name]),
        to_json_list(groups[ACCURACY.name]),
        hints,
        **bars,
        marker={
            "color": list(groups["colour"]),
            "symbol": list(groups["shape"] + groups["fill"]),
            "size": list(groups["size"]),
            "opacity": 0.8,
            "line": {"width": list(groups["ring"]), "color": list(groups["outline"])},
        },
        text=[escaped(text) if group in sides else "" for group, text in labels.items()],
        textposition=[sides.get(group, "top right") for group in groups.index],
        customdata=list(groups.index),
    )


def _strip(runs: DataFrame, groups: DataFrame, x: Axis, y: Axis) -> list[Trace]:
    """Return the single runs of groups with several: at their own cost, or beside the mean.

    Where all runs of a group have one cost, they are left of the mean, as its label is on the right
    where possible.
    """
    finished = runs[(runs["status"] == "finished") & runs[ACCURACY.name].notna()]
    several = finished[finished["group"].isin(groups.index[groups["runs"] > 1])]
    if several.empty:
        return []
    cost = x.metric
    costs = several[cost.name] if cost.per_run else several["group"].map(groups[cost.name])
    if not cost.per_run:
        several = several.sort_values(["group", "seed"])
        beside = several.groupby("group")["seed"].transform(lambda seeds: jitter(len(seeds)))
        positions = x.positions(costs.loc[several.index].to_frame(cost.name))
        costs = x.values(positions - _BESIDE + _STRIP * beside)
    colours = list(several["group"].map(groups["colour"]))
    return [strip(several, costs, several[ACCURACY.name], ACCURACY, colours)]


def _hidden_points(groups: DataFrame, *axes: Axis) -> list[str]:
    """Return a text per group with the others that have the same position; "" without others."""
    near = np.ones((len(groups), len(groups)), bool)
    for axis in axes:
        positions = axis.positions(groups).to_numpy(float)
        near &= abs(positions[:, None] - positions) < _SAME_POSITION
    np.fill_diagonal(near, val=False)
    texts = []
    for others in near:
        labels = list(groups["label"].to_numpy(object)[others])
        more = f" and {len(labels) - _MOST_LISTED} more" if len(labels) > _MOST_LISTED else ""
        listed = f"{', '.join(labels[:_MOST_LISTED])}{more}"
        texts.append(f"at the same position: {listed}" if labels else "")
    return texts


def _interval(groups: DataFrame, axis: Axis) -> Trace:
    """Return the error bars, cut at the ends of the axis: a log axis cannot reach 0."""
    low, high = (groups[end] for end in interval_columns(axis.metric))
    least, most = axis.ends
    mean = groups[axis.metric.name]
    return error_bars(mean, low.clip(lower=least), high.clip(upper=most), _FAINT, 1)


def _cut_intervals(groups: DataFrame, *axes: Axis) -> list[Trace]:
    """Return a triangle at the end of an axis for each interval that extends beyond it."""
    marks = []
    for number, axis in enumerate(axes):
        for column, end, is_low in zip(
            interval_columns(axis.metric), axis.ends, (True, False), strict=False
        ):
            beyond = groups[column] < end if is_low else groups[column] > end
            symbol = (("left", "right"), ("down", "up"))[number][not is_low]
            for name, group in records(groups[beyond]):
                point = [group[one.metric.name] for one in axes]
                point[number] = end
                hint = lines(group["label"], with_interval(axis.metric, group))
                marks.append((*point, f"triangle-{symbol}", name, hint))
    if not marks:
        return []
    x, y, symbols, names, hints = map(list, zip(*marks, strict=True))
    marker = {"symbol": symbols, "color": NEUTRAL, "size": 7}
    return [scatter("markers", x, y, hints, marker=marker, cliponaxis=False, customdata=names)]


def _front(front: DataFrame, cost: str) -> list[Trace]:
    # Straight lines, not steps: the front is by validation accuracy, so test accuracy may fall.
    line = {"color": NEUTRAL, "width": 1.5, "dash": "dot"}
    x, y = to_json_list(front[cost]), to_json_list(front[ACCURACY.name])
    return [scatter("lines", x, y, line=line, customdata=list(front.index))] if x else []


_CAPTION = (
    "A point is a variant's mean over its seeds, with 95 % intervals and its single runs as small"
    " points if it has several seeds; the legend below explains colours, symbols and fills."
)
FIGURE = Figure(
    accuracy_against,
    order=10,
    view=View("cost", "Accuracy and cost"),
    choices=(COST,),
    reports=(
        InReport(
            "accuracy-samples",
            "Test accuracy and training speed",
            _CAPTION,
            {"cost": "train_samples_per_sec"},
        ),
        InReport(
            "accuracy-macs",
            "Test accuracy and multiply-accumulate operations (MACs)",
            f"{_CAPTION} The dotted line is the Pareto front: no other variant is as good in both"
            " mean validation accuracy and cost, and better in one. Neighbours on it need not"
            " differ significantly.",
            {"cost": "macs"},
        ),
        *(
            InReport(
                f"accuracy-latency-{batch}",
                f"Test accuracy and latency of {images}",
                f"{_CAPTION} The latency is the median time of a forward pass of {images}. The"
                " dotted line is the Pareto front by mean validation accuracy.",
                {"cost": latency_name(batch, 50)},
                needs=latency_name(batch, 50),
            )
            for batch in LATENCY_BATCHES
            for images in [counted(batch, "image")]
        ),
        InReport(
            "accuracy-shift-change",
            "Test accuracy and answers that change when the image moves by one pixel",
            f"{_CAPTION} The dotted line is the Pareto front by mean validation accuracy: no other"
            " variant is as accurate and changes as few answers, and is better in one. Neighbours"
            " on it need not differ significantly.",
            {"cost": "shift_change"},
            needs="shift_change",
        ),
    ),
)
