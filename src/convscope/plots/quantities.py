"""What can be drawn of a group: its column, its axis, how a value reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from convscope.errors import UserError
from convscope.text import abbreviated, percent

_MOST_TICKS = 5
_LOG_FROM = 4
"""Largest by smallest value from which an axis is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A column of `groups.grouped`.

    Args:
        column: its name there.
        title: of an axis.
        unit: of `short`, in a heading.
        text: a value as people read it, with the unit.
        short: the same for a cell or a tick.
        tick_format: d3's, of an axis.
        measured: it differs from seed to seed: there are `<column>_low` and `<column>_high`.
        most: the greatest possible value; the least is 0.
        may_be_log: it may span orders of magnitude.
        more_is_better: as a cost.
    """

    column: str
    title: str
    unit: str = ""
    text: Callable[[float], str]
    short: Callable[[float], str]
    tick_format: str
    measured: bool = False
    most: float = math.inf
    may_be_log: bool = True
    more_is_better: bool = False

    @property
    def heading(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def which_is_better(self) -> str:
        return "more is better" if self.more_is_better else "less is better"

    def bounded(self, ends: Series) -> Series:
        """Ends of intervals, cut at the least and the greatest value: Student's know neither."""
        return ends.clip(0.0, self.most)

    def is_log(self, values: Series) -> bool:
        """Whether these values ask for a logarithmic axis."""
        return bool(
            self.may_be_log and values.min() > 0 and values.max() / values.min() >= _LOG_FROM
        )


def log_ticks(low: float, high: float) -> list[float]:
    """Round values from 10**low to 10**high, so few that their texts stand apart at 360 pixels."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(inside) <= _MOST_TICKS:
            return inside
    return inside[:: math.ceil(len(inside) / _MOST_TICKS)]


QUANTITIES: Mapping[str, Quantity] = {
    quantity.column: quantity
    for quantity in (
        Quantity(
            column="test_accuracy",
            title="test accuracy",
            unit="%",
            text=percent,
            short=lambda value: f"{100 * value:.2f}",
            tick_format=".3~%",
            measured=True,
            most=1.0,
            may_be_log=False,
            more_is_better=True,
        ),
        Quantity(
            column="train_samples_per_sec",
            title="training samples/s",
            text=lambda value: f"{value:,.0f} samples/s",
            short=lambda value: f"{value:,.0f}",
            tick_format=",~f",
            measured=True,
            more_is_better=True,
        ),
        Quantity(
            column="macs",
            title="MACs per image",
            text=lambda value: f"{value:,.0f} MACs",
            short=abbreviated,
            tick_format="~s",
        ),
        Quantity(
            column="params",
            title="parameters",
            text=lambda value: f"{value:,.0f} parameters",
            short=abbreviated,
            tick_format="~s",
        ),
        Quantity(
            column="final_map",
            title="last feature map",
            unit="height x width",
            text=lambda value: f"{value:,.0f} units",
            short=lambda value: f"{value:,.0f}",
            tick_format=",~f",
        ),
        Quantity(
            column="receptive_field",
            title="receptive field",
            text=lambda value: f"{value:,.0f} px",
            short=lambda value: f"{value:,.0f}",
            tick_format=",~f",
            may_be_log=False,
        ),
    )
}


def chosen(argument: str, name: str, among: tuple[str, ...]) -> Quantity:
    """The quantity of this name.

    Raises:
        UserError: it is none of `among`; names the argument.
    """
    if name not in among:
        raise UserError(f"{argument} must be one of {', '.join(among)}, got {name}")
    return QUANTITIES[name]


def with_interval(shown: Quantity, group: Mapping[str, Any]) -> str:
    """`98.75 % (95 % interval 98.61 % to 98.89 %)`; of a single run without one."""
    value = shown.text(group[shown.column])
    if not shown.measured or pd.isna(group[f"{shown.column}_low"]):
        return value
    ends = shown.bounded(Series([group[f"{shown.column}_{end}"] for end in ("low", "high")]))
    low, high = map(shown.text, ends)
    return f"{value} (95 % interval {low} to {high})"


def rows(groups: DataFrame) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each group's id and columns."""
    columns = [groups[name].tolist() for name in groups.columns]
    for group, *values in zip(groups.index, *columns, strict=True):
        yield str(group), dict(zip(groups.columns, values, strict=True))


def plain(values: Iterable[Any]) -> list[Any]:
    """A column as JSON has it: None for what is not there."""
    return [None if pd.isna(value) else value for value in values]
