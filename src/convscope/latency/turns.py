"""The protocol of a latency measurement: warm-up, rounds, and whose turn it is."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

Subject = TypeVar("Subject")
Turn = Callable[[int], list[float]]
"""Makes so many calls and returns the seconds of each, after one that is not timed."""

WARM_UP_CALLS = 5
ROUNDS = 10
SECONDS = 0.1
"""Wall time of a subject's turn in a round, if a call is shorter."""
MOST_CALLS = 100
"""Largest number of calls in a turn."""


def calls_per_turn(turn: Turn) -> int:
    """Warm a subject up, and return the number of calls for each of its turns."""
    return max(1, min(MOST_CALLS, int(SECONDS / statistics.median(turn(WARM_UP_CALLS)))))


def in_turns(
    turns: Mapping[Subject, Turn],
    calls: Mapping[Subject, int],
    rounds: Iterable[object] = range(ROUNDS),
) -> dict[Subject, list[float]]:
    """Measure subjects in turns: A, B, C, A, B, C, …, so that drift affects all of them alike.

    Args:
        turns: of each subject, in this order.
        calls: number of calls per turn of each subject.
        rounds: as many as it has items.

    Returns:
        The seconds of all calls of each subject.
    """
    seconds: dict[Subject, list[float]] = {subject: [] for subject in turns}
    for _ in rounds:
        for subject, turn in turns.items():
            seconds[subject] += turn(calls[subject])
    return seconds
