"""A picture of how a layer's window moves over its padded input."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from convscope.geometry import LayerGeometry, conv_text
from convscope.plain_pictures import plain_text
from convscope.text import size

COVERED, PADDING, SKIPPED, UNUSED, UNUSED_PADDING = range(5)
"""Input in a window; padding; input between windows; the unused border: input, padding."""
_SHADES = {
    COVERED: ("#d6e6f5", "input"),
    PADDING: ("#f6e3b4", "padding"),
    SKIPPED: ("#9a9a9a", "skipped: between windows"),
    UNUSED: ("#e58a7b", "unused border, input"),
    UNUSED_PADDING: ("#f3c6bd", "unused border, padding"),
}
_FIRST, _NEXT, _LAST = "#08519c", "#d94801", "#238b45"
_WINDOWS = {_FIRST: "first window", _NEXT: "next across, down", _LAST: "last window"}
_MOST_CELLS = 48
"""Pixels per axis up to which cells and centres are legible."""
_CORNER = 20
_DPI = 110


@plain_text()
def window_picture(layer: LayerGeometry) -> Figure:
    """Draw the padded input with the first window, its two neighbours and the last; the output.

    Skipped pixels and the unused border have shades of their own, and each window has a dot at its
    centre. Two corners of a large input are drawn once more, enlarged.
    """
    large = max(shades(layer).shape) > _MOST_CELLS
    figure = Figure(figsize=(8.6, 5.6), layout="constrained", dpi=_DPI, facecolor="white")
    axes = figure.subplot_mosaic(
        [["input", "output", "output"], ["input", "first", "last"]]
        if large
        else [["input", "output"]],
        width_ratios=(4, 1, 1) if large else (2, 1),
        height_ratios=(2, 1) if large else None,
    )
    _draw_input(axes["input"], layer, cells=not large)
    _draw_output(axes["output"], layer)
    if large:
        _draw_corners(axes["first"], axes["last"], layer)
    for one in axes.values():
        one.set_xticks([])
        one.set_yticks([])
        one.spines[:].set_visible(False)
    axes["input"].legend(
        handles=_legend(layer),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    window = conv_text(layer.conv)
    figure.suptitle(
        f"{layer.name}, {window}: {size(layer.in_shape[1:])} to {size(layer.out_shape[1:])}",
        fontsize=12,
    )
    figure.supxlabel(layer.size_formula, fontsize=9)
    return figure


def _draw_input(axes: Axes, layer: LayerGeometry, *, cells: bool) -> None:
    pixels = shades(layer)
    (top, _), (left, _) = layer.conv.padding
    height, width = pixels.shape
    axes.imshow(
        pixels,
        cmap=ListedColormap([colour for colour, _ in _SHADES.values()]),
        norm=BoundaryNorm(np.arange(len(_SHADES) + 1) - 0.5, len(_SHADES)),
        extent=(-left, width - left, height - top, -top),
    )
    if cells:
        _draw_cells(axes, (-left, width - left), (-top, height - top))
        _draw_centres(axes, layer)
    for unit, colour in reversed(_walk(layer)):
        rows, columns = (axis.window(at) for axis, at in zip(layer.conv.axes, unit, strict=True))
        axes.add_patch(
            Rectangle(
                (columns.start, rows.start),
                columns.stop - columns.start,
                rows.stop - rows.start,
                fill=False,
                edgecolor=colour,
                linewidth=2.5,
                zorder=3,
            )
        )
    axes.set_title(f"input {size(layer.in_shape[1:])}, padded {size(pixels.shape)}", fontsize=10)
    axes.set_anchor("N")


def _draw_output(axes: Axes, layer: LayerGeometry) -> None:
    _, height, width = layer.out_shape
    axes.add_patch(Rectangle((0, 0), width, height, facecolor="#e4e4e4"))
    for (row, column), colour in reversed(_walk(layer)):
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour))
    if max(height, width) <= _MOST_CELLS:
        _draw_cells(axes, (0, width), (0, height))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_title(f"output {height}x{width}", fontsize=10)
    axes.set_anchor("N")


def _draw_corners(first: Axes, last: Axes, layer: LayerGeometry) -> None:
    (top, bottom), (left, right) = layer.conv.padding
    _, height, width = layer.in_shape
    # As much as the first two windows cover, and not less than is legible.
    side = max(_CORNER, *(axis.extent + axis.stride for axis in layer.conv.axes))
    for axes in (first, last):
        _draw_input(axes, layer, cells=side <= _MOST_CELLS)
    first.set(xlim=(-left, side - left), ylim=(side - top, -top))
    last.set(
        xlim=(width + right - side, width + right), ylim=(height + bottom, height + bottom - side)
    )
    first.set_title("first corner", fontsize=8)
    last.set_title("last corner", fontsize=8)


def _walk(layer: LayerGeometry) -> list[tuple[tuple[int, int], str]]:
    """(row, column) of the outputs whose windows are drawn, each once, with their colours."""
    _, height, width = layer.out_shape
    walk = {(0, 0): _FIRST}
    walk |= {unit: _NEXT for unit in ((0, 1), (1, 0)) if unit[0] < height and unit[1] < width}
    walk.setdefault((height - 1, width - 1), _LAST)
    return list(walk.items())


def _draw_cells(axes: Axes, across: tuple[int, int], down: tuple[int, int]) -> None:
    axes.vlines(np.arange(across[0] + 1, across[1]), *down, colors="white", linewidth=0.6)
    axes.hlines(np.arange(down[0] + 1, down[1]), *across, colors="white", linewidth=0.6)


def _draw_centres(axes: Axes, layer: LayerGeometry) -> None:
    rows, columns = (
        np.arange(outputs) * axis.stride - axis.before + axis.extent / 2
        for axis, outputs in zip(layer.conv.axes, layer.out_shape[1:], strict=True)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    axes.plot(x.ravel(), y.ravel(), ".", color="#404040", markersize=2.5)


def _legend(layer: LayerGeometry) -> list[Patch]:
    """Shades and windows that the picture has."""
    present, walked = set(np.unique(shades(layer)).tolist()), dict(_walk(layer)).values()
    filled = [
        Patch(facecolor=colour, edgecolor="#808080", label=label)
        for shade, (colour, label) in _SHADES.items()
        if shade in present
    ]
    outlined = [
        Patch(fill=False, edgecolor=colour, linewidth=2, label=label)
        for colour, label in _WINDOWS.items()
        if colour in walked
    ]
    return filled + outlined


def shades(layer: LayerGeometry) -> NDArray[np.int_]:
    """COVERED, PADDING, SKIPPED, UNUSED or UNUSED_PADDING per padded pixel, (height, width)."""
    inside_rows, covered_rows, beyond_rows = _axis(layer, 0)
    inside_columns, covered_columns, beyond_columns = _axis(layer, 1)
    inside = np.logical_and.outer(inside_rows, inside_columns)
    covered = np.logical_and.outer(covered_rows, covered_columns)
    beyond = np.logical_or.outer(beyond_rows, beyond_columns)
    reached = np.where(inside, np.where(covered, COVERED, SKIPPED), PADDING)
    return np.where(beyond, np.where(inside, UNUSED, UNUSED_PADDING), reached)


def _axis(
    layer: LayerGeometry, axis: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Per padded pixel of an axis: in the input, covered by a window, beyond the last window."""
    window, pixels, outputs = layer.conv.axis(axis), layer.size[axis], layer.out_shape[1 + axis]
    position = np.arange(-window.before, pixels + window.after)
    inside = (position >= 0) & (position < pixels)
    beyond = position >= window.window(outputs - 1).stop
    covered = np.isin(position, [at for output in range(outputs) for at in window.window(output)])
    return inside, covered, beyond
