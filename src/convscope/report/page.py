"""What a command answers, as one page for a terminal or in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from convscope.tables import Table, in_each, line, markdown, print_list, print_table, say
from convscope.text import escape_markdown


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
        say(console, page.heading)
    width = max(len(name) for name, _ in page.facts) + 2
    for name, text in page.facts:
        say(console, text, first=name.ljust(width), rest=" " * width)
    if page.table.rows:
        line(console)
        print_table(page.table, console)
    if page.legend:
        say(console, page.legend)
    for heading, sentences in page.lists.items():
        print_list(console, heading, sentences)


def as_markdown(page: Page) -> str:
    parts = [
        escape_markdown(page.heading or ""),
        "\n".join(
            f"- {escape_markdown(name)}: {escape_markdown(text)}" for name, text in page.facts
        ),
        markdown(_escaped(page.table)) if page.table.rows else "",
        escape_markdown(page.legend),
    ]
    for heading, sentences in page.lists.items():
        if sentences:
            parts += [
                escape_markdown(heading),
                "\n".join(f"- {escape_markdown(one)}" for one in sentences),
            ]
    return "\n\n".join(part for part in parts if part)


def _escaped(table: Table) -> Table:
    rows = tuple(tuple(map(escape_markdown, row)) for row in table.rows)
    return Table(in_each(table.columns, escape_markdown), rows)
