"""Rows of a table by an expression such as `stride == 2 and test_accuracy > 0.98`, and their order.

The expression is parsed, never run: comparisons (`==`, `!=`, `<`, `<=`, `>`, `>=`, also chained),
`in [1, 2]`, `not in`, `and`, `or`, `not`, parentheses; numbers, text in quotes, `true`, `false`,
`null`; columns by name, of a dotted key also the last part alone (`lr`).
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from pandas import DataFrame

from convscope.config.schema import as_typed
from convscope.errors import UserError

Values = list[Any]

_LONGEST = 2_000
_SHOWN = 40
_HIDDEN = "record"
_WORDS = {"true": True, "false": False, "null": None}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_SLIPS = ((r"(?<![=!<>])=(?!=)", "=="), (r"&&?", "and"), (r"\|\|?", "or"), (r"!(?!=)", "not"))
"""What other languages write, and what is written here."""


class UnknownColumn(UserError):
    """A name that is no column of the table."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"{_shown(name)} is no column{hint}")
        self.name = name


def where(table: DataFrame, expression: str) -> DataFrame:
    """The rows for which the expression holds, in their order.

    Any comparison with a missing value is false, but for `== null` and `!= null`.

    Args:
        table: a row per run, or per group (indexed by `group`, which is a column here).

    Raises:
        UserError: the expression is none, names an unknown column, or compares text with a number.
    """
    tree = _parsed(expression)
    try:
        truths = _Selection(table, expression).truths(tree)
    except RecursionError:
        raise _too_deep() from None
    return table.iloc[[place for place, truth in enumerate(truths) if truth]]


def sort(table: DataFrame, by: str) -> DataFrame:
    """The rows by one column, with a `-` in front the largest first; missing values come last.

    Raises:
        UserError: there is no such column.
    """
    falling = by.startswith("-")
    values = column(table, by.removeprefix("-"))
    present = [place for place, value in enumerate(values) if value is not None]
    missing = [place for place, value in enumerate(values) if value is None]
    # Numbers before text where a column has both.
    present.sort(key=lambda place: (isinstance(values[place], str), values[place]), reverse=falling)
    return table.iloc[[*present, *missing]]


def column(table: DataFrame, name: str) -> Values:
    """A column as plain values, None where there is none; of a dotted key the last part will do.

    Raises:
        UnknownColumn: there is no such column; names the nearest.
        UserError: more than one key ends so.
    """
    if name == table.index.name:
        return list(table.index)
    known = [str(one) for one in table.columns if one != _HIDDEN]
    matches = [name] if name in known else [one for one in known if one.endswith(f".{name}")]
    if len(matches) > 1:
        raise UserError(f"{name} must be one of {', '.join(matches)}, got {name} alone")
    if not matches:
        raise UnknownColumn(name, _hint_for(name, known))
    return [None if pd.isna(value) else value for value in table[matches[0]].tolist()]


def _hint_for(name: str, known: Sequence[str]) -> str:
    by_last_part = {one.rpartition(".")[2].lower(): one for one in reversed(known)}
    word = name.rpartition(".")[2].lower()
    containing = [one for last, one in by_last_part.items() if len(word) > 2 and word in last]
    close = [by_last_part[one] for one in difflib.get_close_matches(word, by_last_part, n=1)]
    near = [*close, *sorted(containing, key=len)][:1]
    if near:
        return f"; did you mean {near[0]}?"
    return " such as stride, test_accuracy or optim.lr, and text goes in quotes"


def _parsed(expression: str) -> ast.expr:
    if len(expression) > _LONGEST:
        raise UserError(
            f"where must be at most {_LONGEST:,} characters long, got {len(expression):,}"
        )
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    except (SyntaxError, ValueError) as error:
        raise UserError(f"where cannot be read{_hint(expression, error)}") from None


def _too_deep() -> UserError:
    return UserError("where must be nested less deeply")


def _hint(expression: str, error: Exception) -> str:
    if not expression.strip():
        return ": it is empty; write such as stride == 2"
    without_text = re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)
    for pattern, word in _SLIPS:
        slip = re.search(pattern, without_text)
        if slip:
            return f": write {word} for {slip[0]}, got {_shown(expression)}"
    why = error.msg if isinstance(error, SyntaxError) else str(error)
    return f" ({why}), got {_shown(expression)}"


