"""A matrix of numbers on a console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.console import Console

from convscope.tables import line

MOST_ROWS = 20
_GAP = "..."
_Item = TypeVar("_Item")


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
