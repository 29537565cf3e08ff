"""Formatting of numbers, lists and users' text for sentences, table cells and Markdown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

MISSING = "–"
"""Shown in place of a number that was not measured."""
_SPECIAL = re.compile(r"[\\`*_\[\]~#$]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
"""A bar is written as an entity, because table cells would escape a backslash before it."""


def escape_control(text: str) -> str:
    """Escape control and invisible characters, which could move a cursor or reorder a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def shorten(text: str, most: int) -> str:
    """Return at most `most` characters of the text; an ellipsis shows that some are left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def escape_markdown(text: str) -> str:
    """Return Markdown that shows `text` literally, also within a table."""
    text = _SPECIAL.sub(r"\\\g<0>", escape_control(text))
    text = re.sub("[&<>|]", lambda found: _ENTITIES[found[0]], text)
    # A number or sign at the start would begin a list.
    return re.sub(r"^(\d+)(?=[.)](?: |$))|^(?=[-+])", r"\1\\", text)


def listed(items: Sequence[str], comma: str = ", ", most: int | None = 8) -> str:
    """Join items: `a`, `a and b`, `a, b and c`; of more than `most`, name the first and count."""
    if most is not None and len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    *others, last = items
    return f"{comma.join(others)} and {last}" if others else last


def either(items: Sequence[str]) -> str:
    """Join alternatives: `a`, `a or b`, `a, b or c`."""
    *others, last = items
    return f"{', '.join(others)} or {last}" if others else last


def near_or_all(name: str, names: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: the names most like it, or all names."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"they are {listed(names)}"


def count(value: float | None) -> str:
    """Return a whole number with separators, `12,346`; a dash for None."""
    return MISSING if value is None else f"{value:,.0f}"


def with_article(noun: str) -> str:
    """Return a noun with its indefinite article: `a ReLU`, `an AdaptivePool`."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: `1 run`, `1,200 runs`."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def counted_range(numbers: Iterable[float], noun: str) -> str:
    """Return the range of numbers with their noun: `40 steps`, `40 to 1,050 steps`."""
    ascending = sorted(numbers)
    low, high = ascending[0], ascending[-1]
    return counted(high, noun) if low == high else f"{low:,.0f} to {counted(high, noun)}"


def abbreviated(value: float) -> str:
    """Return a number in three digits: `912`, `28.2k`, `4.63M`."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{float(f'{value / factor:.3g}'):g}{unit}"
    return f"{value:.3g}"


def size(lengths: Sequence[int]) -> str:
    """Return a shape as text, (channels,) height and width: `14x14`, `16x14x14`."""
    return "x".join(map(str, lengths))


def memory_size(number: int) -> str:
    """Return a number of bytes in B, KiB or MiB: `784 B`, `49.0 KiB`, `1.5 MiB`."""
    if number < 1024:
        return f"{number} B"
    if number < 1024**2:
        return f"{number / 1024:,.1f} KiB"
    return f"{number / 1024**2:,.1f} MiB"


def percent(part: float | None) -> str:
    """Return a share as per cent, 0.98751 as `98.75 %`; a dash for None."""
    return MISSING if part is None else f"{100 * part:.2f} %"


def p_text(p_value: float | None) -> str:
    """Return a p-value in three decimals, `<0.001` if it is smaller; a dash for None."""
    if p_value is None:
        return MISSING
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def percent_range(low: float, high: float) -> str:
    """Return an accuracy's interval, `98.71 to 98.93 %`, clipped to 0 and 100 %."""
    return f"{100 * max(low, 0):.2f} to {percent(min(high, 1))}"


def percentage_points(difference: float) -> str:
    """Return a difference between accuracies in percentage points: 0.0035 as `0.35 points`."""
    return f"{100 * difference:.2f} points"


def share(part: float) -> str:
    """Return a share as rounded per cent, 0.514 as `51 %`; `0 %` and `100 %` only where exact."""
    if 0 < part < 1e-6:
        return "under 0.0001 %"
    if part < 0.01:
        return f"{100 * part:.1g} %"
    return "over 99 %" if 0.99 < part < 1 else f"{100 * part:.0f} %"


def times(factor: float) -> str:
    """Return a factor as text: 1.87 as `1.9 times`, 22.4 as `22 times`."""
    return f"{factor:.2g} times" if factor < 10 else f"{factor:,.0f} times"
