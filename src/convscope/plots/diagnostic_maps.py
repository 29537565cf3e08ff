"""Maps of diagnostics, a small one per variant: effective receptive field, accuracy over shifts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame

from convscope.analysis.anova import level_order, levels_of
from convscope.analysis.groups import grouped
from convscope.errors import UserError
from convscope.metrics import METRICS
from convscope.plots.registry import SETTING, Choice, Figure, InReport, View
from convscope.plots.style import Panel, Trace, lines, scatter, subplots
from convscope.plots.table import one_setting
from convscope.runs.directory import RunDirectory
from convscope.runs.predictions import read_arrays
from convscope.runs.record import RunRecord
from convscope.text import percent

Map = NDArray[np.float64]

ARRAY = Choice(
    "array",
    "Map of",
    {"erf": "effective receptive field", "shift_accuracy": "accuracy over shifts"},
)
_METRICS = {"erf": "erf_side", "shift_accuracy": "shift_change"}
"""The metric that a run with the array has."""
_MOST_MAPS, _COLUMNS = 12, 3
_MOST_SIDE = 32
"""Largest number of cells along a side of a map; larger maps are averaged over blocks."""
_SIDE = 120
"""Side of a map on a wide page, in pixels."""
_PITCH, _ROOM = 1.12, 0.4
"""Distance of two maps in a row, and height of the text above a map, in sides of a map."""
_BOX = "#d55e00"
_SMALL = 10
"""Size of text, so that it fits beside its neighbour at 360 pixels."""


def diagnostic_maps(runs: DataFrame, array: str = "erf", setting: str | None = None) -> go.Figure:
    """Draw a map of each variant, mean over its seeds, side by side.

    The first variants of the table that have the array are drawn, in the order of their kernel
    sizes and strides.

    Args:
        runs: table from `frame`; `diagnostics.npz` of each run is read from its folder.
        array: name of the array, one of `ARRAY`.
        setting: the setting to draw; by default the one with the most finished runs.

    Raises:
        UserError: `array` is not an option, the setting does not exist, or no run has the array.
    """
    metric = METRICS[_METRICS[ARRAY.check(array)]]
    runs, which = one_setting(runs, setting)
    runs = runs[(runs["status"] == "finished") & runs[metric.name].notna()]
    if runs.empty:
        raise UserError(metric.missing)
    maps, unreadable = _load(runs, array)
    if not maps:
        raise UserError(unreadable[0])
    groups = grouped(runs[runs["group"].isin(maps)])
    groups["record"] = runs.drop_duplicates("group").set_index("group")["record"]
    levels = levels_of(groups).map(level_order).apply(tuple, axis="columns")
    groups = groups.loc[levels.sort_values(kind="stable").index]
    number = runs["group"].nunique()
    others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
    draw = _fields if array == "erf" else _accuracies
    traces, legend = draw(groups, maps)
    titles = [
        f"{ARRAY.options[array].capitalize()}, mean over seeds",
        which,
        *legend,
        f"the first {len(maps)} of {number} variants" if number > len(maps) else "",
        f"left out: {unreadable[0]}{others}" if unreadable else "",
    ]
    rows = -(-len(maps) // _COLUMNS)
    panel = Panel(
        "",
        int(_SIDE * rows * (1 + _ROOM)),
        traces,
        {
            "visible": False,
            "range": [0, _COLUMNS * _PITCH],
            "constrain": "domain",
            "constraintoward": "left",
        },
        {
            "visible": False,
            "range": [rows * (1 + _ROOM), 0],
            "scaleanchor": "x",
            "constrain": "domain",
            "constraintoward": "top",
        },
    )
    return subplots(titles, [panel])


def _load(runs: DataFrame, array: str) -> tuple[dict[str, Map], list[str]]:
    """Return the map of the first groups, mean over their runs, and what could not be read."""
    maps: dict[str, Map] = {}
    unreadable: list[str] = []
    for group, paths in runs.groupby("group", sort=False)["path"]:
        found: list[Map] = []
        for path in paths:
            file = RunDirectory(Path(path)).diagnostics
            try:
                own = read_arrays(file).get(array)
                if own is None or own.ndim != 2 or not own.size or not np.isfinite(own).all():
                    raise UserError(f"{file} has no map {array}")
                if found and own.shape != found[0].shape:
                    raise UserError(f"{file} has a map {array} of another size")
            except UserError as error:
                unreadable.append(str(error))
            else:
                found.append(own)
        if found:
            maps[str(group)] = np.mean(found, axis=0)
        if len(maps) == _MOST_MAPS:
            break
    return maps, unreadable


def _fields(groups: DataFrame, maps: Mapping[str, Map]) -> tuple[list[Trace], list[str]]:
    """Return the contributions of all pixels, each map's largest as 1, with both squares."""
    traces: list[Trace] = []
    for number, (group, one) in enumerate(groups.iterrows()):
        contributions = maps[str(group)]
        height, width = contributions.shape
        of = _Place(number, height, width)
        centre, size = _central_field(one["record"], (height, width))
        side, share = one["erf_side"], one["erf_share"]
        field = f"{size[0]:g}" if size[0] == size[1] else f"{size[0]:g}x{size[1]:g}"
        text = f"ERF {side:.3g}, RF {field}"
        values = np.sqrt(_blocks(contributions / contributions.max()))
        hint = lines(
            one["variant"],
            f"half within {side:.3g} px: {percent(share)} of the receptive field",
            f"receptive field: {field} px",
        )
        traces += [
            # A text for each pixel would be ten times as large as the map.
            of.cells(values, str(group), "coloraxis2")
            | {"hovertemplate": f"{hint}<extra></extra>"},
            of.box(centre, size, str(group), "dot"),
            # As measured: about the part of the field that lies on the image.
            of.box(of.clipped(centre, size).mean(axis=0), (side, side), str(group), "solid"),
            of.label(one["variant"], text, str(group)),
        ]
    legend = [
        "colour: square root of the contribution",
        "solid: half of all; dotted: receptive field",
    ]
    return traces, legend


