"""Heat maps of a grid, kernel size by stride: final map, MACs and receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from itertools import product
from math import log, nan, prod
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from convscope.errors import UserError
from convscope.geometry import NetworkGeometry, pair_token
from convscope.lesson.grid import GRID_LEGEND, Grid, grid_table, impossible_sentences
from convscope.plain_pictures import plain_text
from convscope.tables import Table
from convscope.text import MISSING, abbreviated, size

MOST_MAPS = 40
MOST_VALUES = 30
"""Largest number of maps per quantity, and of rows or columns of a map, in a picture."""
SCALE = "Darker is larger, on a logarithmic scale"
"""Legend of the colours of all maps."""
LIGHT, DARK, INK = "#e6f0fa", "#4a97cf", "#10151c"
"""Ink has a contrast of at least 4.5 on every colour from light to dark (WCAG 2.2, 1.4.3)."""
COLOURS = LinearSegmentedColormap.from_list("cells", (LIGHT, DARK))
_ROWS, _COLUMNS = "conv.kernel_size", "conv.stride"
_STYLE = Path(__file__).with_name("heat.css")
_CELL = 0.62
_LEGEND = 0.12
_DPI = 120


@dataclass(frozen=True)
class Cell:
    """One variant in one map.

    Attributes:
        text: the quantity's value; a dash if the variant is impossible.
        level: the value's level on a logarithmic scale, from 0 for the smallest to 1 for the
            largest value of the quantity's maps; None if the variant is impossible.
        hint: the variant's label and, if it is impossible, the reason.
    """

    text: str
    level: float | None
    hint: str


@dataclass(frozen=True)
class HeatMap:
    """The cells of one quantity, for one combination of the values of the grid's other keys.

    Attributes:
        facet: this combination as text; "" if there are no other keys.
        row_name: name of the rows' key.
        rows: its values.
        column_name: name of the columns' key.
        columns: its values.
        cells: the cells by row and column.
    """

    facet: str
    row_name: str
    rows: tuple[str, ...]
    column_name: str
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]


_Quantity = tuple[Callable[[NetworkGeometry], int], Callable[[NetworkGeometry], str]]
_QUANTITIES: dict[str, _Quantity] = {
    "final map, height x width": (lambda g: prod(g.final_map), lambda g: size(g.final_map)),
    "MACs per image": (lambda g: g.macs, lambda g: abbreviated(g.macs)),
    "receptive field, pixels": (
        lambda g: prod(g.receptive_field),
        lambda g: pair_token(g.receptive_field),
    ),
}
"""The quantities by title: the value that decides the colour, and its text."""


def heat_maps(grid: Grid) -> dict[str, list[HeatMap]]:
    """Return the maps by quantity, one per combination of the keys outside rows and columns."""
    return {
        title: list(_maps(grid, _cells(grid, *quantity))) for title, quantity in _QUANTITIES.items()
    }


def _cells(
    grid: Grid, value: Callable[[NetworkGeometry], int], text: Callable[[NetworkGeometry], str]
) -> dict[tuple[str, ...], Cell]:
    geometries = [variant.geometry for variant in grid.variants.values()]
    logs = [log(value(geometry)) for geometry in geometries if geometry is not None]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    cells = {}
    for form, variant in grid.variants.items():
        if (geometry := variant.geometry) is None:
            cells[form] = Cell(MISSING, None, f"{variant.label}: {variant.impossible}")
        else:
            level = (log(value(geometry)) - low) / (high - low or 1)
            cells[form] = Cell(text(geometry), level, variant.label)
    return cells


def _maps(grid: Grid, cells: dict[tuple[str, ...], Cell]) -> Iterator[HeatMap]:
    keys = list(grid.values)
    values = grid.values | {"": ("",)}
    row_key, column_key = _axes(keys)
    facet_keys = [key for key in keys if key not in (row_key, column_key)]
    rows, columns = values[row_key], values[column_key]
    for facet in product(*(values[key] for key in facet_keys)):
        chosen = dict(zip(facet_keys, facet, strict=True))
        forms = [
            [chosen | {row_key: row, column_key: column} for column in columns] for row in rows
        ]
        yield HeatMap(
            facet=", ".join(f"{_key_text(key)} {value}" for key, value in chosen.items()),
            row_name=_key_text(row_key),
            rows=rows,
            column_name=_key_text(column_key),
            columns=columns,
            cells=tuple(
                tuple(cells[tuple(form[key] for key in keys)] for form in row) for row in forms
            ),
        )


def _key_text(key: str) -> str:
    """Return a key as text: `conv.kernel_size` as `kernel size`, other keys unchanged."""
    return key.removeprefix("conv.").replace("_", " ") if key.startswith("conv.") else key


def _axes(keys: list[str]) -> tuple[str, str]:
    """Return the keys of rows and columns: kernel size and stride if swept, else others, or ""."""
    left = [key for key in keys if key not in (_ROWS, _COLUMNS)]
    column = _COLUMNS if _COLUMNS in keys else (left.pop(0) if left else "")
    row = _ROWS if _ROWS in keys else (left.pop(0) if left and column == _COLUMNS else "")
    return row, column


def _ends(maps: Iterable[HeatMap]) -> tuple[str, str] | None:
    """Return the smallest and the largest value of some maps; None if all cells are impossible."""
    cells = (cell for drawn in maps for row in drawn.cells for cell in row)
    texts = {cell.level: cell.text for cell in cells if cell.level is not None}
    return (texts[min(texts)], texts[max(texts)]) if texts else None


def grid_html(grid: Grid) -> bytes:
    """Return heat maps and table as one HTML page without scripts, which needs no network."""
    sections = "".join(
        f"<section><h2>{escape(title)}</h2>{_html_legend(maps)}"
        f"<div class=maps>{''.join(map(_html_map, maps))}</div></section>"
        for title, maps in heat_maps(grid).items()
    )
    impossible = "".join(f"<li>{escape(sentence)}</li>" for sentence in impossible_sentences(grid))
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Which variants are worth training</title><style>{_STYLE.read_text()}</style>"
        f"<h1>Which variants are worth training</h1><p>{escape(grid.title)}</p>"
        f"<p>{escape(grid.summary)}. {SCALE}.</p>"
        f"{sections}<h2>Variants</h2><div class=wide>{_html_table(grid_table(grid))}</div>"
        f"<p>{escape(GRID_LEGEND)}.</p>"
        + (f"<h2>Impossible</h2><ul>{impossible}</ul>" if impossible else "")
        + "</html>\n"
    )
    return text.encode()


def _html_legend(maps: list[HeatMap]) -> str:
    """Return the colours from the smallest to the largest value, and the mark for impossible."""
    parts = []
    found = _ends(maps)
    if found is not None:
        gradient = f"background:linear-gradient(to right,{LIGHT},{DARK})"
        bar = f'<span class=bar style="{gradient}"></span>'
        parts.append(f"<li>{escape(found[0])} {bar} {escape(found[1])}</li>")
    if any(cell.level is None for drawn in maps for row in drawn.cells for cell in row):
        parts.append(
            '<li><span class="swatch none"></span> impossible: PyTorch refuses a layer</li>'
        )
    return f'<ul class=legend aria-label="Legend">{"".join(parts)}</ul>'


def _html_map(drawn: HeatMap) -> str:
    head = "".join(f"<th scope=col>{escape(value)}</th>" for value in drawn.columns)
    body = "".join(
        f"<tr><th scope=row>{escape(value)}</th>{''.join(map(_html_cell, cells))}</tr>"
        for value, cells in zip(drawn.rows, drawn.cells, strict=True)
    )
    across = escape(drawn.column_name)
    return (
        f"<div class=wide><table class=heat><caption>{escape(drawn.facet)}</caption>"
        f"<tr><td></td><th colspan={len(drawn.columns)}>{across}</th></tr>"
        f"<tr><th>{escape(drawn.row_name)}</th>{head}</tr>{body}</table></div>"
    )


def _html_cell(cell: Cell) -> str:
    hint = escape(cell.hint)
    if cell.level is None:
        return f'<td class=none title="{hint}">{cell.text}</td>'
    mixed = f"color-mix(in srgb,{DARK} {100 * cell.level:.1f}%,{LIGHT})"
    style = f"background:{mixed};color:{INK}"
    return f'<td style="{style}" title="{hint}">{escape(cell.text)}</td>'


def _html_table(table: Table) -> str:
    kinds = [" class=left" if name.startswith("<") else "" for name in table.columns]
    names = "".join(
        f"<th scope=col{kind}>{escape(name.removeprefix('<'))}</th>"
        for kind, name in zip(kinds, table.columns, strict=True)
    )
    rows = "".join(
        f"<tr>{''.join(f'<td{k}>{escape(c)}</td>' for k, c in zip(kinds, row, strict=True))}</tr>"
        for row in table.rows
    )
    return f"<table class=list><thead><tr>{names}</tr></thead>{rows}</table>"


@plain_text()
def grid_png(grid: Grid) -> bytes:
    """Return a PNG with a row of maps for each combination of the keys outside rows and columns.

    Raises:
        UserError: the maps do not fit in a picture.
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
    for legend, quantity_maps in zip(legends, maps.values(), strict=True):
        _draw_legend(legend, _ends(quantity_maps))
    for row, facet in zip(axes, by_facet, strict=True):
        for cell, title, drawn in zip(row, maps, facet, strict=True):
            _draw(cell, drawn)
            cell.set_title("\n".join(part for part in (title, drawn.facet) if part), fontsize=9)
    figure.suptitle(grid.title, fontsize=9)
    figure.supxlabel(f"{SCALE}; impossible variants are hatched. {grid.summary}.", fontsize=8)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw_legend(axes: Axes, ends: tuple[str, str] | None) -> None:
    """Draw the colours from the smallest to the largest value of a quantity."""
    axes.set_visible(ends is not None)
    axes.imshow([np.linspace(0, 1, 256)], cmap=COLOURS, aspect="auto", extent=(0, 1, 0, 1))
    axes.set_xticks([0, 1], ends or ("", ""), fontsize=8)
    smallest, largest = axes.get_xticklabels()
    smallest.set_horizontalalignment("left")
    largest.set_horizontalalignment("right")
    axes.set_yticks([])
    axes.tick_params(length=0)


def _draw(axes: Axes, drawn: HeatMap) -> None:
    levels = [[nan if cell.level is None else cell.level for cell in row] for row in drawn.cells]
    axes.pcolormesh(levels, cmap=COLOURS, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    # The background is visible where a variant is impossible, because its cell is not drawn.
    axes.patch.set(facecolor="#f2f2f2", edgecolor="#b0b0b0", hatch="///")
    for y, cells in enumerate(drawn.cells):
        for x, cell in enumerate(cells):
            if cell.level is not None:
                centre = x + 0.5, y + 0.5
                axes.text(*centre, cell.text, ha="center", va="center", fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel(drawn.column_name, fontsize=8)
    axes.set_ylabel(drawn.row_name, fontsize=8)
    axes.set_xticks(np.arange(len(drawn.columns)) + 0.5, drawn.columns)
    axes.set_yticks(np.arange(len(drawn.rows)) + 0.5, drawn.rows)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
