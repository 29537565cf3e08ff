"""Which groups are compared, which one is chosen, and which are not significantly different.

The choice is made by validation accuracy. The highest of many test accuracies is biased upwards
(Møllersen and Holsbø 2023); the test accuracy of a variant that was chosen on other images is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pandas import DataFrame, Series

from convscope.analysis.frame import by_setting, groups_of_other_settings
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences_from

VALIDATION, TEST = "best_val_accuracy", "test_accuracy"
_TOLERANCE = 1e-9
"""Means of accuracies that differ by less are equal: summation order causes such differences."""
_DRAWS = 2000
"""Bootstrap samples: the optimism has a standard error of 2 % of that of a mean over seeds."""
_SAME_IMAGES = ["variant", "dataset", "fingerprint", "val_images", "test_images"]
"""Columns that must be equal for two settings to be compared: accuracies on the same images."""


@dataclass(frozen=True)
class Family:
    """Two or more groups with results, whose means are compared simultaneously.

    Args:
        title: the setting, or the variant where settings are compared; "" if it is the only one.
        runs: rows of the table from `frame`, all with one `setting`; `name` is the group's name.
    """

    title: str
    runs: DataFrame


def variant_families(runs: DataFrame) -> list[Family]:
    """Return the settings in which more than one variant has a result."""
    several = runs["setting"].nunique() > 1
    return [
        Family(setting if several else "", members.assign(name=members["variant"]))
        for setting, members in by_setting(runs)
        if with_result(members)["group"].nunique() > 1
    ]


def setting_families(runs: DataFrame) -> list[Family]:
    """Return the variants that have a result in more than one setting, on the same images."""
    own = runs.drop(columns="also_in", errors="ignore")
    return [
        Family(str(variant), members.assign(name=members["setting"], setting=str(variant)))
        for (variant, *_), members in own.groupby(_SAME_IMAGES, sort=False, dropna=False)
        if members["setting"].nunique() > 1 and with_result(members)["group"].nunique() > 1
    ]


def with_result(runs: DataFrame) -> DataFrame:
    """Return the finished runs that have a test accuracy."""
    return runs[(runs["status"] == "finished") & runs[TEST].notna()]


@dataclass(frozen=True)
class Ranking:
    """The groups of a family by validation accuracy, and how the others differ from the best.

    Args:
        by: `VALIDATION`, or `TEST` where a group has no validation accuracy.
        groups: rows of `groups.grouped` with a test accuracy, the highest `by` first. Groups with a
            single run are included only if fewer than two groups have more.
        single: the groups that are excluded because they have a single run.
        tied: ids of the groups that share the highest mean.
        others: differences in test accuracy of the other groups from the chosen one, from
            `pairwise.differences_from`, with `name` and `test_accuracy`; empty if no group has two
            runs.
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
        """Whether every group has two runs or more, so that differences can be tested."""
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
        runs: those of a `Family`; at least one has a test accuracy.
    """
    groups = grouped(runs)
    groups = groups[groups[TEST].notna()]
    repeated = groups[groups["runs"] > 1]
    several = len(repeated) > 1
    among = repeated if several else groups
    by = chosen_by(among)
    ranked = among.sort_values(by, ascending=False, kind="stable")
    tied = list(ranked.index[ranked[by] >= ranked[by].max() - _TOLERANCE])
    others = differences_from(runs, _chosen(ranked, tied), ranked.index)
    single = groups[groups["runs"] == 1] if several else groups[:0]
    return Ranking(by, ranked, single, tied, others.join(ranked[["name", TEST]]))


def _chosen(groups: DataFrame, tied: list[str]) -> str:
    """Return the tied group with the fewest MACs; the first in the table if several have."""
    return str(groups.loc[tied, "macs"].sort_values(kind="stable").index[0])


def optimism(runs: DataFrame) -> float:
    """Return by how much the highest mean test accuracy is too high because it was chosen.

    A bootstrap over the seeds within each group (Efron 1983): the mean excess of the resampled mean
    over the observed one, of the group whose resampled mean is highest. Deviations are scaled by
    sqrt(n / (n - 1)), so that few seeds have the spread that is expected of many. It is too small,
    by up to 30 %, if no group is truly better than another (see `test_choice`).

    Args:
        runs: those of a `Family`; groups with a single run are left out.
    """
    rng = np.random.default_rng(0)
    means, noise = [], []
    for _, values in with_result(runs).groupby("group", sort=False)[TEST]:
        n = len(values)
        if n > 1:
            mean = values.mean()
            deviations = (values.to_numpy() - mean) * math.sqrt(n / (n - 1))
            drawn = rng.choice(deviations, (_DRAWS, n)).mean(axis=1)
            # Without the error of the draws: a group that is always chosen has no optimism.
            noise.append(drawn - drawn.mean())
            means.append(mean)
    chosen = np.argmax(np.add(np.transpose(noise), means), axis=1)
    return float(np.transpose(noise)[np.arange(_DRAWS), chosen].mean())


class TopGroups(NamedTuple):
    """Ids of the groups that lead their families.

    Args:
        best: those with the highest validation accuracy.
        not_different: others whose test accuracy is not significantly different from that of the
            chosen group.
        better: others whose test accuracy is significantly higher than that of the chosen group.
    """

    best: frozenset[str]
    not_different: frozenset[str]
    better: frozenset[str]


def top_groups(runs: DataFrame) -> TopGroups:
    """Return the leading groups of the finished runs; empty where no groups are compared.

    A group that is compared in two settings leads in its own only: see `frame.by_setting`.
    """
    best: set[str] = set()
    not_different: set[str] = set()
    better: set[str] = set()
    for family in _disjoint_families(runs[runs["status"] == "finished"]):
        ranking = rank(family.runs)
        elsewhere = {*groups_of_other_settings(family.runs)}
        best |= {*ranking.tied} - elsewhere
        not_different |= {*ranking.not_different.index} - {*ranking.tied} - elsewhere
        better |= {*ranking.better.index} - {*ranking.tied} - elsewhere
    return TopGroups(frozenset(best), frozenset(not_different), frozenset(better))


def _disjoint_families(runs: DataFrame) -> Iterator[Family]:
    """Yield families that have no group in common.

    Variants of one setting are compared first; settings that have a single variant are compared
    with each other.
    """
    within = variant_families(runs)
    yield from within
    settings = {family.title for family in within}
    if len(within) < runs["setting"].nunique():
        yield from setting_families(runs[~runs["setting"].isin(settings)])
