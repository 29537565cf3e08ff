"""A quantity by kernel size and stride, per padding: what a heat map shows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pandas import DataFrame

from convscope.compare.figures.marks import Window, by_size
from convscope.compare.figures.quantities import Quantity, with_interval
from convscope.compare.figures.settings import one_setting
from convscope.compare.groups import grouped
from convscope.errors import UserError
from convscope.geometry.label import pair_token
from convscope.tables import numbered

VALUES = ("test_accuracy", "final_map", "train_samples_per_sec", "macs")
_NAMED = ("valid", "half", "full")


@dataclass(frozen=True)
class Cell:
    """One group.

    Attributes:
        value: of the quantity, as in the table; None where there is none.
        text: the value for people, or what became of the group.
        hints: lines that say all about it.
        impossible: one of its layers would have no output.
    """

    group: str
    value: float | None
    text: str
    hints: tuple[str, ...]
    impossible: bool


@dataclass(frozen=True)
class Panel:
    """All cells of one padding; what was never asked for is missing."""

    padding: str
    kernels: tuple[str, ...]
    strides: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]


def panels(runs: DataFrame, shown: Quantity, setting: str | None) -> tuple[list[Panel], str]:
    """A panel per padding, and which setting they show, "" where there is but one.

    Raises:
        UserError: there is no such setting, or no group has a value.
    """
    alone, which = one_setting(runs, setting)
    groups = grouped(alone)
    if groups[shown.column].isna().all():
        raise UserError(f"no finished run has {shown.title}")
    shapes = _last_maps(alone) if shown.column == "final_map" else {}
    by_padding: dict[str, dict[tuple[str, str], Cell]] = {}
    for name, group in groups.iterrows():
        window = Window.of(group["variant"])
        policy = group["padding_policy"]
        padding = policy if policy in _NAMED else window.padding
        cell = _cell(str(name), group, shown, shapes.get(str(name)))
        by_padding.setdefault(padding, {})[window.kernel, window.stride] = cell
    kernels, strides = (
        tuple(sorted({key[part] for cells in by_padding.values() for key in cells}, key=by_size))
        for part in (0, 1)
    )
    ordered = sorted(by_padding, key=lambda padding: (padding not in _NAMED, by_size(padding)))
    return [Panel(name, kernels, strides, by_padding[name]) for name in ordered], which


def _last_maps(runs: DataFrame) -> dict[str, str]:
    """Height and width of the last feature map, by group."""
    first = runs.drop_duplicates("group")
    return {
        group: pair_token(record.geometry[-1]["out_shape"][1:])
        for group, record in zip(first["group"], first["record"], strict=True)
        if record.geometry
    }


def _cell(name: str, group: pd.Series, shown: Quantity, shape: str | None) -> Cell:
    value = group[shown.column]
    if pd.isna(value):
        impossible = "skipped" in group["unfinished"]
        text = "impossible" if impossible else "not finished"
        hints = (group["label"], f"{text}: {group['reason'] or group['unfinished']}")
        return Cell(name, None, text, hints, impossible)
    runs = numbered(group["runs"], "run")
    hints = (group["label"], with_interval(shown, group), runs)
    return Cell(name, value, shape or shown.short(value), hints, impossible=False)