def _accuracies(groups: DataFrame, maps: Mapping[str, Map]) -> tuple[list[Trace], list[str]]:
    """Return the accuracy by shift, rows down and columns right, in one scale of colours."""
    traces: list[Trace] = []
    for number, (group, one) in enumerate(groups.iterrows()):
        accuracy = maps[str(group)]
        of = _Place(number, *accuracy.shape)
        text = f"{100 * accuracy.min():.1f} to {100 * accuracy.max():.1f} %"
        traces += [
            of.cells(accuracy, str(group), "coloraxis")
            | {
                "hovertext": [
                    [
                        lines(one["variant"], _moved(row, column), percent(value))
                        for column, value in enumerate(values, start=-(len(values) // 2))
                    ]
                    for row, values in enumerate(accuracy, start=-(len(accuracy) // 2))
                ],
                "hoverinfo": "text",
            },
            of.label(one["variant"], text, str(group)),
        ]
    reach = max(len(one) for one in maps.values()) // 2
    return traces, [f"centre: not moved; edges: by {reach} px"]


def _moved(down: int, right: int) -> str:
    vertical = f"{abs(down)} px {'down' if down > 0 else 'up'}" if down else ""
    horizontal = f"{abs(right)} px {'right' if right > 0 else 'left'}" if right else ""
    return ", ".join(filter(None, (vertical, horizontal))) or "not moved"


def _central_field(
    record: RunRecord, image: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return centre and size of the last map's central unit's receptive field, rows and columns.

    The centre is in pixels from the image's edge.
    """
    last = record.geometry[-1]
    if 0 in last["jump"]:
        return (image[0] / 2, image[1] / 2), image
    units = [length // 2 for length in last["out_shape"][1:]]
    row, column = (
        start + unit * jump + 0.5
        for start, unit, jump in zip(last["start"], units, last["jump"], strict=True)
    )
    return (row, column), tuple(last["receptive_field"])


def _blocks(values: Map) -> Map:
    """Return means over square blocks, so that no side has more than `_MOST_SIDE` cells."""
    step = -(-max(values.shape) // _MOST_SIDE)
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], step)
        sizes = np.diff([*starts, values.shape[axis]])
        sums = np.add.reduceat(values, starts, axis)
        values = sums / (sizes[:, None] if axis == 0 else sizes)
    return values


class _Place:
    """The square in which a map is drawn; a side is 1 wide.

    Args:
        number: of the map, from 0, left to right.
        height, width: of the map.
    """

    def __init__(self, number: int, height: int, width: int) -> None:
        row, column = divmod(number, _COLUMNS)
        self._left, self._top = column * _PITCH, row * (1 + _ROOM) + _ROOM
        self._height, self._width = height, width
        self._pixel = 1 / max(height, width)

    def cells(self, values: Map, group: str, colours: str) -> Trace:
        """Return the map as cells."""
        rows, columns = values.shape
        steps = self._pixel * self._height / rows, self._pixel * self._width / columns
        return {
            "type": "heatmap",
            "x0": self._left + steps[1] / 2,
            "dx": steps[1],
            "y0": self._top + steps[0] / 2,
            "dy": steps[0],
            "z": values.round(4).tolist(),
            "coloraxis": colours,
            "customdata": [[group] * columns] * rows,
        }

    def clipped(self, centre: ArrayLike, size: ArrayLike) -> Map:
        """Return the first and last edges of a rectangle's part on the map, as (row, column)."""
        reach = np.asarray(size) / 2
        edges: Map = np.asarray(centre) + np.stack([-reach, reach])
        return edges.clip(0, (self._height, self._width))

    def box(self, centre: ArrayLike, size: ArrayLike, group: str, dash: str) -> Trace:
        """Return the outline of a rectangle, as far as it lies on the map; in pixels of the map."""
        (top, left), (bottom, right) = self.clipped(centre, size) * self._pixel
        x = [self._left + one for one in (left, right, right, left, left)]
        y = [self._top + one for one in (top, top, bottom, bottom, top)]
        return scatter(
            "lines", x, y, line={"color": _BOX, "width": 2, "dash": dash}, customdata=[group] * 5
        )

    def label(self, name: str, text: str, group: str) -> Trace:
        """Return two lines of text above the map."""
        return scatter(
            "text",
            [self._left],
            [self._top - 0.02],
            text=[lines(name, text)],
            textposition="top right",
            textfont={"size": _SMALL},
            cliponaxis=False,
            customdata=[group],
        )


_CAPTION = "A small map per variant, mean over its seeds."
FIGURE = Figure(
    diagnostic_maps,
    order=45,
    view=View("diagnostics", "Diagnostics"),
    choices=(ARRAY, SETTING),
    reports=(
        InReport(
            "effective-fields",
            "Which pixels the last feature map depends on",
            f"{_CAPTION} Effective receptive field of the central unit of the last feature map: how"
            " much each pixel of the image contributes to it, on average over test images. Half of"
            " all contributions lie within the solid square; the dotted box is the theoretical"
            " receptive field, as far as it lies on the image.",
            {"array": "erf"},
            needs="erf_side",
        ),
        InReport(
            "shift-accuracy",
            "Accuracy when the image moves",
            f"{_CAPTION} The colour of a cell is the accuracy; its position, from the centre, is"
            " how far the images move down and right, in pixels. Gaps are filled with black.",
            {"array": "shift_accuracy"},
            needs="shift_change",
        ),
    ),
)
