"""Panels one below the other: readable on a narrow page as on a wide one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_TOP, _BOTTOM = 64, 16


def stacked(heights: Sequence[int], gap: int) -> dict[str, Any]:
    """Axes of panels of these heights, and the figure's height, pixels.

    Panel n has `xaxis<n>` and `yaxis<n>`, the first without its number.

    Args:
        heights: of each panel.
        gap: below each panel, for the ticks and title of its x-axis.
    """
    inside = sum(heights) + gap * len(heights)
    layout: dict[str, Any] = {
        "height": inside + _TOP + _BOTTOM,
        "margin": {"t": _TOP, "b": _BOTTOM},
    }
    top = inside
    for number, height in enumerate(heights):
        suffix = axis_suffix(number)
        layout[f"yaxis{suffix}"] = {
            "domain": [max(0.0, (top - height) / inside), top / inside],
            "anchor": f"x{suffix}",
        }
        layout[f"xaxis{suffix}"] = {"anchor": f"y{suffix}"}
        top -= height + gap
    return layout


def axis_suffix(number: int) -> str:
    """What follows `x` and `y` in the names of a panel's axes, counted from 0."""
    return str(number + 1) if number else ""
