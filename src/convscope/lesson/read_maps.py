"""Heat maps of how often each pixel is read: through all layers, and by the windows of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from math import ceil, nan

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from convscope.errors import UserError
from convscope.geometry import NetworkGeometry, path_counts, read_counts
from convscope.geometry.layers import Window
from convscope.lesson.heat import DARK, INK, LIGHT
from convscope.plain_pictures import plain_text
from convscope.text import abbreviated, counted, size

MOST_MAPS = 40
"""Largest number of maps in a picture."""
_COLOURS = LinearSegmentedColormap.from_list("reads", (LIGHT, DARK, "#0d3b66"))
_WHITE_FROM = 0.55
"""Level of the colours from which a number is white."""
_NUMBERS_UP_TO = 16
"""Pixels per axis up to which a map has a number in each."""
_MOST_TICKS = 6
_LONGEST = 36
"""Characters of a title."""
_ACROSS = 4
_WIDTH, _HEIGHT = 2.6, 3.2
_DPI = 130


@dataclass(frozen=True)
class ReadMap:
    """How often each pixel of an input is read.

    Attributes:
        title: the layer that reads it.
        counts: a number per pixel, row by row.
        others: number of other layers that read equally.
    """

    title: str
    counts: Sequence[Sequence[int]]
    others: int = 0


def read_maps(geometry: NetworkGeometry) -> list[ReadMap]:
    """Return the map of the image through all layers, then one per layer; equal ones are merged.

    There is no map through all layers where one mixes all positions, or of a single layer.
    """
    by_counts: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for layer in geometry.layers:
        window = geometry.graph.by_name[layer.name].layer
        assert isinstance(window, Window)
        rows, columns = read_counts(window, layer.size, layer.out_shape[1:])
        by_counts.setdefault((tuple(rows), tuple(columns)), []).append(layer.name)
    paths = path_counts(geometry) if len(geometry.layers) > 1 else None
    return [
        *([ReadMap("image, through all layers", paths)] if paths else []),
        *(
            ReadMap(
                f"input of {names[0]}",
                [[row * column for column in columns] for row in rows],
                len(names) - 1,
            )
            for (rows, columns), names in by_counts.items()
        ),
    ]


@plain_text()
def read_maps_png(geometry: NetworkGeometry, title: str) -> bytes:
    """Return a PNG of a network's read maps.

    Args:
        geometry: the network.
        title: the network in words.

    Raises:
        UserError: there are too many different maps for a picture.
    """
    maps = read_maps(geometry)
    if len(maps) > MOST_MAPS:
        raise UserError(f"--png draws at most {MOST_MAPS} different maps, got {len(maps)}")
    across = min(len(maps), _ACROSS)
    down = ceil(len(maps) / across)
    figure = Figure(
        figsize=(max(across, 2) * _WIDTH, down * _HEIGHT + 1),
        layout="constrained",
        dpi=_DPI,
        facecolor="white",
    )
    axes = figure.subplots(down, across, squeeze=False)
    for cell in axes.flat[len(maps) :]:
        cell.set_visible(False)
    for cell, drawn in zip(axes.flat, maps, strict=False):
        _draw(figure, cell, drawn)
    figure.suptitle(f"How often each pixel is read\n{title}", fontsize=9)
    lines = ["Darker is read more often, on each map's own scale; hatched pixels are never read."]
    if maps[0].title.startswith("image"):
        lines.append("Through all layers: the paths from a pixel to the final map's units.")
    figure.supxlabel("\n".join(lines), fontsize=8)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw(figure: Figure, axes: Axes, drawn: ReadMap) -> None:
    """Draw a map with its legend below; pixels that are never read show the hatched ground."""
    values = sorted({count for row in drawn.counts for count in row} - {0})
    most = values[-1] if values else 1
    # Divided as integers, because the paths of a deep network exceed the range of a float.
    levels = [[count / most if count else nan for count in row] for row in drawn.counts]
    image = axes.imshow(levels, cmap=_COLOURS, vmin=0, vmax=1, interpolation="nearest")
    axes.patch.set(facecolor="#f2f2f2", edgecolor="#b0b0b0", hatch="////")
    shape = len(drawn.counts), len(drawn.counts[0])
    if max(shape) <= _NUMBERS_UP_TO and most < 1000:
        for y, row in enumerate(drawn.counts):
            for x, count in enumerate(row):
                colour = "white" if count / most > _WHITE_FROM else INK
                axes.text(x, y, str(count), ha="center", va="center", fontsize=6, color=colour)
    # The end of a long name says more than its beginning.
    title = drawn.title if len(drawn.title) <= _LONGEST else f"…{drawn.title[1 - _LONGEST :]}"
    others = f", equal in {counted(drawn.others, 'other')}" if drawn.others else ""
    axes.set_title(f"{title}\n{size(shape)} pixels{others}", fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    ticks = values if len(values) <= _MOST_TICKS else [values[0], values[-1]]
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.04, pad=0.03)
    bar.set_ticks([tick / most for tick in ticks], labels=[_text(tick) for tick in ticks])
    bar.ax.tick_params(length=0, labelsize=7)
    bar.outline.set_visible(False)


def _text(count: int) -> str:
    return abbreviated(count) if count < 10**12 else f"{Decimal(count):.2e}"
