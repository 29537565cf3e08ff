"""What `--json` prints: plain values, for programs."""

from __future__ import annotations

from typing import Any

from convscope.geometry.rules import findings
from convscope.lesson.diff import rows
from convscope.lesson.grid import Grid
from convscope.variant import Variant


def variant_record(variant: Variant) -> dict[str, Any]:
    """One variant; `status` is `possible` or `impossible`, each with its own keys."""
    record: dict[str, Any] = {
        "overrides": list(variant.overrides),
        "dataset": variant.facts.name,
        "input_shape": list(variant.facts.input_shape),
        "classes": variant.facts.classes,
        "channels": list(variant.config.model.channels),
        "pool_after": list(variant.config.model.pool_after),
        "variant": variant.label,
    }
    if variant.geometry is None:
        assert variant.impossible is not None
        return record | {
            "status": "impossible",
            "layer": variant.impossible.layer,
            "reason": str(variant.impossible),
            "fix": variant.impossible.fix,
        }
    geometry = variant.geometry
    return record | {
        "status": "possible",
        "padding_policy": geometry.padding_policy,
        "params": geometry.params,
        "macs": geometry.macs,
        "final_map": list(geometry.final_map),
        "receptive_field": list(geometry.layers[-1].receptive_field),
        "layers": geometry.as_records(),
        "words": findings(geometry),
    }


def diff_record(first: Variant, second: Variant) -> dict[str, Any]:
    """Both variants, and the rows in which they differ as the table shows them."""
    return {
        "variants": [variant_record(first), variant_record(second)],
        "differences": [
            {"layer": row.layer or None, "quantity": row.quantity, "values": list(row.texts)}
            for row in rows(first, second)
            if row.differs
        ],
    }


def grid_record(grid: Grid) -> dict[str, Any]:
    """One entry per distinct variant, with every way to type it."""
    return {
        "keys": list(grid.values),
        "variants": [
            variant_record(row.variant) | {"typed": [list(form.values()) for form in row.forms]}
            for row in grid.rows
        ],
    }
