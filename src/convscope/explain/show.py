"""Text on a console: wrapped where a person reads, one line each in a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TypeVar

from rich.console import Console

MOST_ROWS = 20
_GAP = "..."
_Item = TypeVar("_Item")


def say(console: Console, text: str = "", first: str = "", rest: str = "") -> None:
    """One paragraph, its first line and the others indented by `first` and `rest`."""
    if console.is_terminal:
        text = textwrap.fill(
            text,
            width=console.width,
            initial_indent=first,
            subsequent_indent=rest,
            break_on_hyphens=False,
            break_long_words=False,
        )
    else:
        text = first + text
    line(console, text)


def line(console: Console, text: str = "") -> None:
    """Text as it stands."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def points(console: Console, heading: str, sentences: Sequence[str]) -> None:
    """A list below a heading; nothing where there is nothing to list."""
    if not sentences:
        return
    line(console)
    say(console, heading)
    for sentence in sentences:
        say(console, sentence, first="- ", rest="  ")


def matrix(console: Console, rows: Sequence[Sequence[int]]) -> None:
    """Whole numbers in columns; the middle is left out where it does not fit."""
    cells = [[str(number) for number in row] for row in _shortened(rows, MOST_ROWS)]
    if len(rows) > MOST_ROWS:
        cells.insert(MOST_ROWS // 2, [_GAP] * len(rows[0]))
    width = max(len(cell) for row in cells for cell in row) + 2
    fitting = max(console.width // width - 1, 2)
    for row in cells:
        shown = list(_shortened(row, fitting))
        if len(row) > fitting:
            shown.insert(fitting // 2, _GAP)
        line(console, "".join(cell.rjust(width) for cell in shown))


def _shortened(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    if len(items) <= most:
        return items
    head = most // 2
    return [*items[:head], *items[len(items) - (most - head) :]]
