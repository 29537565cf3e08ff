"""Rows of plain values as JSON and CSV, for programs and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""Beginnings of text that spreadsheets evaluate as a formula; some accept full-width signs too."""


def as_json(rows: Sequence[Row]) -> str:
    """Return the rows as a JSON array."""
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows as CSV, with the first row's keys as the header; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    if rows:
        writer.writerow(map(_cell, rows[0]))
    writer.writerows(map(_cell, row.values()) for row in rows)
    return file.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    is_formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if is_formula else value


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {"csv": as_csv, "json": as_json}
