"""Panels one below the other: readable on a narrow page as on a wide one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convscope.plots.text import lines

_EDGE, _TITLE_LINE, _PANEL_TITLE, _AXIS = 12, 18, 24, 46
"""Above the title, of one of its lines, above a panel, and of ticks and title below, pixels."""


def heading(*texts: str) -> dict[str, Any]:
    """A title of several lines, "" is none."""
    title = lines(*texts)
    # Plotly draws the first of several lines half a line higher than a single one.
    top = _EDGE + (_TITLE_LINE / 2 if _line_count(title) > 1 else 0)
    return {"text": title, "pad": {"l": _EDGE, "t": top}}


def stacked(titles: Sequence[str], heights: Sequence[int], *, legend: int = 0) -> dict[str, Any]:
    """A title and panels with their axes, as a layout.

    Args:
        titles: lines; "" is none.
        heights: of the panels, pixels.
        legend: height of what is kept free for it below the panels, pixels.
    """
    title = heading(*titles)
    above = _EDGE + _line_count(title["text"]) * _TITLE_LINE + _PANEL_TITLE
    gap = _AXIS + _PANEL_TITLE
    inside = sum(heights) + gap * (len(heights) - 1)
    layout: dict[str, Any] = {
        "title": title,
        "height": above + inside + _AXIS + legend,
        "margin": {"t": above, "b": _AXIS + legend},
    }
    top = inside
    for number, height in enumerate(heights):
        x, y = axes(number).values()
        layout[axis_key(x)] = {"anchor": y}
        layout[axis_key(y)] = {"anchor": x, "domain": [(top - height) / inside, top / inside]}
        top -= height + gap
    return layout


def axes(number: int) -> dict[str, str]:
    """What ties a trace to a panel, counted from 0."""
    suffix = str(number + 1) if number else ""
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}


def axis_key(axis: str) -> str:
    """Where the layout describes it: `xaxis2` of `x2`."""
    return f"{axis[0]}axis{axis[1:]}"


def panel_title(number: int, text: str) -> dict[str, Any]:
    """An annotation above a panel, at its left edge."""
    _, y = axes(number).values()
    return {
        "text": lines(text),
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": f"{y} domain",
        "y": 1,
        "yanchor": "bottom",
        "showarrow": False,
    }


def _line_count(text: str) -> int:
    return text.count("<br>") + 1