def _shown(text: str) -> str:
    return as_typed(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


class _Selection:
    """Values and truths of an expression's parts, one per row of the table."""

    def __init__(self, table: DataFrame, expression: str) -> None:
        self._table = table
        self._source = expression.strip()

    def truths(self, node: ast.expr) -> list[bool]:
        match node:
            case ast.BoolOp(op=op, values=parts):
                join = all if isinstance(op, ast.And) else any
                return [join(row) for row in zip(*map(self.truths, parts), strict=True)]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return [not truth for truth in self.truths(operand)]
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                pairs = [
                    self._compared(first, op, second)
                    for first, op, second in zip(sides, ops, comparators, strict=False)
                ]
                return [all(row) for row in zip(*pairs, strict=True)]
            case ast.Name() | ast.Attribute() if self._name(node) not in _WORDS:
                values = self._values(node)
                if _kinds(values) <= {"true or false"}:
                    return [value is True for value in values]
        raise UserError(
            f"where must be made of comparisons such as stride == 2 or seed in [0, 1],"
            f" joined by and, or, not; got {self._text(node)}"
        )

    def _compared(self, first: ast.expr, op: ast.cmpop, second: ast.expr) -> list[bool]:
        if isinstance(op, ast.In | ast.NotIn):
            return self._contained(first, second, wanted=isinstance(op, ast.In))
        if type(op) not in _ORDER:
            raise UserError(f"where takes == and != for is and is not, got {_shown(self._source)}")
        compare, nulls = _ORDER[type(op)], (self._is_null(first), self._is_null(second))
        lefts, rights = self._values(first), self._values(second)
        if any(nulls) and isinstance(op, ast.Eq | ast.NotEq):
            return [compare(left is None, right is None) for left, right in _pairs(lefts, rights)]
        self._check_kinds(first, lefts, second, rights)
        self._check_shares(first, rights)
        self._check_shares(second, lefts)
        return [
            left is not None
            and right is not None
            and (_kind(left) == _kind(right) or isinstance(op, ast.NotEq))
            and compare(left, right)
            for left, right in _pairs(lefts, rights)
        ]

    def _contained(self, item: ast.expr, among: ast.expr, wanted: bool) -> list[bool]:
        if not isinstance(among, ast.List | ast.Tuple):
            raise UserError(
                f"in must be followed by a list such as [1, 2], got {self._text(among)}"
            )
        values, allowed = self._values(item), [self._literal(one) for one in among.elts]
        self._check_kinds(item, values, among, allowed)
        self._check_shares(item, allowed)
        kinds = [(_kind(one), one) for one in allowed]
        return [
            value is not None and ((_kind(value), value) in kinds) is wanted for value in values
        ]

    def _values(self, node: ast.expr) -> Values:
        if isinstance(node, ast.Name | ast.Attribute):
            name = self._name(node)
            if name not in _WORDS:
                return column(self._table, name)
        return [self._literal(node)] * len(self._table)

    def _literal(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return value
            case ast.UnaryOp(
                op=ast.USub(), operand=ast.Constant(value=int() | float() as value)
            ) if not isinstance(value, bool):
                return -value
            case ast.Name(id=word) if word in _WORDS:
                return _WORDS[word]
        raise UserError(
            f"where must compare columns with numbers, text in quotes, true, false or null;"
            f" got {self._text(node)}"
        )

    def _name(self, node: ast.expr) -> str:
        """A column's name; dotted keys parse as attributes of attributes."""
        match node:
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=ast.Name() | ast.Attribute() as value, attr=last):
                return f"{self._name(value)}.{last}"
        raise UserError(f"where must name columns as such, got {self._text(node)}")

    def _is_null(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=None) | ast.Name(id="null"):
                return True
        return False

    def _check_kinds(
        self, first: ast.expr, lefts: Values, second: ast.expr, rights: Values
    ) -> None:
        mine, theirs = _kinds(lefts), _kinds(rights)
        if mine and theirs and not mine & theirs:
            raise UserError(
                f"{self._text(first)} must be compared with {' or '.join(sorted(mine))},"
                f" got {self._text(second)}"
            )

    def _check_shares(self, node: ast.expr, others: Values) -> None:
        """Raise UserError where an accuracy is compared with a number of per cent."""
        if not isinstance(node, ast.Name | ast.Attribute) or "accuracy" not in self._name(node):
            return
        for other in others:
            if other is not None and _kind(other) == "a number" and other > 1:
                example = f"{other / 100:g}" if other <= 100 else "0.98"
                raise UserError(
                    f"accuracies are fractions: compare {self._text(node)} with {example},"
                    f" got {_shown(self._source)}"
                )

    def _text(self, node: ast.expr) -> str:
        return _shown(ast.get_source_segment(self._source, node) or "")


def _pairs(lefts: Values, rights: Values) -> zip[tuple[Any, Any]]:
    return zip(lefts, rights, strict=True)


def _kinds(values: Values) -> set[str]:
    return {_kind(value) for value in values if value is not None}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "text"
