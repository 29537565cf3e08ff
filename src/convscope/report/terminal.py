"""Writer of comparisons to the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from convscope.report.document import Block, Bullets, Facts, Listing, Paragraph
from convscope.tables import print_line, print_list, print_paragraph, print_table


def show(blocks: Iterable[Block], console: Console) -> None:
    """Print blocks other than code and drawings, with control characters escaped."""
    for block in blocks:
        match block:
            case Paragraph(text) if text:
                print_paragraph(console, text)
            case Facts(pairs):
                width = max(len(name) for name, _ in pairs) + 2
                for name, text in pairs:
                    print_paragraph(console, text, first=name.ljust(width), rest=" " * width)
            case Listing(table) if table.rows:
                print_line(console)
                print_table(table, console)
            case Bullets(lines, heading):
                print_list(console, heading, lines)
