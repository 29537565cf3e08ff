"""A report as GitHub-flavoured Markdown, with its pictures in a folder beside it."""

from __future__ import annotations

import re
from urllib.parse import quote

from convscope.report.document import (
    Answer,
    Block,
    Bullets,
    Code,
    Document,
    Drawing,
    Listing,
    Paragraph,
    why_not,
)
from convscope.tables import Table, in_each, markdown
from convscope.text import escape_control, escape_markdown


def markdown_report(document: Document, folder: str) -> tuple[bytes, dict[str, bytes]]:
    """The text, and the pictures by their name in `folder`, which lies beside the text."""
    pictures: dict[str, bytes] = {}
    blocks = [f"# {escape_markdown(document.title)}", escape_markdown(document.lead)]
    for section in document.sections:
        blocks.append(f"## {escape_markdown(section.heading)}")
        blocks += [_block(block, folder, pictures) for block in section.blocks]
    return ("\n\n".join(filter(None, blocks)) + "\n").encode(), pictures


def _block(block: Block, folder: str, pictures: dict[str, bytes]) -> str:
    match block:
        case Answer(text):
            return f"**{escape_markdown(text)}**"
        case Paragraph(text):
            return escape_markdown(text)
        case Bullets(lines):
            return "\n".join(f"- {escape_markdown(line)}" for line in lines)
        case Code(lines):
            return _fenced("\n".join(map(escape_control, lines)))
        case Listing(table, best):
            return _table(table, best)
        case Drawing():
            return _drawing(block, folder, pictures)


def _table(table: Table, best: frozenset[int]) -> str:
    rows = (
        tuple(
            f"**{escape_markdown(cell)}**" if number in best else escape_markdown(cell)
            for cell in row
        )
        for number, row in enumerate(table.rows)
    )
    return markdown(Table(in_each(table.columns, escape_markdown), tuple(rows)))


def _fenced(text: str) -> str:
    """A block of code, whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def _drawing(drawing: Drawing, folder: str, pictures: dict[str, bytes]) -> str:
    if drawing.picture is None:
        return ""
    title = f"### {escape_markdown(drawing.title)}"
    try:
        content = drawing.picture()
    except Exception as error:  # noqa: BLE001 (the page says so, and has all else)
        return f"{title}\n\nNot drawn: {escape_markdown(why_not(error))}."
    name = f"{drawing.key}.png"
    pictures[name] = content
    image = f"![{escape_markdown(drawing.title)}]({quote(folder)}/{name})"
    return f"{title}\n\n{image}\n\n{escape_markdown(drawing.caption)}"
