"""Comparisons as JSON and CSV, for programs and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from convscope.analysis.findings import Finding

Row = Mapping[str, Any]

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""Beginnings of text that spreadsheets evaluate as a formula; some accept full-width signs too."""


def as_json(
    rows: Sequence[Row],
    findings: Iterable[Finding] = (),
    caveats: Iterable[Finding] = (),
    methods: Iterable[Finding] = (),
) -> str:
    """Return rows of plain values and findings as a JSON object, without NaN and infinity."""
    document = {
        "rows": rows,
        "findings": [*map(_plain, findings)],
        "caveats": [*map(_plain, caveats)],
        "methods": [*map(_plain, methods)],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _plain(one: Finding) -> Row:
    low, high = _number(one.low), _number(one.high)
    return {
        "kind": one.kind,
        "scope": one.scope or None,
        "subjects": one.subjects,
        "metric": one.metric or None,
        "statistic": one.statistic or None,
        "estimate": _number(one.estimate),
        "interval": None if low is None and high is None else [low, high],
        "p": _number(one.p_value),
        "sentence": one.sentence or None,
        "cites": one.cites,
    }


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


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
