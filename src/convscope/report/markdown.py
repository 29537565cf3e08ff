"""Writer of comparisons and reports as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

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
from convscope.tables import Table, map_column_names, markdown
from convscope.text import escape_control, escape_markdown


def markdown_report(document: Document, folder: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the text, and the pictures by their name in `folder`, which is beside the text."""
    pictures: dict[str, bytes] = {}
    parts = [f"# {escape_markdown(document.title)}", escape_markdown(document.lead)]
    for section in document.sections:
        parts.append(f"## {escape_markdown(section.heading)}")
        parts += [
            _drawing(block, folder, pictures) if isinstance(block, Drawing) else _block(block)
            for block in section.blocks
        ]
    return (_joined(parts) + "\n").encode(), pictures


def as_markdown(blocks: Iterable[Block]) -> str:
    """Return blocks other than drawings as Markdown."""
    return _joined(map(_block, blocks))


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, parts))


def _block(block: Block) -> str:
    match block:
        case Paragraph(text, is_answer):
            return f"**{escape_markdown(text)}**" if is_answer else escape_markdown(text)
        case Facts(pairs):
            return _bullets(
                f"{escape_markdown(name)}: {escape_markdown(text)}" for name, text in pairs
            )
        case Bullets(lines, heading) if lines:
            return _joined([escape_markdown(heading), _bullets(map(escape_markdown, lines))])
        case Code(lines):
            return _fenced("\n".join(map(escape_control, lines)))
        case Listing(table, best) if table.rows:
            return _table(table, best)
    return ""


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(table: Table, best: frozenset[int]) -> str:
    rows = (
        tuple(f"**{escape_markdown(c)}**" if number in best else escape_markdown(c) for c in row)
        for number, row in enumerate(table.rows)
    )
    return markdown(Table(map_column_names(table.columns, escape_markdown), tuple(rows)))


def _fenced(text: str) -> str:
    """Return a code block, whose fence is longer than any sequence of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def _drawing(drawing: Drawing, folder: str, pictures: dict[str, bytes]) -> str:
    # Imports Matplotlib, which is slow and which comparisons do not need.
    from convscope.report.png import png

    title = escape_markdown(drawing.title)
    try:
        pictures[f"{drawing.key}.png"] = png(drawing.draw())
    except Exception as error:  # noqa: BLE001 (the page shows the error and everything else)
        return f"### {title}\n\n{escape_markdown(not_drawn(error))}"
    image = f"![{title}]({quote(folder)}/{drawing.key}.png)"
    return f"### {title}\n\n{image}\n\n{escape_markdown(drawing.caption)}"
