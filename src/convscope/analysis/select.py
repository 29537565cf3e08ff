"""Selecting and sorting rows, by expressions such as `stride == 2 and test_accuracy > 0.98`.

Expressions are parsed, never evaluated as Python. They consist of comparisons (`==`, `!=`, `<`,
`<=`, `>`, `>=`, also chained), `in [1, 2]`, `not in`, `and`, `or`, `not`, parentheses; numbers,
text in quotes, `true`, `false`, `null`; columns by name, a dotted key also by its last part (`lr`).
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from convscope.analysis.frame import with_settings
from convscope.analysis.groups import grouped
from convscope.config.schema import as_typed
from convscope.errors import UserError
from convscope.metrics import METRICS
from convscope.text import shorten

BEST_FIRST = "-best_val_accuracy"
"""The default order: the highest validation accuracy first."""

_LONGEST = 2_000
_OBJECTS = ("record", "tuning")
"""Columns of objects, which cannot be compared with what a user types."""
_CONSTANTS = {"true": True, "false": False, "null": None}
_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, among: one in among,
    ast.NotIn: lambda one, among: one not in among,
}
_SLIPS = ((r"(?<![=!<>])=(?!=)", "=="), (r"&&?", "and"), (r"\|\|?", "or"), (r"!(?!=)", "not"))
"""Patterns of operators from other languages, and what to write instead."""

Truths = NDArray[np.bool_]


class UnknownColumn(UserError):
    """The table has no column of this name."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"{_shown(name)} is no column{hint}")
        self.name = name


def select_runs(runs: DataFrame, expression: str | None, by: str | None, single: bool) -> DataFrame:
    """Return the runs of the selected lines of a comparison, in the order of the lines.

    Args:
        runs: table from `frame`.
        expression: filter for `where`; None selects all lines.
        by: column for `sort`; None is `BEST_FIRST`.
        single: each line is a run instead of a group.

    Raises:
        UserError: the expression or the column is wrong, or no line is selected.
    """
    lines = runs if single else grouped(runs)
    try:
        kept = sort(lines if expression is None else where(lines, expression), by or BEST_FIRST)
    except UnknownColumn as error:
        if single or not _matches(runs, error.name):
            raise
        raise UserError(f"{error.name} is of a single run: add --runs, or leave it out") from error
    if kept.empty:
        raise UserError(f"--where must hold for a line, but holds for none of the {len(lines)}")
    if single:
        return with_settings(kept)
    members = runs[runs["group"].isin(kept.index)]
    order = kept.index.get_indexer(members["group"])
    return with_settings(members.iloc[np.argsort(order, kind="stable")])


def where(table: DataFrame, expression: str) -> DataFrame:
    """Return the rows for which the expression is true, in their order.

    Comparisons with a missing value are false, except `== null` and `!= null`.

    Args:
        table: a row per run or per group; the name of its index may be used as a column.
        expression: see this module's docstring.

    Raises:
        UserError: the expression cannot be parsed, names an unknown column, or compares text with a
            number.
    """
    if len(expression) > _LONGEST:
        raise UserError(
            f"where must be at most {_LONGEST:,} characters long, got {len(expression):,}"
        )
    source = expression.strip()
    try:
        try:
            tree = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError) as error:
            raise UserError(f"where cannot be read{_hint(source, error)}") from None
        return table.loc[_Filter(table, source).rows(tree)]
    except (RecursionError, MemoryError):
        raise UserError("where must be nested less deeply") from None


def sort(table: DataFrame, by: str) -> DataFrame:
    """Return the rows sorted by one column, missing values last.

    Args:
        table: a row per run or per group.
        by: the column; a leading `-` sorts in descending order.

    Raises:
        UserError: the column does not exist.
    """
    values = column(table, by.removeprefix("-"))
    present = [row for row, value in enumerate(values) if value is not None]
    missing = [row for row, value in enumerate(values) if value is None]
    # A column may contain numbers and text: numbers first.
    present.sort(
        key=lambda row: (isinstance(values[row], str), values[row]), reverse=by.startswith("-")
    )
    return table.iloc[present + missing]


def column(table: DataFrame, name: str) -> list[Any]:
    """Return a column as plain values; missing ones are None.

    Args:
        table: a row per run or per group.
        name: name of a column or of the index, or the last part of a dotted key.

    Raises:
        UnknownColumn: the column does not exist; the message suggests a similar one.
        UserError: several keys end in `name`.
    """
    if name == table.index.name:
        return list(table.index)
    matches = _matches(table, name)
    if len(matches) > 1:
        raise UserError(f"{name} must be one of {', '.join(matches)}, got only {name}")
    if not matches:
        raise UnknownColumn(name, _nearest(table, name))
    return [None if pd.isna(value) else value for value in table[matches[0]].tolist()]


def _matches(table: DataFrame, name: str) -> list[str]:
    known = [str(one) for one in table.columns if one not in _OBJECTS]
    return [name] if name in known else [one for one in known if one.endswith(f".{name}")]


