"""Layout of all figures: text, panels below each other, colours for light and dark pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from convscope.text import escape_control

Trace = dict[str, Any]
"""A Plotly trace as a dictionary."""

NEUTRAL = "#8c8c8c"
ACCENT = "#0072b2"
"""Colour of marks that represent no kernel size."""
ON_DARK = {
    "#0072b2": "#56b4e9",
    "#d55e00": "#f08a3c",
    "#00845f": "#2bc49a",
    "#5c5c5c": "#e0e0e0",
    "#b2559a": "#e39bd0",
    "#946b00": "#f0e442",
    "#6a51c9": "#a394f0",
    "#3d8fb5": "#9fd8e8",
}
"""Colours for a dark page by their colours for a light page.

After M. Okabe and K. Ito, Color Universal Design (2008), darkened or lightened to a contrast of 3
with the page (WCAG 2.2, 1.4.11).
"""
CELL_INK = "#10151c"
CELLS = ("#e6f0fa", "#4a97cf")
_CELLS_ON_DARK = ("#4b86b8", "#eef6fd")
_LINES = ("#a9cce8", "#2e7ebc", "#042250")
_LINES_ON_DARK = ("#35618f", "#93bde2", "#f7fbff")
"""Colour scales of numbers, in ascending order; large numbers contrast with the page.

