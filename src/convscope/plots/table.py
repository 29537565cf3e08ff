"""Selection of the groups that figures show; settings are always kept separate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
from pandas import DataFrame

from convscope.analysis.frame import by_setting
from convscope.analysis.groups import grouped
from convscope.errors import UserError

MOST_PANELS = 8
SINGLE = "settings with one variant each"


def one_setting(runs: DataFrame, setting: str | None) -> tuple[DataFrame, str]:
    """Return the runs of one setting, and its title, which is "" if there are no others.

    Args:
        runs: table from `frame`.
        setting: value of the column `setting`; by default the one with the most finished runs.

    Raises:
        UserError: the setting does not exist, or there are no runs.
    """
    if runs.empty:
        raise UserError("there are no runs to draw")
    settings = dict(by_setting(runs))
    if setting is None:
        setting = max(settings, key=lambda one: (settings[one]["status"] == "finished").sum())
    if setting not in settings:
        raise UserError(f"setting must be one of {'; '.join(sorted(settings))}, got {setting}")
    which = f"{setting} (one of {len(settings)} settings)" if len(settings) > 1 else ""
    return settings[setting], which


def split_by_setting(groups: DataFrame) -> list[tuple[str, DataFrame]]:
    """Return the title and groups of each setting, largest first; a single setting's title is "".

    Settings with one group are combined as `SINGLE`, which comes last.
    """
    parts = list(by_setting(groups))
    if len(parts) == 1:
        return [("", groups)]
    several = [(name, part) for name, part in parts if len(part) > 1]
    single = [part for _, part in parts if len(part) == 1]
    ordered = sorted(several, key=lambda part: (-len(part[1]), part[0]))
    return [*ordered, (SINGLE, pd.concat(single))] if single else ordered


def measured_groups(runs: DataFrame) -> DataFrame:
    """Return the groups with a test accuracy.

    Raises:
        UserError: no group has one.
    """
    groups = grouped(runs)
    if groups.empty or groups["test_accuracy"].isna().all():
        raise UserError("no finished run has a test accuracy")
    return groups.dropna(subset=["test_accuracy"])


def records(groups: DataFrame) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Iterate over each group's id and columns."""
    columns = [groups[name].tolist() for name in groups.columns]
    for group, *values in zip(groups.index, *columns, strict=True):
        yield str(group), dict(zip(groups.columns, values, strict=True))


def to_json_list(values: Iterable[Any]) -> list[Any]:
    """Return values as a list for JSON, with None for missing ones."""
    return [None if pd.isna(value) else value for value in values]
