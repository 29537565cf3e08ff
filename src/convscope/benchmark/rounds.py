"""a, b and c take turns: what the machine does meanwhile, it does to all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Turn = Callable[[], Mapping[str, float | None]]
"""Measures one contender once: figures by name."""


def take_turns(turns: Mapping[str, Turn], rounds: int) -> list[dict[str, float | None]]:
    """The figures of each round; who begins moves on by one from round to round."""
    names = list(turns)
    measured = []
    for number in range(rounds):
        first = number % len(names)
        figures: dict[str, float | None] = {}
        for name in names[first:] + names[:first]:
            figures |= turns[name]()
        measured.append(figures)
    return measured


@dataclass(frozen=True)
class Spread:
    """Of a figure over the rounds."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float | None]) -> Spread | None:
    """Median and extremes of those measured; None if none was."""
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def ratio(over: float | None, under: float | None) -> float | None:
    """Of two figures of one round; None where one was not measured."""
    return None if over is None or under is None else over / under
