"""Numbers and lists as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from pandas import Series

_MOST = 8


def points(difference: float) -> str:
    """0.0035 as 0.35 points: a difference of accuracies."""
    return f"{100 * difference:.2f} points"


def share(part: float) -> str:
    """0.514 as 51 %, 0.0041 as 0.4 %."""
    return f"{100 * part:.0f} %" if part >= 0.01 else f"{100 * part:.1g} %"


def between(low: float, high: float) -> str:
    """An interval of an accuracy; one that leaves 0 to 100 % is cut there."""
    return f"{100 * max(low, 0):.2f} to {100 * min(high, 1):.2f} %"


def listed(words: Sequence[str], comma: str = ", ") -> str:
    """`a`, `a and b`, `a, b and c`; of many the first, and how many more."""
    if len(words) > _MOST:
        words = [*words[: _MOST - 1], f"{len(words) - _MOST + 1} more"]
    *others, last = words
    return f"{comma.join(others)} and {last}" if others else last


def span(numbers: Series, noun: str) -> str:
    """`1 epoch`, `40 steps`; of different numbers `40 to 1,050 steps`."""
    low, high = numbers.min(), numbers.max()
    text = f"{high:,.0f} {noun}{'' if high == 1 else 's'}"
    return text if low == high else f"{low:,.0f} to {text}"


def times(factor: float) -> str:
    """1.87 as 1.9 times, 22.4 as 22 times."""
    return f"{factor:.2g} times" if factor < 10 else f"{factor:,.0f} times"