One hue of varying lightness suits any colour vision. `CELL_INK` has a contrast of at least 4.5 with
every colour of cells (WCAG 2.2, 1.4.3).
"""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
_DATA_ONLY = ("plotly_mimetype", "vscode", "nteract")
"""Renderers that Plotly chooses in Jupyter, VS Code and nteract."""
_EDGE, _TITLE_LINE, _PANEL_TITLE, _AXIS = 12, 18, 24, 46
"""Heights in pixels: margin above the title, line of the title, title of a panel, and ticks with
the title of an axis."""
_LEGEND_TITLE, _LEGEND_ENTRY = 30, 19
"""Heights in a legend, in pixels."""

_NARROW = 44
"""Characters of a title that fit a page of 360 pixels."""
DRAG_HINT = "drag over the last epochs to zoom in"
"""Hint for the mouse."""


def escaped(text: str) -> str:
    """Return text with tags and entities escaped, which Plotly would interpret."""
    return escape(escape_control(text), quote=False)


def lines(*texts: str, width: int = 60) -> str:
    """Return texts as lines of a hover or a title, wrapped after `width` characters."""
    return "<br>".join(
        escaped(line)
        for text in texts
        if text
        for line in (wrap(text, width) if len(text) > width else [text])
    )


def narrow_lines(start: str, rest: str) -> list[str]:
    """Return a title as one line, or two where it is too long for a page of 360 pixels."""
    title = f"{start} {rest}"
    return [title] if len(title) <= _NARROW else [start, rest]


def heading(*texts: str) -> dict[str, Any]:
    """Return a title of several lines; empty ones are omitted."""
    title = lines(*texts)
    # Plotly draws the first of several lines half a line higher than a single one.
    top = _EDGE + (_TITLE_LINE / 2 if "<br>" in title else 0)
    return {"text": title, "pad": {"l": _EDGE, "t": top}}


def scatter(
    mode: str, x: Sequence[Any], y: Sequence[Any], hints: Sequence[str] = (), **more: Any
) -> Trace:
    """Return a scatter trace without an entry in the legend.

    Args:
        mode: Plotly's mode, such as `lines+markers`.
        x: coordinates.
        y: coordinates.
        hints: hover texts of the points; none without them.
        **more: other properties of Plotly's trace.
    """
    hover = {"hovertext": hints, "hoverinfo": "text"} if hints else {"hoverinfo": "skip"}
    trace = {"type": "scatter", "mode": mode, "x": x, "y": y, "showlegend": False}
    return trace | hover | more


@dataclass(frozen=True)
class Panel:
    """A pair of axes and their traces.

    Args:
        title: text above the panel.
        height: in pixels.
        traces: Plotly traces.
        x, y: properties of Plotly's axes.
    """

    title: str
    height: int
    traces: Sequence[Trace]
    x: Mapping[str, Any] = field(default_factory=dict)
    y: Mapping[str, Any] = field(default_factory=dict)


def subplots(
    titles: Sequence[str], panels: Sequence[Panel], legend: Sequence[Trace] = (), hint: str = ""
) -> go.Figure:
    """Return a figure with panels below each other, which suits narrow and wide pages.

    Args:
        titles: lines of the title; empty ones are omitted.
        panels: from top to bottom.
        legend: traces without data, for a legend below the panels, by `legendgroup`.
        hint: `DRAG_HINT` or none; the last line of the title, which static pictures omit.
    """
    title = heading(*titles, hint)
    above = _EDGE + (title["text"].count("<br>") + 1) * _TITLE_LINE + _PANEL_TITLE
    below = _AXIS
    if legend:
        entries = Counter(trace["legendgroup"] for trace in legend)
        below += _LEGEND_TITLE + _LEGEND_ENTRY * max(entries.values())
    gap = _AXIS + _PANEL_TITLE
    inside = sum(panel.height for panel in panels) + gap * (len(panels) - 1)
    layout: dict[str, Any] = {
        "title": title,
        "height": above + inside + below,
        "margin": {"t": above, "b": below},
        "annotations": [],
        "showlegend": bool(legend),
    }
    traces = list(legend)
    top = inside
    for number, panel in enumerate(panels, start=1):
        suffix = "" if number == 1 else str(number)
        x, y = f"x{suffix}", f"y{suffix}"
        domain = [(top - panel.height) / inside, top / inside]
        layout[f"xaxis{suffix}"] = {"anchor": y, **panel.x}
        layout[f"yaxis{suffix}"] = {"anchor": x, "domain": domain, **panel.y}
        layout["annotations"].append(
            {
                "text": lines(panel.title),
                "xref": "paper",
                "x": 0,
                "xanchor": "left",
                "yref": f"{y} domain",
                "y": 1,
                "yanchor": "bottom",
                "showarrow": False,
            }
        )
        traces += [trace | {"xaxis": x, "yaxis": y} for trace in panel.traces]
        top -= panel.height + gap
    return figure(traces, layout)


def figure(traces: Sequence[Trace], layout: Mapping[str, Any]) -> go.Figure:
    """Return a figure for a light page."""
    _show_in_saved_notebooks()
    return go.Figure({"data": traces, "layout": {**layout, "template": _template(dark=False)}})


def _show_in_saved_notebooks() -> None:
    """Include Plotly's script (5 MB) in the first figure of a Jupyter session.

    By default Plotly includes data only, which pages of nbconvert cannot draw. A renderer that the
    user has chosen is kept.
    """
    if pio.renderers.default in _DATA_ONLY:
        pio.renderers.default += "+notebook"


def styled(figure: go.Figure, dark: bool) -> go.Figure:
    """Return a copy for a light or a dark page, with a transparent background."""
    plain = figure.to_dict()
    traces = _on_dark(plain["data"]) if dark else plain["data"]
    return go.Figure({"data": traces, "layout": {**plain["layout"], "template": _template(dark)}})


def _on_dark(part: Any, is_colour: bool = False) -> Any:
    """Return traces with their colours replaced by those for a dark page."""
    if isinstance(part, dict):
        return {key: _on_dark(value, key == "color") for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_on_dark(one, is_colour) for one in part]
    return ON_DARK.get(part, part) if is_colour and isinstance(part, str) else part


def _template(dark: bool) -> dict[str, Any]:
    ink, rule, ground = (
        ("#e6e8ec", "#4a4e55", "#2a2d33") if dark else ("#1f2328", "#dfe2e6", "#ffffff")
    )
    axis = {
        "gridcolor": rule,
        "linecolor": rule,
        "zerolinecolor": rule,
        "automargin": True,
        "title": {"standoff": 6},
    }
    return {
        "layout": {
            "font": {"family": _FONT, "size": 12, "color": ink},
            "title": {"font": {"size": 14}, "x": 0, "y": 1, "yanchor": "top"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": ground,
                "bordercolor": NEUTRAL,
                "font": {"color": ink, "family": _FONT},
                "align": "left",
            },
            "margin": {"l": 16, "r": 16},
            "legend": {
                "orientation": "h",
                "yref": "container",
                "y": 0,
                "yanchor": "bottom",
                "itemclick": False,
                "itemdoubleclick": False,
            },
            "coloraxis": _colour_axis(_CELLS_ON_DARK if dark else CELLS),
            "coloraxis2": _colour_axis(_LINES_ON_DARK if dark else _LINES),
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL, "activecolor": ink},
        }
    }


def _colour_axis(colours: Sequence[str]) -> dict[str, Any]:
    steps = [[step / (len(colours) - 1), colour] for step, colour in enumerate(colours)]
    return {"showscale": False, "autocolorscale": False, "colorscale": steps}
