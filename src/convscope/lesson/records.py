"""The JSON output of `explain.py`."""

from __future__ import annotations

from typing import Any

from convscope.geometry import path_counts
from convscope.geometry.rules import findings
from convscope.layer_table import reads_of
from convscope.lesson.diff import rows
from convscope.lesson.grid import Grid
from convscope.variant import Variant


def variant_record(variant: Variant) -> dict[str, Any]:
    """Return a variant's record; its keys depend on `status`, `possible` or `impossible`."""
    record: dict[str, Any] = {
        "overrides": list(variant.overrides),
        "dataset": variant.facts.name,
        "input_shape": list(variant.facts.input_shape),
        "classes": variant.facts.classes,
        "network": variant.network,
        "channels": list(variant.config.model.channels),
        "pool_after": list(variant.config.model.pool_after),
        "pool": variant.config.model.pool,
        "downsample": variant.config.model.downsample,
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
    paths = path_counts(geometry)
    return record | {
        "status": "possible",
        "padding_policy": geometry.padding_policy,
        "params": geometry.params,
        "macs": geometry.macs,
        "final_map": list(geometry.final_map),
        "receptive_field": list(geometry.receptive_field),
        "paths": None if paths is None else [min(map(min, paths)), max(map(max, paths))],
        "layers": [layer | {"reads": list(reads_of(layer))} for layer in geometry.as_records()],
        "words": findings(geometry),
    }


def diff_record(first: Variant, second: Variant) -> dict[str, Any]:
    """Return both variants' records, and the rows of the table in which they differ."""
    return {
        "variants": [variant_record(first), variant_record(second)],
        "differences": [
            {"layer": row.layer or None, "quantity": row.quantity, "values": list(row.texts)}
            for row in rows(first, second)
            if row.differs
        ],
    }


def grid_record(grid: Grid) -> dict[str, Any]:
    """Return a record per distinct variant, with all combinations of values that select it."""
    return {
        "keys": list(grid.values),
        "variants": [
            variant_record(row.variant) | {"typed": [list(form.values()) for form in row.forms]}
            for row in grid.rows
        ],
    }
