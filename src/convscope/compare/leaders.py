"""The best of each setting, and what cannot be told apart from it."""

from __future__ import annotations

from typing import NamedTuple

from pandas import DataFrame

from convscope.compare.differences import differences


class Leaders(NamedTuple):
    """Groups by id.

    Args:
        best: the highest mean test accuracy of each setting.
        close: the others that `differences` does not tell apart from it.
    """

    best: frozenset[str]
    close: frozenset[str]


def leaders(runs: DataFrame) -> Leaders:
    """Who leads among these runs; only finished ones count."""
    finished = runs[runs["status"] == "finished"]
    means = finished.groupby(["setting", "group"], sort=False)["test_accuracy"].mean().dropna()
    best = frozenset(group for _, group in means.groupby(level="setting").idxmax())
    pairs = differences(finished)
    close = pairs["second"][pairs["first"].isin(best) & ~pairs["differs"]]
    return Leaders(best, frozenset(close))
