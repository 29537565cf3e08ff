"""Pictures of a run's diagnostics: effective receptive field, accuracy over shifts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from convscope.geometry import NetworkGeometry, central_field
from convscope.plain_pictures import plain_text
from convscope.text import size

_THEORETICAL, _EFFECTIVE = "#d94801", "#111111"
_SMALL_FIELD = 3
"""The image's side over the field's above which the field is enlarged."""
_MOST_NUMBERED = 11
"""Shifts per axis up to which a number fits in each cell."""


def diagnostic_pictures(
    arrays: Mapping[str, NDArray[Any]], geometry: NetworkGeometry
) -> dict[str, Figure]:
    """Return pictures by TensorBoard tag, of what was measured.

    Args:
        arrays: by name, as in `diagnostics.npz`.
        geometry: of the run's network.
    """
    pictures = {}
    if "erf" in arrays:
        pictures["diagnostics/effective_receptive_field"] = effective_field_picture(
            arrays, geometry
        )
    if "shift_accuracy" in arrays:
        pictures["diagnostics/accuracy_over_shifts"] = shifts_picture(arrays["shift_accuracy"])
    return pictures


@plain_text()
def effective_field_picture(
    arrays: Mapping[str, NDArray[Any]], geometry: NetworkGeometry
) -> Figure:
    """Draw pixels' contributions to the last map's central unit, over the image's extent.

    The shade grows with the square root of a contribution, so that small ones are visible. One box
    is the theoretical receptive field, the other the smallest square with half of all
    contributions; both are clipped to the image. A field that is small in its image is drawn once
    more, enlarged.

    Args:
        arrays: `erf`, `erf_t`, `erf_sides` of `convscope.diagnostics.effective_field`.
        geometry: of the network.
    """
    contributions = arrays["erf"]
    side = float(arrays["erf_sides"][list(arrays["erf_t"]).index(0.5)])
    rows, columns = central_field(geometry)
    is_small = max(len(rows), len(columns)) * _SMALL_FIELD < max(contributions.shape)
    figsize = (10.4, 5.6) if is_small else (6.4, 6.4)
    figure = Figure(figsize=figsize, layout="constrained", dpi=100, facecolor="white")
    axes = figure.subplots(1, 2 if is_small else 1, squeeze=False)[0]
    for one in axes:
        shades = _draw_field(one, contributions, side, geometry)
    if is_small:
        margin = max(len(rows), len(columns)) / 8
        axes[1].set(
            xlim=(columns.start - margin, columns.stop + margin),
            ylim=(rows.stop + margin, rows.start - margin),
        )
    figure.colorbar(
        shades, ax=axes, label="contribution over the largest, square-root scale", shrink=0.7
    )
    figure.suptitle(f"effective receptive field, {geometry.variant}")
    figure.legend(
        handles=axes[0].patches, loc="outside lower center", ncols=2, fontsize=9, frameon=False
    )
    return figure


def _draw_field(
    axes: Axes, contributions: NDArray[np.floating], side: float, geometry: NetworkGeometry
) -> AxesImage:
    height, width = contributions.shape
    shades = axes.imshow(
        contributions / contributions.max(),
        cmap="Blues",
        norm=PowerNorm(0.5, vmin=0, vmax=1),
        extent=(0, width, height, 0),
    )
    axes.set(xlabel="column, pixels", ylabel="row, pixels")
    rows, columns = central_field(geometry)
    shown = len(rows), len(columns)
    within = f", within the image {size(shown)}" if shown != geometry.receptive_field else ""
    middle = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    top, left = (max(0.0, centre - side / 2) for centre in middle)
    bottom, right = (
        min(most, centre + side / 2)
        for centre, most in zip(middle, contributions.shape, strict=True)
    )
    for (y, x), box, colour, style, label in (
        (
            (rows.start, columns.start),
            shown,
            _THEORETICAL,
            "--",
            f"theoretical: {size(geometry.receptive_field)}{within}",
        ),
        (
            (top, left),
            (bottom - top, right - left),
            _EFFECTIVE,
            "-",
            f"half of all contributions: {side:g}x{side:g}",
        ),
    ):
        axes.add_patch(
            Rectangle(
                (x, y),
                box[1],
                box[0],
                fill=False,
                edgecolor=colour,
                linestyle=style,
                linewidth=2,
                label=label,
                clip_on=False,
            )
        )
    return shades


@plain_text()
def shifts_picture(accuracy: NDArray[np.floating]) -> Figure:
    """Draw the accuracy of test images that are moved, by pixels down and across.

    Args:
        accuracy: (2 s + 1, 2 s + 1), for shifts from -s to s; not moved in the middle.
    """
    most = len(accuracy) // 2
    figure = Figure(figsize=(6.4, 5.8), layout="constrained", dpi=100, facecolor="white")
    axes = figure.add_subplot()
    shifts = range(-most, most + 1)
    edge = most + 0.5
    # The same colours for all runs, whose pictures are looked at side by side.
    norm = Normalize(0, 100)
    shades = axes.imshow(100 * accuracy, cmap="Blues", norm=norm, extent=(-edge, edge, edge, -edge))
    figure.colorbar(shades, label="accuracy, %", shrink=0.8)
    if len(accuracy) <= _MOST_NUMBERED:
        axes.set_xticks(shifts)
        axes.set_yticks(shifts)
        for down in shifts:
            for across in shifts:
                value = 100 * float(accuracy[down + most, across + most])
                colour = "white" if norm(value) > 0.65 else "black"
                text = f"{value:.1f}"
                axes.text(across, down, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlabel="pixels to the right", ylabel="pixels down", title="accuracy of moved images")
    return figure
