"""Looks of a sequential study: after how many seeds its variants are compared, at which level.

With `repeat=auto`, seeds are added until the comparison is settled. Testing after each addition at
5 % would report far more than 5 % false differences. So each look has a level of its own, by an
error-spending function (Lan and DeMets 1983), and the levels of all looks add up to at most 5 %
(Bonferroni): no assumption is made on how the looks depend on each other, and it may be stopped
after any look, for any reason.

docs/decisions/sequential-studies.md gives the reasons and simulations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, Index, Series

from convscope.config.schema import AUTO

Array = NDArray[Any]

_RESERVE = 0.1
"""Share of the error that is kept for looks after the planned number of seeds."""
_ENDED = ("finished", "failed", "skipped")


@dataclass(frozen=True)
class Look:
    """A comparison of the variants after a number of seeds.

    Args:
        number: counts the looks from 1.
        seeds: number of seeds of each variant that is compared.
        share: what this look may use of the family-wise error; all looks share it.
    """

    number: int
    seeds: int
    share: float


def looks(planned: int, most: int | None = None) -> list[Look]:
    """Return the looks of a study: at 2, 3, 5, 7, 10, 14, … seeds, and at `planned`.

    Args:
        planned: number of seeds for which the study was planned, at least 2.
        most: largest number of seeds; by default `planned`. If it is larger, the later looks share
            the rest of the error.
    """
    most = planned if most is None else most
    found: list[Look] = []
    seeds, before = 2, 0.0
    while seeds <= most:
        spent = _spent(seeds, planned)
        found.append(Look(len(found) + 1, seeds, spent - before))
        before = spent
        # 1.4 times as many, rounded up.
        after = (7 * seeds + 4) // 5
        seeds = planned if seeds < planned < after else after
    return found


def _spent(seeds: int, planned: int) -> float:
    """Return the share of the error that all looks up to this number of seeds may use.

    It grows with the square of the number of seeds, since a look at few of them finds little.
    """
    if seeds <= planned:
        return (1 - _RESERVE) * (seeds / planned) ** 2
    return 1 - _RESERVE * (planned / seeds) ** 2


@dataclass(frozen=True)
class Sample:
    """The runs of one setting that a look compares.

    Args:
        look: the look; None if the study is not sequential, and all runs are compared at once.
        runs: rows of the table from `frame`.
        reached: number of the last look of each group, by group.
    """

    look: Look | None
    runs: DataFrame
    reached: Series

    @property
    def share(self) -> float:
        """The share of the family-wise error that the tests on this sample may use."""
        return 1.0 if self.look is None else self.look.share

    def is_last_look_of(self, groups: Index) -> Array:
        """Return whether this is the last look that each group has reached."""
        if self.look is None:
            return np.ones(len(groups), bool)
        is_last: Array = self.reached.reindex(groups).to_numpy() == self.look.number
        return is_last

    def is_last_look_of_both(self, pairs: DataFrame) -> Array:
        """Return whether this is the last look that both groups of each pair have reached."""
        if self.look is None:
            return np.ones(len(pairs), bool)
        first, second = (self.reached.reindex(pairs[side]) for side in ("first", "second"))
        is_last: Array = np.minimum(first.to_numpy(), second.to_numpy()) == self.look.number
        return is_last


def samples_of(runs: DataFrame) -> Iterator[Sample]:
    """Yield what is to be compared: all runs of a setting at once, or those of each of its looks.

    A pair of groups of a sequential study counts at the last look that both have reached: a group
    that is stopped because of its results is compared on the seeds that all had then.

    Args:
        runs: table from `frame`.
    """
    for _, members in runs.groupby("setting", sort=False):
        planned = planned_seeds(members)
        if planned is None:
            yield Sample(None, members, Series(dtype=int))
            continue
        order = seeds_in_order(members)
        plan = looks(planned, len(order))
        reached = reached_looks(members, order, plan)
        for look in plan:
            if (reached == look.number).any():
                yield Sample(look, members[members["seed"].isin(order[: look.seeds])], reached)


def planned_seeds(runs: DataFrame) -> int | None:
    """Return the `max_repeat` for which a sequential study was planned; None for other studies.

    That is the smallest of its runs: a command with a larger one continues the study, and its
    further looks use what the planned ones have left of the error.
    """
    configs = (record.config for record in runs.get("record", ()))
    planned = [config["max_repeat"] for config in configs if config.get("repeat") == AUTO]
    return min(planned, default=None)


def seeds_in_order(runs: DataFrame) -> list[int]:
    """Return the seeds of a sequential study in the order of its looks.

    Variants are stopped one after the other: the more variants have a seed, the earlier it was.
    """
    groups = runs.groupby("seed")["group"].nunique().sort_index()
    return list(groups.sort_values(ascending=False, kind="stable").index)


def reached_looks(runs: DataFrame, order: list[int], plan: list[Look]) -> Series:
    """Return the number of the last look for which all runs of a group have ended, by group.

    A failed run has ended. 0 if not even those of the first look have.

    Args:
        runs: rows of one setting.
        order: the seeds, from `seeds_in_order`.
        plan: the looks.
    """
    ended = runs[runs["status"].isin(_ENDED)]
    own = ended.groupby("group", sort=False)["seed"].agg(set)
    without_gap = own.map(lambda seeds: _length(order, seeds))
    numbers = [look.seeds for look in plan]
    reached = np.searchsorted(numbers, without_gap.to_numpy(int), side="right")
    return Series(reached, own.index)


def _length(order: list[int], seeds: set[int]) -> int:
    """Return how many seeds of the order come before the first that is missing."""
    return sum(1 for _ in itertools.takewhile(seeds.__contains__, order))
