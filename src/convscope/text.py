"""Numbers, lists and users' text as they are shown: in sentences, table cells and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MISSING = "–"
"""In place of a number that was not measured."""
_SPECIAL = re.compile(r"[\\`*_\[\]~#$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
"""A bar as entity: in a table's cell a backslash before it would itself be escaped."""


def escape_control(text: str) -> str:
    """Escape control and invisible characters: they may move a cursor or reorder a line."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def shorten(text: str, most: int) -> str:
    """Return at most `most` characters, the last an ellipsis where some are left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def escape_markdown(text: str) -> str:
    """Return Markdown that shows `text` literally, also within a table."""
    text = _SPECIAL.sub(r"\\\g<0>", escape_control(text))
    text = re.sub("[&<>|]", lambda found: _ENTITIES[found[0]], text)
    # What would start a list.
    return re.sub(r"^(\d+)(?=[.)](?: |$))|^(?=[-+])", r"\1\\", text)


def listed(items: Sequence[str], comma: str = ", ", most: int | None = 8) -> str:
    """`a`, `a and b`, `a, b and c`; of more than `most` the first, and how many more."""
    if most is not None and len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    *others, last = items
    return f"{comma.join(others)} and {last}" if others else last


def count(value: float | None) -> str:
    """`12,346`; a dash for None."""
    return MISSING if value is None else f"{value:,.0f}"


def counted(number: float, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def counted_range(numbers: Iterable[float], noun: str) -> str:
    """`1 epoch`, `40 steps`; of different numbers `40 to 1,050 steps`."""
    ascending = sorted(numbers)
    low, high = ascending[0], ascending[-1]
    return counted(high, noun) if low == high else f"{low:,.0f} to {counted(high, noun)}"


def abbreviated(value: float) -> str:
    """Three digits: `912`, `28.2k`, `4.63M`."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{float(f'{value / factor:.3g}'):g}{unit}"
    return f"{value:.3g}"


def size(lengths: Sequence[int]) -> str:
    """`14x14`, `16x14x14`: channels if any, height and width, also where they are equal."""
    return "x".join(map(str, lengths))


def memory_size(number: int) -> str:
    """Bytes in the largest unit of which there is one: `784 B`, `49.0 KiB`, `1.5 MiB`."""
    if number < 1024:
        return f"{number} B"
    if number < 1024**2:
        return f"{number / 1024:,.1f} KiB"
    return f"{number / 1024**2:,.1f} MiB"


def percent(part: float | None) -> str:
    """0.98751 as `98.75 %`; a dash for None."""
    return MISSING if part is None else f"{100 * part:.2f} %"


def percent_range(low: float, high: float) -> str:
    """`98.71 to 98.93 %`: an accuracy's interval, clipped to 0 and 100 %."""
    return f"{100 * max(low, 0):.2f} to {percent(min(high, 1))}"


def percentage_points(difference: float) -> str:
    """0.0035 as `0.35 points`: a difference between accuracies."""
    return f"{100 * difference:.2f} points"


def share(part: float) -> str:
    """0.514 as `51 %`, 0.0041 as `0.4 %`; `0 %` and `100 %` only for none and all."""
    if 0 < part < 1e-6:
        return "under 0.0001 %"
    if part < 0.01:
        return f"{100 * part:.1g} %"
    return "over 99 %" if 0.99 < part < 1 else f"{100 * part:.0f} %"


def times(factor: float) -> str:
    """1.87 as `1.9 times`, 22.4 as `22 times`."""
    return f"{factor:.2g} times" if factor < 10 else f"{factor:,.0f} times"
