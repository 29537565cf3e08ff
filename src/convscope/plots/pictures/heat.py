"""Kernel size by stride as a picture."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle
from pandas import DataFrame

from convscope.plain_pictures import plain_text
from convscope.plots.cells import VALUES, Cells, Panel, cells
from convscope.plots.pictures.canvas import SMALL, TEXT, new_figure, plain_axes, png
from convscope.plots.quantities import chosen
from convscope.plots.style import CELL_INK, CELLS

_ACROSS = 3
_ROW, _AROUND, _TITLE = 0.34, 0.75, 0.3
_HOLE, _HOLE_INK = "#ececec", "#6b7076"
_COLOURS = LinearSegmentedColormap.from_list("cells", CELLS)


@plain_text()
def heat_png(runs: DataFrame, value: str = "test_accuracy", setting: str | None = None) -> bytes:
    """`figures.heat` as a picture; raises as it does."""
    shown = chosen("value", value, VALUES)
    drawn = cells(runs, shown, setting)
    across = min(len(drawn.panels), _ACROSS)
    down = math.ceil(len(drawn.panels) / across)
    figure = new_figure(down * (_ROW * len(drawn.kernels) + _AROUND) + _TITLE)
    known = [
        cell.value
        for panel in drawn.panels
        for cell in panel.cells.values()
        if cell.value is not None
    ]
    scale = Normalize(min(known), max(known))
    for place, panel in enumerate(drawn.panels, start=1):
        _draw(figure.add_subplot(down, across, place), drawn, panel, scale)
    return png(figure, "; ".join(filter(None, drawn.titles)))


def _draw(axes: Axes, drawn: Cells, panel: Panel, scale: Normalize) -> None:
    plain_axes(axes)
    axes.grid(visible=False)
    for (kernel, stride), cell in panel.cells.items():
        x, y = drawn.strides.index(stride), drawn.kernels.index(kernel)
        colour = _HOLE if cell.value is None else _COLOURS(scale(cell.value))
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
        ink = _HOLE_INK if cell.value is None else CELL_INK
        axes.text(x, y, cell.text, ha="center", va="center", fontsize=SMALL, color=ink)
    axes.set_xlim(-0.5, len(drawn.strides) - 0.5)
    axes.set_ylim(len(drawn.kernels) - 0.5, -0.5)
    axes.set_xticks(range(len(drawn.strides)), drawn.strides)
    axes.set_yticks(range(len(drawn.kernels)), drawn.kernels)
    axes.set_xlabel("stride", fontsize=TEXT)
    axes.set_ylabel("kernel", fontsize=TEXT)
    axes.set_title(panel.title, loc="left", fontsize=TEXT)
