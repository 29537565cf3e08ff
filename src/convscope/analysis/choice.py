"""Which groups are compared with each other, which is chosen, and which do as well.

The choice is made by validation accuracy. The highest of many test accuracies is too high by
chance; that of a variant which was chosen on other images is much less so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pandas import DataFrame, Series

from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences_from

VALIDATION, TEST = "best_val_accuracy", "test_accuracy"
_SAME = 1e-9
"""Means of accuracies that differ by less are equal: only the order of adding them differs."""
_SAME_IMAGES = ["variant", "dataset", "fingerprint", "val_images", "test_images"]
"""What two settings of a variant must share: accuracies on other images are not compared."""


@dataclass(frozen=True)
class Family:
    """Groups whose means are compared all at once: two or more that have a result.

    Args:
        title: the setting, or the variant where settings are compared; "" where there is no other.
        runs: of `frame`'s table, with one `setting`, and `name`: what a group is called.
    """

    title: str
    runs: DataFrame


def variant_families(runs: DataFrame) -> list[Family]:
    """Return the settings in which more than one variant has a result."""
    several = runs["setting"].nunique() > 1
    return [
        Family(str(setting) if several else "", of_it.assign(name=of_it["variant"]))
        for setting, of_it in runs.groupby("setting", sort=False)
        if with_result(of_it)["group"].nunique() > 1
    ]


def setting_families(runs: DataFrame) -> list[Family]:
    """Return the variants that have a result in more than one setting, on the same images."""
    return [
        Family(str(variant), of_it.assign(name=of_it["setting"], setting=str(variant)))
        for (variant, *_), of_it in runs.groupby(_SAME_IMAGES, sort=False, dropna=False)
        if of_it["setting"].nunique() > 1 and with_result(of_it)["group"].nunique() > 1
    ]


def with_result(runs: DataFrame) -> DataFrame:
    """Return the finished runs that have a test accuracy."""
    return runs[(runs["status"] == "finished") & runs[TEST].notna()]


@dataclass(frozen=True)
class Ranking:
    """The groups of a family by validation accuracy, and how the others differ from the best.

    Args:
        by: `VALIDATION`, or `TEST` where a group has no validation accuracy.
        groups: those with a test accuracy, of `groups.grouped`, the highest first: those with two
            runs or more, or all where fewer than two groups have so many.
        single: groups of a single run that are left out for that.
        tied: ids of those that share the highest mean.
        others: how the test accuracy of each other group differs from that of the chosen one, by
            `pairwise.differences_from`, with `name` and `test_accuracy`; empty where seeds are not
            repeated.
    """

    by: str
    groups: DataFrame
    single: DataFrame
    tied: list[str]
    others: DataFrame

    @property
    def best(self) -> Series:
        """The chosen group."""
        return self.groups.loc[_chosen(self.groups, self.tied)]

    @property
    def repeated(self) -> bool:
        """Whether differences can be tested: seeds are repeated."""
        return bool(self.groups["runs"].min() > 1)

    @property
    def better(self) -> DataFrame:
        """The others whose test accuracy is significantly higher."""
        return self.others[self.others["differs"] & (self.others["difference"] > 0)]

    @property
    def worse(self) -> DataFrame:
        """The others whose test accuracy is significantly lower."""
        return self.others[self.others["differs"] & (self.others["difference"] < 0)]

    @property
    def not_different(self) -> DataFrame:
        """The others whose test accuracy is not significantly different."""
        return self.others[~self.others["differs"]]


def chosen_by(groups: DataFrame) -> str:
    """Return the metric by which these groups are ranked."""
    return VALIDATION if groups[VALIDATION].notna().all() else TEST


def rank(runs: DataFrame) -> Ranking:
    """Rank the groups of a family.

    Args:
        runs: a `Family`'s; one of them at least has a test accuracy.
    """
    groups = grouped(runs)
    groups = groups[groups[TEST].notna()]
    repeated = groups[groups["runs"] > 1]
    several = len(repeated) > 1
    among = repeated if several else groups
    by = chosen_by(among)
    ranked = among.sort_values(by, ascending=False, kind="stable")
    tied = list(ranked.index[ranked[by] >= ranked[by].max() - _SAME])
    others = differences_from(runs, _chosen(ranked, tied), ranked.index)
    single = groups[groups["runs"] == 1] if several else groups[:0]
    return Ranking(by, ranked, single, tied, others.join(ranked[["name", TEST]]))


def _chosen(groups: DataFrame, tied: list[str]) -> str:
    """Of tied groups that with the fewest MACs, of these the table's first."""
    return str(groups.loc[tied, "macs"].sort_values(kind="stable").index[0])


class TopGroups(NamedTuple):
    """Groups by id.

    Args:
        best: those with the highest validation accuracy of what they are compared with.
        not_different: the others whose test accuracy is not significantly different from that of
            the chosen one of these.
        better: the others whose test accuracy is significantly higher than that.
    """

    best: frozenset[str]
    not_different: frozenset[str]
    better: frozenset[str]


def top_groups(runs: DataFrame) -> TopGroups:
    """Return which groups lead among the finished runs; none where nothing is compared."""
    best: set[str] = set()
    not_different: set[str] = set()
    better: set[str] = set()
    for family in _disjoint_families(runs[runs["status"] == "finished"]):
        ranking = rank(family.runs)
        best |= {*ranking.tied}
        not_different |= {*ranking.not_different.index} - {*ranking.tied}
        better |= {*ranking.better.index} - {*ranking.tied}
    return TopGroups(frozenset(best), frozenset(not_different), frozenset(better))


def _disjoint_families(runs: DataFrame) -> Iterator[Family]:
    """Families of which no two have a group in common.

    Variants of a setting; settings of a variant where each setting has only that one.
    """
    within = variant_families(runs)
    yield from within
    settings = {family.title for family in within}
    if len(within) < runs["setting"].nunique():
        yield from setting_families(runs[~runs["setting"].isin(settings)])
