"""What a command answers, as one page for a terminal or in Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from convscope.tables import Table, line, markdown, points, print_table, say


@dataclass(frozen=True)
class Page:
    """Text as it comes from records; it is made harmless where it is shown.

    Args:
        facts: name and text of what holds for the whole table.
        legend: what the table's columns and marks mean.
        lists: sentences below a heading; an empty list is not shown.
    """

    facts: Sequence[tuple[str, str]]
    table: Table
    legend: str
    heading: str | None = None
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)


def show(page: Page, console: Console) -> None:
    if page.heading:
        say(console, harmless(page.heading))
    width = max(len(name) for name, _ in page.facts) + 2
    for name, text in page.facts:
        say(console, harmless(text), first=name.ljust(width), rest=" " * width)
    if page.table.rows:
        line(console)
        print_table(_with_cells(page.table, harmless), console)
    if page.legend:
        say(console, page.legend)
    for heading, sentences in page.lists.items():
        points(console, heading, list(map(harmless, sentences)))


def as_markdown(page: Page) -> str:
    parts = [
        _in_markdown(page.heading or ""),
        "\n".join(f"- {name}: {_in_markdown(text)}" for name, text in page.facts),
        markdown(_with_cells(page.table, _in_markdown)) if page.table.rows else "",
        _in_markdown(page.legend),
    ]
    for heading, sentences in page.lists.items():
        if sentences:
            parts += [heading, "\n".join(f"- {_in_markdown(one)}" for one in sentences)]
    return "\n\n".join(part for part in parts if part)


def harmless(text: str) -> str:
    """Control and invisible characters escaped: names in records may hold what moves a cursor."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _in_markdown(text: str) -> str:
    return re.sub(r"[\\`*~\[\]]", r"\\\g<0>", html.escape(harmless(text), quote=False))


def _with_cells(table: Table, change: Callable[[str], str]) -> Table:
    return replace(table, rows=tuple(tuple(map(change, row)) for row in table.rows))
