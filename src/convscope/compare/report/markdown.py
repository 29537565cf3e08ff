"""A report as GitHub-flavoured Markdown, with its pictures in a folder beside it."""

from __future__ import annotations

import re
from urllib.parse import quote

from convscope.compare.page import harmless
from convscope.compare.report.document import (
    Answer,
    Block,
    Bullets,
    Code,
    Document,
    Drawing,
    Listing,
    Paragraph,
)
from convscope.errors import UserError
from convscope.tables import Table, markdown

_SPECIAL = re.compile(r"[\\`*_\[\]~#$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
"""A bar as entity: in a table's cell a backslash before it would itself be escaped."""


def markdown_report(document: Document, folder: str) -> tuple[bytes, dict[str, bytes]]:
    """The text, and the pictures by their name in `folder`, which lies beside the text."""
    pictures: dict[str, bytes] = {}
    blocks = [f"# {escape(document.title)}", escape(document.lead)]
    for section in document.sections:
        blocks.append(f"## {escape(section.heading)}")
        blocks += [_block(block, folder, pictures) for block in section.blocks]
    return ("\n\n".join(filter(None, blocks)) + "\n").encode(), pictures


def _block(block: Block, folder: str, pictures: dict[str, bytes]) -> str:
    match block:
        case Answer(text):
            return f"**{escape(text)}**"
        case Paragraph(text):
            return escape(text)
        case Bullets(lines):
            return "\n".join(f"- {escape(line)}" for line in lines)
        case Code(lines):
            return _fenced("\n".join(map(harmless, lines)))
        case Listing(table, best):
            return _table(table, best)
        case Drawing():
            return _drawing(block, folder, pictures)


def _table(table: Table, best: frozenset[int]) -> str:
    rows = (
        tuple(f"**{escape(cell)}**" if number in best else escape(cell) for cell in row)
        for number, row in enumerate(table.rows)
    )
    return markdown(Table(table.columns, tuple(rows)))


def _fenced(text: str) -> str:
    """A block of code, whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def _drawing(drawing: Drawing, folder: str, pictures: dict[str, bytes]) -> str:
    if drawing.picture is None:
        return ""
    title = f"### {escape(drawing.title)}"
    try:
        content = drawing.picture()
    except UserError as error:
        return f"{title}\n\nNot drawn: {escape(str(error))}."
    name = f"{drawing.key}.png"
    pictures[name] = content
    image = f"![{escape(drawing.title)}]({quote(folder)}/{name})"
    return f"{title}\n\n{image}\n\n{escape(drawing.caption)}"


def escape(text: str) -> str:
    """Plain text as Markdown that shows it as it is, also within a table."""
    text = _SPECIAL.sub(r"\\\g<0>", harmless(text))
    text = re.sub("[&<>|]", lambda found: _ENTITIES[found[0]], text)
    # What would start a list.
    return re.sub(r"^(\d+)(?=[.)](?: |$))|^(?=[-+])", r"\1\\", text)
