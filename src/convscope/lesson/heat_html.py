"""Heat maps and table of a grid as one HTML page, which needs no network and no script."""

from __future__ import annotations

from html import escape
from pathlib import Path

from convscope.lesson.grid import GRID_LEGEND, Grid, grid_table, impossible_sentences
from convscope.lesson.heat import SCALE, Cell, HeatMap, colour, ends, heat_maps, ink
from convscope.tables import Table

_STYLE = Path(__file__).with_name("heat.css")


def grid_html(grid: Grid) -> bytes:
    sections = "".join(
        f"<section><h2>{escape(title)}</h2>{_legend(maps)}"
        f"<div class=maps>{''.join(map(_heat_map, maps))}</div></section>"
        for title, maps in heat_maps(grid).items()
    )
    impossible = "".join(f"<li>{escape(sentence)}</li>" for sentence in impossible_sentences(grid))
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Which variants are worth training</title><style>{_STYLE.read_text()}</style>"
        f"<h1>Which variants are worth training</h1><p>{escape(grid.summary)}. {SCALE}.</p>"
        f"{sections}<h2>Variants</h2><div class=wide>{_table(grid_table(grid))}</div>"
        f"<p>{escape(GRID_LEGEND)}.</p>"
        + (f"<h2>Impossible</h2><ul>{impossible}</ul>" if impossible else "")
        + "</html>\n"
    )
    return text.encode()


def _legend(maps: list[HeatMap]) -> str:
    """The colours from the smallest to the largest value, and the mark of the impossible."""
    parts = []
    found = ends(maps)
    if found is not None:
        shades = ",".join(f"rgb({' '.join(map(str, colour(step / 8)))})" for step in range(9))
        bar = f'<span class=bar style="background:linear-gradient(to right,{shades})"></span>'
        parts.append(f"<li>{escape(found[0])} {bar} {escape(found[1])}</li>")
    if any(cell.level is None for drawn in maps for row in drawn.cells for cell in row):
        parts.append('<li><span class="swatch none"></span> impossible: a layer has no output</li>')
    return f'<ul class=legend aria-label="Legend">{"".join(parts)}</ul>'


def _heat_map(drawn: HeatMap) -> str:
    head = "".join(f"<th scope=col>{escape(value)}</th>" for value in drawn.columns)
    body = "".join(
        f"<tr><th scope=row>{escape(value)}</th>{''.join(_cell(cell) for cell in cells)}</tr>"
        for value, cells in zip(drawn.rows, drawn.cells, strict=True)
    )
    across = escape(drawn.column_name)
    return (
        f"<div class=wide><table class=heat><caption>{escape(drawn.facet)}</caption>"
        f"<tr><td></td><th colspan={len(drawn.columns)}>{across}</th></tr>"
        f"<tr><th>{escape(drawn.row_name)}</th>{head}</tr>{body}</table></div>"
    )


def _cell(cell: Cell) -> str:
    hint = escape(cell.hint)
    if cell.level is None:
        return f'<td class=none title="{hint}">{cell.text}</td>'
    red, green, blue = colour(cell.level)
    style = f"background:rgb({red} {green} {blue});color:{ink(cell.level)}"
    return f'<td style="{style}" title="{hint}">{escape(cell.text)}</td>'


def _table(table: Table) -> str:
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
