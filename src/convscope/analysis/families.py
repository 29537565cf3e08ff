"""What of a table is compared with what: variants of one setting, settings of one variant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pandas import DataFrame

_SAME_IMAGES = ("variant", "dataset", "fingerprint", "val_images", "test_images")
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


def of_variants(runs: DataFrame) -> list[Family]:
    """The settings in which more than one variant has a result."""
    several = runs["setting"].nunique() > 1
    return [
        Family(str(setting) if several else "", of_it.assign(name=of_it["variant"]))
        for setting, of_it in runs.groupby("setting", sort=False)
        if _groups_with_result(of_it) > 1
    ]


def of_settings(runs: DataFrame) -> list[Family]:
    """The variants that have a result in more than one setting, on the same images."""
    found = []
    for (variant, *_), of_it in runs.groupby(list(_SAME_IMAGES), sort=False, dropna=False):
        if of_it["setting"].nunique() > 1 and _groups_with_result(of_it) > 1:
            named = of_it.assign(name=of_it["setting"], setting=str(variant))
            found.append(Family(str(variant), named))
    return found


def marked(runs: DataFrame) -> Iterator[Family]:
    """The families that a table marks: no group is in two of them.

    Variants of a setting; settings of a variant where each setting has only that one.
    """
    within = of_variants(runs)
    yield from within
    settings = {family.title for family in within}
    if len(within) < runs["setting"].nunique():
        yield from of_settings(runs[~runs["setting"].isin(settings)])


def with_result(runs: DataFrame) -> DataFrame:
    return runs[(runs["status"] == "finished") & runs["test_accuracy"].notna()]


def _groups_with_result(runs: DataFrame) -> int:
    return int(with_result(runs)["group"].nunique())
