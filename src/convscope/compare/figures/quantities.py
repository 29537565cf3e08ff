"""What can be drawn of a group: its column, its axis, how a value reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from convscope.errors import UserError
from convscope.tables import percent

_LOG_FROM = 4
"""Of a quantity that may go over orders of magnitude: largest by smallest from which it does."""


@dataclass(frozen=True)
class Quantity:
    """One column of `groups.grouped`.

    Args:
        column: its name there; also `<column>_low` and `_high` where `measured`.
        title: of an axis, with the unit.
        text: a value as people read it, with the unit.
        short: the same without it, for a cell.
        tick_format: d3's, of an axis.
        measured: differs from seed to seed, so it has an interval.
        wide: may go over orders of magnitude.
    """

    column: str
    title: str
    text: Callable[[float], str]
    short: Callable[[float], str]
    tick_format: str
    measured: bool
    wide: bool = False

    def is_log(self, values: pd.Series) -> bool:
        """Whether these values ask for a logarithmic axis."""
        return self.wide and values.min() > 0 and values.max() / values.min() >= _LOG_FROM


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _with(unit: str, text: Callable[[float], str] = _whole) -> Callable[[float], str]:
    return lambda value: f"{text(value)} {unit}"


def abbreviated(value: float) -> str:
    """Three digits: `912`, `28.2k`, `4.63M`."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{float(f'{value / factor:.3g}'):g}{unit}"
    return f"{value:g}"


QUANTITIES: Mapping[str, Quantity] = {
    quantity.column: quantity
    for quantity in (
        Quantity("test_accuracy", "test accuracy", percent, percent, ".3~%", True),
        Quantity(
            "train_samples_per_sec",
            "training samples/s",
            _with("samples/s"),
            _whole,
            ",~f",
            True,
            True,
        ),
        Quantity("macs", "MACs per image", _with("MACs"), abbreviated, "~s", False, True),
        Quantity("params", "parameters", _with("parameters"), abbreviated, "~s", False, True),
        Quantity(
            "final_map",
            "last feature map, height x width",
            _with("units"),
            _whole,
            ",~f",
            False,
            True,
        ),
        Quantity("receptive_field", "receptive field, pixels", _with("px"), _whole, ",~f", False),
    )
}


def quantity(name: str, among: tuple[str, ...]) -> Quantity:
    """The quantity of this name.

    Raises:
        UserError: it is none of `among`.
    """
    if name not in among:
        raise UserError(f"it must be one of {', '.join(among)}, got {name}")
    return QUANTITIES[name]


def with_interval(shown: Quantity, group: pd.Series) -> str:
    """`98.75 % (95 % interval 98.61 % to 98.89 %)`; of a single run without one."""
    value = shown.text(group[shown.column])
    if not shown.measured or pd.isna(group[f"{shown.column}_low"]):
        return value
    low, high = (shown.text(group[f"{shown.column}_{end}"]) for end in ("low", "high"))
    return f"{value} (95 % interval {low} to {high})"


def plain(values: Any) -> list[Any]:
    """A column as JSON has it: None for what is not there."""
    return [None if pd.isna(value) else value for value in values]
