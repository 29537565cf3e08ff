"""All measures of a trained network."""

from __future__ import annotations

from collections.abc import Callable

from convscope.diagnostics.aliasing import aliasing
from convscope.diagnostics.effective_field import effective_field
from convscope.diagnostics.equivariance import equivariance
from convscope.diagnostics.filters import filter_asymmetry
from convscope.diagnostics.position import position
from convscope.diagnostics.shifts import shifts
from convscope.diagnostics.subject import Measured, Subject

Measure = Callable[[Subject], Measured]

MEASURES: tuple[Measure, ...] = (
    shifts,
    equivariance,
    aliasing,
    effective_field,
    position,
    filter_asymmetry,
)
"""A measure has a file of its own; the metrics that it returns are in `convscope.metrics`."""
