"""Which runs stand behind the lines that were asked for, in their order."""

from __future__ import annotations

from pandas import DataFrame

from convscope.analysis.frame import with_settings
from convscope.analysis.groups import grouped
from convscope.analysis.select import UnknownColumn, column, sort, where
from convscope.errors import UserError

BEST_FIRST = "-best_val_accuracy"
"""The default order: the highest validation accuracy first."""


def chosen(runs: DataFrame, expression: str | None, by: str | None, single: bool) -> DataFrame:
    """The runs of the lines kept, ordered so that their groups, or they, come as asked.

    Args:
        expression: `select.where`'s; of groups unless `single`.
        by: `select.sort`'s; `BEST_FIRST` where none is given.
        single: a line is a run, not a group.

    Raises:
        UserError: the expression or the column is none, or no line is left.
    """
    lines = runs if single else grouped(runs)
    try:
        kept = sort(lines if expression is None else where(lines, expression), by or BEST_FIRST)
    except UnknownColumn as error:
        if single or not _is_column(runs, error.name):
            raise
        raise UserError(f"{error.name} is of a single run: add --runs, or leave it out") from error
    if kept.empty:
        raise UserError(f"--where must hold for a line, but holds for none of the {len(lines)}")
    if single:
        return with_settings(kept)
    order = {group: place for place, group in enumerate(kept.index)}
    behind = runs[runs["group"].isin(order)]
    return with_settings(behind.sort_values("group", key=lambda ids: ids.map(order), kind="stable"))


def _is_column(runs: DataFrame, name: str) -> bool:
    try:
        column(runs, name)
    except UserError:
        return False
    return True
