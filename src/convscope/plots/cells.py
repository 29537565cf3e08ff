"""A quantity by kernel size and stride, per padding: what a heat map shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas import DataFrame

from convscope.analysis.anova import in_order, levels_of
from convscope.analysis.groups import grouped
from convscope.errors import UserError
from convscope.geometry import FACTORS, pair_token
from convscope.geometry.factors import PADDING, Factor
from convscope.plots.quantities import Quantity, rows, with_interval
from convscope.plots.settings import one_setting
from convscope.text import counted

VALUES = ("test_accuracy", "final_map", "train_samples_per_sec", "macs")
IMPOSSIBLE, NOT_FINISHED = "×", "?"
_MEANINGS = {IMPOSSIBLE: "impossible", NOT_FINISHED: "not finished"}


@dataclass(frozen=True)
class Cell:
    """One group.

    Args:
        value: of the quantity, as in the table; None where there is none.
        text: the value for people, else `IMPOSSIBLE` or `NOT_FINISHED`.
        hints: lines that say all about it.
    """

    group: str
    value: float | None
    text: str
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Cells by kernel size and stride that share all else; what was never asked for is missing.

    Args:
        title: what they share: `padding half`.
    """

    title: str
    cells: dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Cells:
    """All panels; `kernels` and `strides` are the levels of their rows and columns."""

    titles: list[str]
    kernels: list[str]
    strides: list[str]
    panels: list[Panel]


def cells(runs: DataFrame, shown: Quantity, setting: str | None) -> Cells:
    """A panel per padding, and per level of any other factor that varies.

    Raises:
        UserError: there is no such setting, or no group has a value.
    """
    alone, which = one_setting(runs, setting)
    groups = grouped(alone)
    if groups[shown.column].isna().all():
        raise UserError(f"no finished run has {shown.title}")
    shapes = _last_maps(alone) if shown.column == "final_map" else {}
    levels = levels_of(groups)
    others = [
        factor for factor in FACTORS[2:] if factor is PADDING or levels[factor.key].nunique() > 1
    ]
    panels: dict[tuple[str, ...], dict[tuple[str, str], Cell]] = {}
    for (name, group), (_, level) in zip(rows(groups), rows(levels), strict=True):
        cell = _cell(name, group, shown, shapes)
        place = level["kernel_size"], level["stride"]
        panels.setdefault(tuple(level[factor.key] for factor in others), {})[place] = cell
    texts = {cell.text for panel in panels.values() for cell in panel.values()}
    marks = "; ".join(f"{mark} {word}" for mark, word in _MEANINGS.items() if mark in texts)
    return Cells(
        [shown.heading, which, marks],
        sorted(levels["kernel_size"].unique(), key=in_order),
        sorted(levels["stride"].unique(), key=in_order),
        [
            Panel(_title(others, shared), panels[shared])
            for shared in sorted(panels, key=lambda shared: [*map(in_order, shared)])
        ],
    )


def _title(factors: Sequence[Factor], shared: Sequence[str]) -> str:
    return ", ".join(
        f"{factor.title} {level}" for factor, level in zip(factors, shared, strict=True)
    )


def _last_maps(runs: DataFrame) -> dict[str, str]:
    """Height and width of the last feature map, by group."""
    first = runs.drop_duplicates("group")
    return {
        group: pair_token(record.geometry[-1]["out_shape"][1:])
        for group, record in zip(first["group"], first["record"], strict=True)
        if record.geometry
    }


def _cell(name: str, group: Mapping[str, Any], shown: Quantity, shapes: dict[str, str]) -> Cell:
    value = group[shown.column]
    if pd.isna(value):
        text = IMPOSSIBLE if "skipped" in group["unfinished"] else NOT_FINISHED
        why = group["reason"] if isinstance(group["reason"], str) else group["unfinished"]
        return Cell(name, None, text, (group["label"], f"{_MEANINGS[text]}: {why}"))
    text = shapes.get(name) or shown.short(value)
    hints = group["label"], with_interval(shown, group), counted(group["runs"], "finished run")
    return Cell(name, value, text, hints)
