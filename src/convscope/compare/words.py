"""What the numbers say, in plain sentences."""

from __future__ import annotations

from pandas import DataFrame


def verdict(runs: DataFrame) -> list[str]:
    """What wins, by how much, at what cost, and what cannot be told apart."""
    return []


def caveats(runs: DataFrame) -> list[str]:
    """What limits the comparison."""
    return []


def measured(runs: DataFrame) -> list[str]:
    """How it was measured."""
    return []
