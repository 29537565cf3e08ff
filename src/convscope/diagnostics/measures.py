"""All measures of a trained network."""

from __future__ import annotations

from collections.abc import Callable

from convscope.diagnostics.aliasing import aliasing
from convscope.diagnostics.equivariance import equivariance
from convscope.diagnostics.shifts import shifts
from convscope.diagnostics.subject import Measured, Subject

Measure = Callable[[Subject], Measured]

MEASURES: tuple[Measure, ...] = (
    shifts,
    equivariance,
    aliasing,
)
"""A measure has a file of its own; the metrics that it returns are in `convscope.metrics`."""