def _nearest(table: DataFrame, name: str) -> str:
    known = [str(one) for one in reversed(table.columns) if one not in _OBJECTS]
    by_last_part = {one.rpartition(".")[2].lower(): one for one in known}
    last = name.rpartition(".")[2].lower()
    close = difflib.get_close_matches(last, by_last_part, n=1)
    longer = sorted((part for part in by_last_part if len(last) > 2 and last in part), key=len)
    for part in [*close, *longer]:
        return f"; did you mean {by_last_part[part]}?"
    return " such as stride, test_accuracy or optim.lr, and text goes in quotes"


def _hint(source: str, error: Exception) -> str:
    if not source:
        return ": it is empty; write such as stride == 2"
    without_text = re.sub(r"'[^']*'|\"[^\"]*\"", "", source)
    for pattern, correct in _SLIPS:
        if slip := re.search(pattern, without_text):
            return f": write {correct} for {slip[0]}, got {_shown(source)}"
    why = error.msg if isinstance(error, SyntaxError) else str(error)
    return f" ({why}), got {_shown(source)}"


def _shown(text: str) -> str:
    return as_typed(shorten(text, 41))


class _Filter:
    """Evaluates a parsed expression node by node; refuses all nodes that are not listed here."""

    def __init__(self, table: DataFrame, source: str) -> None:
        self._table, self._source = table, source

    def rows(self, node: ast.expr) -> Truths:
        """Return for each row whether the expression is true."""
        match node:
            case ast.BoolOp(op=op, values=parts):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                joined: Truths = join.reduce([self.rows(part) for part in parts])
                return joined
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.rows(operand)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = zip([left, *comparators], ops, comparators, strict=False)
                compared: Truths = np.logical_and.reduce([self._compare(*side) for side in sides])
                return compared
            case ast.Name() | ast.Attribute() if self._name(node) not in _CONSTANTS:
                values = self._values(node)
                if _kinds(values) <= {"true or false"}:
                    return np.array([value is True for value in values], bool)
        raise UserError(
            f"where must be made of comparisons such as stride == 2 or seed in [0, 1],"
            f" joined by and, or, not; got {self._text(node)}"
        )

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Truths:
        if type(op) not in _OPERATORS:
            raise UserError(f"where takes == and != for is and is not, got {_shown(self._source)}")
        values, compare = self._values(left), _OPERATORS[type(op)]
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple):
                raise UserError(
                    f"in must be followed by a list such as [1, 2], got {self._text(right)}"
                )
            among = [self._literal(one) for one in right.elts]
            self._check(left, values, right, among)
            typed = [(_kind(one), one) for one in among]
            found = [one is not None and compare((_kind(one), one), typed) for one in values]
            return np.array(found, bool)
        pairs = list(zip(values, others := self._values(right), strict=True))
        has_null = not {"null", "None"}.isdisjoint((ast.unparse(left), ast.unparse(right)))
        if has_null and isinstance(op, ast.Eq | ast.NotEq):
            return np.array([compare(one is None, other is None) for one, other in pairs], bool)
        self._check(left, values, right, others)
        found = [
            None not in (one, other)
            and (_kind(one) == _kind(other) or isinstance(op, ast.NotEq))
            and compare(one, other)
            for one, other in pairs
        ]
        return np.array(found, bool)

    def _values(self, node: ast.expr) -> list[Any]:
        if isinstance(node, ast.Name | ast.Attribute) and self._name(node) not in _CONSTANTS:
            return column(self._table, self._name(node))
        return [self._literal(node)] * len(self._table)

    def _literal(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return value
            case ast.UnaryOp(
                op=ast.USub(), operand=ast.Constant(value=int() | float() as value)
            ) if not isinstance(value, bool):
                return -value
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
        raise UserError(
            f"where must compare columns with numbers, text in quotes, true, false or null;"
            f" got {self._text(node)}"
        )

    def _name(self, node: ast.expr) -> str:
        """Return a column's name; dotted keys are parsed as attributes of attributes."""
        name = ast.unparse(node)
        if not all(part.isidentifier() for part in name.split(".")):
            raise UserError(f"where must name columns as such, got {self._text(node)}")
        return name

    def _check(self, left: ast.expr, values: list[Any], right: ast.expr, others: list[Any]) -> None:
        """Refuse to compare text with numbers, or a share with a percentage."""
        left_kinds, right_kinds = _kinds(values), _kinds(others)
        if left_kinds and right_kinds and not left_kinds & right_kinds:
            raise UserError(
                f"{self._text(left)} must be compared with {' or '.join(sorted(left_kinds))},"
                f" got {self._text(right)}"
            )
        for node, limits in ((left, others), (right, values)):
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            nouns = _shares(self._name(node))
            if nouns:
                for limit in limits:
                    if limit is not None and _kind(limit) == "a number" and limit > 1:
                        example = f"{limit / 100:g}" if limit <= 100 else "0.98"
                        raise UserError(
                            f"{nouns} are fractions: compare {self._text(node)} with {example},"
                            f" got {_shown(self._source)}"
                        )

    def _text(self, node: ast.expr) -> str:
        return _shown(ast.get_source_segment(self._source, node) or "")


def _shares(name: str) -> str:
    """Return what the values of a column are called if they are shares, else ""."""
    if "accuracy" in name:
        return "accuracies"
    metric = METRICS.get(re.sub("_(std|low|high|min|max)$", "", name))
    return "shares" if metric is not None and metric.is_share else ""


def _kinds(values: list[Any]) -> set[str]:
    return {_kind(value) for value in values if value is not None}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "text"
