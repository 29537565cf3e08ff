"""The table as rows of plain JSON values: what the terminal, the tab and the report show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from convscope.analysis.frame import OF_NO_GROUP, WINDOW, setting_keys
from convscope.analysis.groups import grouped
from convscope.config.schema import brief
from convscope.metrics import geometric, measured
from convscope.tables import map_text

Row = dict[str, Any]

_MACHINE = ("device", "threads", "torch")
_WHOLE = {"padding", "threads", "val_images", "test_images"}
"""Columns of whole numbers, as what follows from the geometry is: pandas makes them floats where
one is missing.
"""


def group_rows(runs: DataFrame) -> list[Row]:
    """One row per group, in the table's order; None for what is not there.

    The keys, in order: `label`; the window's; config keys and machines that differ
    between the runs, by their column's name (a group's own values joined by commas);
    `runs, seeds, unfinished, reason` as `groups.grouped` has them; `val_images, test_images` behind
    its accuracies; per metric its mean under its
    own name, then `_std, _low, _high, _min, _max`; `map` (height x width as text), what
    follows from the geometry; `study, group`.
    """
    keys = varied(runs)
    members = dict(iter(runs.groupby("group", sort=False)))
    metrics = [f"{name}{end}" for name in measured() for end in _ENDS]
    counts = ("runs", "seeds", "unfinished", "reason", "val_images", "test_images")
    return [
        {
            **_plain_row(group, ("label", *WINDOW)),
            **{key: _together(members[group["group"]], key) for key in keys},
            **_plain_row(group, (*counts, *metrics)),
            "map": map_text(members[group["group"]]["record"].iloc[0].geometry),
            **_plain_row(group, (*geometric(), "study", "group")),
        }
        for group in _dicts(grouped(runs))
    ]


_ENDS = ("", "_std", "_low", "_high", "_min", "_max")


def run_rows(runs: DataFrame) -> list[Row]:
    """One row per run, in the table's order; None for what is not there.

    The keys, in order: `label`; the window's; config keys and machines that
    differ between the runs; `seed, status, reason`; the metrics; `map` (height x width as text);
    what follows from the geometry; `study, run, started_at, duration_s, command, path,
    group`.
    """
    keys = varied(runs)
    ends = ("study", "run", "started_at", "duration_s", "command", "path", "group")
    return [
        {
            **_plain_row(run, ("label", *WINDOW)),
            **{key: _own(run, key) for key in keys},
            **_plain_row(run, ("seed", "status", "reason", *measured())),
            "map": map_text(run["record"].geometry),
            **_plain_row(run, (*geometric(), *ends)),
        }
        for run in runs.to_dict("records")
    ]


def shared(runs: DataFrame) -> Row:
    """What all runs (one at least) have in common, variant and seed aside."""
    first = runs.iloc[0]
    keys = ("study", *_candidates(runs), "test_images")
    return {key: _own(first, key) for key in keys if _is_one(runs[key])}


def varied(runs: DataFrame) -> list[str]:
    """Columns of config and machine that differ between the runs, seeds aside."""
    return [key for key in _candidates(runs) if not _is_one(runs[key])]


def _candidates(runs: DataFrame) -> list[str]:
    config = [key for key in setting_keys(runs) if key != "seed"]
    return [*config, *_MACHINE]


def _is_one(values: Series) -> bool:
    return bool(values.nunique(dropna=False) == 1)


def _dicts(groups: DataFrame) -> list[Row]:
    return groups.reset_index().to_dict("records")  # type: ignore[no-any-return]


def _plain_row(row: Row, keys: Iterable[str]) -> Row:
    return {key: _plain(key, row.get(key)) for key in keys}


def _together(runs: DataFrame, key: str) -> Any:
    """The value that all runs of a group share, or the different ones as text."""
    if _is_one(runs[key]):
        return _own(runs.iloc[0], key)
    return ", ".join(str(_plain(key, value)) for value in runs[key].unique())


def _own(run: Row | Series, key: str) -> Any:
    """A run's value of a column; a config key's from the config, where 1 (batch) is not 1.0."""
    if "." not in key:
        return _plain(key, run[key])
    value: Any = run["record"].config
    for part in key.removeprefix(OF_NO_GROUP).split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        # A group where others have a value: its keys have columns of their own.
        return None
    return brief(value) if isinstance(value, list) else value


def _plain(key: str, value: Any) -> Any:
    if pd.isna(value):
        return None
    if key in _WHOLE or key in geometric():
        return int(value)
    return value.item() if hasattr(value, "item") else value
