"""Which group is chosen among those that are compared, and how the others' accuracy differs.

The choice is made by validation accuracy. The highest of many test accuracies is too high by
chance; that of a variant which was chosen on other images is much less so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pandas import DataFrame, Series

from convscope.analysis.families import marked
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences

VALIDATION, TEST = "best_val_accuracy", "test_accuracy"
_SAME = 1e-9
"""Means of accuracies that differ by less are equal: only the order of adding them differs."""


@dataclass(frozen=True)
class Choice:
    """The groups of a comparison, ranked.

    Args:
        by: `VALIDATION`, or `TEST` where a group has no validation accuracy.
        ranked: groups with a test accuracy, of `groups.grouped`, the highest first: those with two
            runs or more, or all where fewer than two groups have so many.
        single: groups of a single run that are left out for that.
        tied: ids of those that share the highest mean.
    """

    by: str
    ranked: DataFrame
    single: DataFrame
    tied: list[str]

    @property
    def best(self) -> Series:
        """The chosen one; of tied groups that with the fewest MACs, of these the table's first."""
        return self.ranked.loc[
            self.ranked.loc[self.tied, "macs"].sort_values(kind="stable").index[0]
        ]

    @property
    def repeated(self) -> bool:
        """Whether differences can be tested: seeds are repeated."""
        return bool(self.ranked["runs"].min() > 1)


def chosen_by(groups: DataFrame) -> str:
    """The metric by which these groups are ranked."""
    return VALIDATION if groups[VALIDATION].notna().all() else TEST


def choose(groups: DataFrame) -> Choice:
    """The choice among `groups.grouped`'s rows, one of which has a test accuracy at least."""
    groups = groups[groups[TEST].notna()]
    repeated = groups[groups["runs"] > 1]
    several = len(repeated) > 1
    among = repeated if several else groups
    by = chosen_by(among)
    ranked = among.sort_values(by, ascending=False, kind="stable")
    tied = list(ranked.index[ranked[by] >= ranked[by].max() - _SAME])
    return Choice(by, ranked, groups[groups["runs"] == 1] if several else groups[:0], tied)


class Leaders(NamedTuple):
    """Groups by id.

    Args:
        best: those with the highest validation accuracy of what they are compared with.
        close: the others whose test accuracy does not differ significantly from that of the chosen
            one of these.
        better: the others whose test accuracy is significantly higher than that.
    """

    best: frozenset[str]
    close: frozenset[str]
    better: frozenset[str]


def leaders(runs: DataFrame) -> Leaders:
    """Who leads among these runs; only finished ones count. Where nothing is compared, nobody."""
    best: set[str] = set()
    close: set[str] = set()
    better: set[str] = set()
    for family in marked(runs[runs["status"] == "finished"]):
        choice = choose(grouped(family.runs))
        others = differences_from(family.runs, str(choice.best.name), choice.ranked)
        others = others[~others.index.isin(choice.tied)]
        best |= set(choice.tied)
        close |= set(others.index[~others["differs"]])
        better |= set(others.index[others["differs"] & (others["difference"] > 0)])
    return Leaders(frozenset(best), frozenset(close), frozenset(better))


def differences_from(
    runs: DataFrame, group: str, others: DataFrame, metric: str = TEST, *, ratio: bool = False
) -> DataFrame:
    """How a metric of the others differs from one group's: `differences` seen from there.

    Returns:
        Indexed by the other group: `difference`, its interval `low` to `high`, `differs`; above 0
        where the other's mean is higher.
    """
    pairs = differences(runs, metric, [(group, other) for other in others.index], ratio=ratio)
    ahead = pairs["second"] == group
    sign = ahead.map({True: 1.0, False: -1.0}).astype(float)
    bounds = pairs[["low", "high"]].astype(float).mul(sign, axis=0)
    return DataFrame(
        {
            "difference": pairs["difference"].astype(float) * sign,
            "low": bounds.min(axis=1),
            "high": bounds.max(axis=1),
            "differs": pairs["differs"].astype(bool),
        }
    ).set_index(pairs["first"].where(ahead, pairs["second"]))
