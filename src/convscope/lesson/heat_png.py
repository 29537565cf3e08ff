"""Heat maps of a grid as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convscope.errors import UserError
from convscope.lesson.grid import Grid
from convscope.lesson.heat import SCALE, HeatMap, colour, ends, heat_maps, ink
from convscope.plain_pictures import plain_text

MOST_MAPS = 40
MOST_VALUES = 30
_CELL = 0.62
_LEGEND = 0.12
_DPI = 120


@plain_text()
def grid_png(grid: Grid) -> bytes:
    """One row of maps per choice of the keys besides kernel size and stride.

    Raises:
        UserError: more than fits a picture.
    """
    maps = heat_maps(grid)
    by_facet = list(zip(*maps.values(), strict=True))
    first = by_facet[0][0]
    across, down = len(first.columns), len(first.rows)
    if len(by_facet) > MOST_MAPS or max(across, down) > MOST_VALUES:
        raise UserError(
            f"--png draws at most {MOST_MAPS} maps of {MOST_VALUES} by {MOST_VALUES} variants,"
            f" got {len(by_facet)} of {down} by {across}; --html has no such limit"
        )
    widths = _CELL * max(across, 3) + 0.9
    heights = _CELL * down * 0.8 + 0.95
    figure = Figure(
        figsize=(len(maps) * widths, len(by_facet) * heights + 0.8),
        layout="constrained",
        dpi=_DPI,
        facecolor="white",
    )
    *axes, legends = figure.subplots(
        len(by_facet) + 1,
        len(maps),
        squeeze=False,
        height_ratios=[*[heights] * len(by_facet), _LEGEND],
    )
    for legend, drawn in zip(legends, maps.values(), strict=True):
        _draw_legend(legend, drawn)
    for row, facet in zip(axes, by_facet, strict=True):
        for cell, title, drawn in zip(row, maps, facet, strict=True):
            _draw(cell, drawn)
            cell.set_title("\n".join(part for part in (title, drawn.facet) if part), fontsize=9)
    figure.supxlabel(f"{SCALE}; impossible variants are hatched. {grid.summary}.", fontsize=8)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw_legend(axes: Axes, maps: Sequence[HeatMap]) -> None:
    """The colours from the smallest to the largest value of a quantity."""
    found = ends(maps)
    axes.set_visible(found is not None)
    if found is None:
        return
    axes.imshow([[colour(step / 255) for step in range(256)]], aspect="auto", extent=(0, 1, 0, 1))
    axes.set_xticks([0, 1], found, fontsize=8)
    axes.set_yticks([])
    smallest, largest = axes.get_xticklabels()
    smallest.set_horizontalalignment("left")
    largest.set_horizontalalignment("right")
    axes.tick_params(length=0)


def _draw(axes: Axes, drawn: HeatMap) -> None:
    for y, cells in enumerate(drawn.cells):
        for x, cell in enumerate(cells):
            impossible = cell.level is None
            fill = (0.95,) * 3 if cell.level is None else tuple(c / 255 for c in colour(cell.level))
            axes.add_patch(
                Rectangle(
                    (x - 0.5, y - 0.5),
                    1,
                    1,
                    facecolor=fill,
                    edgecolor="#b0b0b0" if impossible else "white",
                    hatch="///" if impossible else None,
                    linewidth=1,
                )
            )
            if cell.level is not None:
                axes.text(
                    x, y, cell.text, ha="center", va="center", fontsize=8, color=ink(cell.level)
                )
    axes.set(
        xlim=(-0.5, len(drawn.columns) - 0.5),
        ylim=(len(drawn.rows) - 0.5, -0.5),
    )
    axes.set_xlabel(drawn.column_name, fontsize=8)
    axes.set_ylabel(drawn.row_name, fontsize=8)
    axes.set_xticks(range(len(drawn.columns)), drawn.columns)
    axes.set_yticks(range(len(drawn.rows)), drawn.rows)
    axes.tick_params(length=0, labelsize=8)
    for side in axes.spines.values():
        side.set_visible(False)
