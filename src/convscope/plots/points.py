"""Groups with their accuracy and a cost, each setting apart: what `accuracy_against` shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pandas import DataFrame

from convscope.analysis import pareto
from convscope.analysis.groups import grouped
from convscope.errors import UserError
from convscope.plots.labels import Label, placed
from convscope.plots.marks import looks
from convscope.plots.quantities import QUANTITIES, Quantity
from convscope.plots.settings import MOST_PANELS, SINGLE, parts
from convscope.text import counted

COSTS = ("train_samples_per_sec", "macs", "params")
ACCURACY = QUANTITIES["test_accuracy"]
_MARGIN = 0.08
"""On either side of the points, as part of the range."""
_MOST_NAMED = 30
"""Points of a panel that are all named where there is room; of more, the front and the best."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """Groups that are shown together.

    Args:
        title: the setting, "" where there is but one.
        groups: of `groups.grouped`.
        front: ids of those on the Pareto front, cheapest first; none where settings differ.
        labels: what is written beside a group, by id, and where.
    """

    title: str
    groups: DataFrame
    front: list[str]
    labels: dict[str, Label]


@dataclass(frozen=True)
class Points:
    """All panels, and what they share.

    Args:
        looks: of all groups, by `marks.looks`.
        x, y: range of the axes; `x` in powers of 10 where `log_x`.
        note: what had no room, "" if all had.
    """

    panels: list[Panel]
    looks: DataFrame
    x: Range
    y: Range
    log_x: bool
    note: str

    @property
    def x_values(self) -> Range:
        """The range of `x` as values of the cost."""
        low, high = self.x
        return (10**low, 10**high) if self.log_x else self.x


def measured_groups(runs: DataFrame) -> DataFrame:
    """The groups with an accuracy.

    Raises:
        UserError: there is none.
    """
    groups = grouped(runs)
    if groups.empty or groups[ACCURACY.column].isna().all():
        raise UserError(f"no finished run has a {ACCURACY.title}")
    return groups.dropna(subset=[ACCURACY.column])


def points(runs: DataFrame, cost: Quantity) -> Points:
    """The groups with an accuracy and this cost, a panel per setting.

    Settings of one group share a panel, the last, where labels say which.

    Raises:
        UserError: no group has both.
    """
    groups = measured_groups(runs).dropna(subset=[cost.column])
    if groups.empty:
        raise UserError(f"no finished run has {cost.title}")
    measured = [quantity for quantity in (ACCURACY, cost) if quantity.measured]
    ends = [(one, f"{one.column}_{end}") for one in measured for end in ("low", "high")]
    groups = groups.assign(**{column: one.bounded(groups[column]) for one, column in ends})
    log_x = cost.is_log(groups[cost.column])
    x, y = _range(groups, cost, log_x), _range(groups, ACCURACY, log=False)
    by_setting = parts(groups)
    panels = [
        _panel(title, part, cost, x, y, log_x=log_x) for title, part in by_setting[:MOST_PANELS]
    ]
    left_out = len(by_setting) - len(panels)
    note = f"{counted(left_out, 'more setting')} not shown" if left_out else ""
    return Points(panels, looks(groups), x, y, log_x, note)


def _range(groups: DataFrame, shown: Quantity, log: bool) -> Range:
    """From the least to the greatest value and interval, with a margin.

    An interval of few seeds may be far wider than all means are apart: it is cut where it would
    push them together.
    """
    values = groups[shown.column]
    lows, highs = values, values
    if shown.measured:
        lows = groups[f"{shown.column}_low"].fillna(values)
        highs = groups[f"{shown.column}_high"].fillna(values)
    if log:
        smallest = values.min() / 10
        values, lows, highs = (
            part.clip(lower=smallest).map(math.log10) for part in (values, lows, highs)
        )
    apart = values.max() - values.min() or highs.max() - lows.min() or abs(values.max()) / 10 or 1
    low = max(lows.min(), values.min() - apart / 2)
    high = min(highs.max(), values.max() + apart / 2)
    margin = max(high - low, apart) * _MARGIN
    return low - margin, high + margin


def _panel(
    title: str, groups: DataFrame, cost: Quantity, x: Range, y: Range, *, log_x: bool
) -> Panel:
    one_setting = title != SINGLE
    front = pareto.chosen_front(groups, cost.column) if one_setting else []
    across = groups[cost.column].map(math.log10) if log_x else groups[cost.column]
    places = zip(
        (across - x[0]) / (x[1] - x[0]),
        (groups[ACCURACY.column] - y[0]) / (y[1] - y[0]),
        strict=True,
    )
    by_accuracy = groups.sort_values(ACCURACY.column, ascending=False, kind="stable").index
    foremost = dict.fromkeys([*by_accuracy[:1], *front])
    texts = groups["variant" if one_setting else "setting"]
    labels = placed(
        dict(zip(groups.index, texts, strict=True)),
        dict(zip(groups.index, places, strict=True)),
        foremost,
        by_accuracy if len(groups) <= _MOST_NAMED else (),
    )
    return Panel(title, groups, front, labels)
