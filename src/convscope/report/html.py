"""Writer of a report as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

from convscope.plots import styled
from convscope.report.document import (
    Block,
    Bullets,
    Code,
    Document,
    Drawing,
    Facts,
    Listing,
    Paragraph,
    not_drawn,
)
from convscope.text import escape_control

Themes = dict[str, Any]
"""`data` and `layout` of a Plotly figure, for a `light` and a `dark` page."""

_SHARED = files("convscope.plots") / "web"
"""Files that the tab in TensorBoard uses too."""
_OWN = files("convscope.report")


def html_report(document: Document, mark: str) -> bytes:
    """Return the page as UTF-8.

    Args:
        document: the report.
        mark: hex digits to write at the page's beginning, which identify its runs.
    """
    drawn: dict[str, Themes] = {}
    sections = [
        f"<section>\n<h2>{_text(section.heading)}</h2>\n"
        + "".join(_block(block, drawn) for block in section.blocks)
        + "</section>\n"
        for section in document.sections
    ]
    style = "".join(one.read_text("utf-8") for one in (_SHARED / "theme.css", _OWN / "report.css"))
    scripts = [get_plotlyjs(), _script()] if drawn else [_script()]
    # In a script element only `<` could end the element or start a comment.
    figures = json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta name="convscope-runs" content="{mark}">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<title>{_text(document.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n",
        f"<header>\n<h1>{_text(document.title)}</h1>\n",
        f"<p class=note>{_text(document.lead)}</p>\n</header>\n",
        *sections,
        f'<script type="application/json" id="figures">{figures}</script>\n',
        *(f"<script>{script}</script>\n" for script in scripts),
        "</body>\n</html>\n",
    ]
    return "".join(page).encode()


def _script() -> str:
    """Return report.js joined with the modules that it imports, as the page is a single file."""
    shared = [_SHARED / f"{name}.js" for name in ("element", "text", "outside", "draw")]
    code = "".join(one.read_text("utf-8") for one in [*shared, _OWN / "report.js"])
    return '"use strict";{\n' + re.sub(r"^(import .*\n|export )", "", code, flags=re.M) + "}"


def _policy(scripts: Sequence[str]) -> str:
    """Return a policy that loads nothing and runs only these scripts, never text of a record."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    return (
        f"default-src 'none'; script-src {' '.join(allowed)};"
        " style-src 'unsafe-inline'; img-src data: blob:"
    )


def _block(block: Block, drawn: dict[str, Themes]) -> str:
    match block:
        case Paragraph(text, is_answer):
            return f"<p class={'answer' if is_answer else 'note'}>{_text(text)}</p>\n"
        case Facts(pairs):
            return _items(f"{name}: {text}" for name, text in pairs)
        case Bullets(lines, heading):
            return (f"<p class=note>{_text(heading)}</p>\n" if heading else "") + _items(lines)
        case Code(lines):
            commands = "\n".join(map(_text, lines))
            return f"<pre tabindex=0><code>{commands}</code></pre>\n"
        case Listing():
            return _table(block)
        case Drawing():
            return _drawing(block, drawn)


def _items(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>\n"


def _table(listing: Listing) -> str:
    names = listing.table.columns
    kinds = [" class=left" if name.startswith("<") else "" for name in names]
    head = "".join(
        f"<th scope=col{kind}>{_text(name.removeprefix('<'))}</th>"
        for kind, name in zip(kinds, names, strict=True)
    )
    body = "".join(
        f"<tr{' class=best' if number in listing.best else ''}>"
        f"<th scope=row{kinds[0]}><span>{_text(row[0])}</span></th>"
        + "".join(
            f"<td{kind}>{_text(cell)}</td>" for kind, cell in zip(kinds[1:], row[1:], strict=True)
        )
        + "</tr>\n"
        for number, row in enumerate(listing.table.rows)
    )
    # The table scrolls, by keyboard too; outside.js tells readers about hidden columns.
    return (
        "<div class=scrolled role=region aria-label=Table tabindex=0>\n<table>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )


def _drawing(drawing: Drawing, drawn: dict[str, Themes]) -> str:
    title = f"<h3>{_text(drawing.title)}</h3>\n"
    try:
        figure = drawing.draw()
    except Exception as error:  # noqa: BLE001 (the page shows the error and everything else)
        return f"<figure>\n{title}<p>{_text(not_drawn(error))}</p>\n</figure>\n"
    drawn[drawing.key] = {
        theme: json.loads(styled(figure, dark=theme == "dark").to_json())
        for theme in ("light", "dark")
    }
    return (
        f'<figure>\n{title}<div class=drawing id="{drawing.key}"'
        f' style="min-height:{figure.layout.height}px"></div>\n'
        f"<figcaption>{_text(drawing.caption)}</figcaption>\n</figure>\n"
    )


def _text(text: str) -> str:
    return escape(escape_control(text))
