"""A report as one HTML file, which opens from disk and asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from convscope.plots import styled
from convscope.report.document import (
    Answer,
    Block,
    Bullets,
    Code,
    Document,
    Drawing,
    Listing,
    Paragraph,
    Section,
    why_not,
)
from convscope.text import escape_control

Themes = dict[str, Any]
"""A Plotly figure for a `light` and a `dark` page, each its `data` and `layout`."""


def html_report(document: Document, mark: str) -> bytes:
    """The page as UTF-8.

    Args:
        mark: hex digits that stand at its beginning.
    """
    folder = files("convscope.report")
    style = folder.joinpath("report.css").read_text("utf-8")
    drawn: dict[str, Themes] = {}
    sections = "".join(_section(section, drawn) for section in document.sections)
    script = folder.joinpath("report.js").read_text("utf-8")
    scripts = [get_plotlyjs(), script] if drawn else [script]
    # In a script element only `<` could end it, or start a comment.
    figures = json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="convscope-runs" content="{mark}">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(document.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{_text(document.title)}</h1>\n"
        f"<p class=note>{_text(document.lead)}</p>\n</header>\n"
        f'{sections}<script type="application/json" id="figures">{figures}</script>\n'
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )
    return page.encode()


def _policy(scripts: Sequence[str]) -> str:
    """Nothing is loaded, and only these scripts run: no text of a record can become one."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    return (
        f"default-src 'none'; script-src {' '.join(allowed)};"
        " style-src 'unsafe-inline'; img-src data: blob:"
    )


def _section(section: Section, drawn: dict[str, Themes]) -> str:
    blocks = "".join(_block(block, drawn) for block in section.blocks)
    return f"<section>\n<h2>{_text(section.heading)}</h2>\n{blocks}</section>\n"


def _block(block: Block, drawn: dict[str, Themes]) -> str:
    match block:
        case Answer(text):
            return f"<p class=answer>{_text(text)}</p>\n"
        case Paragraph(text):
            return f"<p class=note>{_text(text)}</p>\n"
        case Bullets(lines):
            items = "".join(f"<li>{_text(line)}</li>\n" for line in lines)
            return f"<ul>\n{items}</ul>\n"
        case Code(lines):
            commands = "\n".join(map(_text, lines))
            return f"<pre tabindex=0><code>{commands}</code></pre>\n"
        case Listing():
            return _table(block)
        case Drawing():
            return _drawing(block, drawn)


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
    # Scrolls on its own, by keyboard too; report.js says what lies outside.
    return (
        "<p class=hint aria-hidden=true></p>\n"
        "<div class=wide role=region aria-label=Table tabindex=0>\n<table>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
    )


def _drawing(drawing: Drawing, drawn: dict[str, Themes]) -> str:
    title = f"<h3>{_text(drawing.title)}</h3>\n"
    try:
        figure = drawing.figure()
    except Exception as error:  # noqa: BLE001 (the page says so, and has all else)
        return f"<figure>\n{title}<p>Not drawn: {_text(why_not(error))}.</p>\n</figure>\n"
    drawn[drawing.key] = {
        "light": _plain(figure),
        "dark": _plain(styled(figure, dark=True)),
    }
    return (
        f'<figure>\n{title}<div class=drawing id="{drawing.key}"'
        f' style="min-height:{figure.layout.height}px"></div>\n'
        f"<figcaption>{_text(drawing.caption)}</figcaption>\n</figure>\n"
    )


def _text(text: str) -> str:
    return escape(escape_control(text))


def _plain(figure: Figure) -> Any:
    return json.loads(figure.to_json())
