"""How every figure is set: its text, panels below each other, colours for light and dark pages."""

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
"""A trace in Plotly's terms."""

NEUTRAL = "#8c8c8c"
ACCENT = "#0072b2"
"""Of what stands for no kernel size in particular."""
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
"""Colours for a light page, and what takes their place on a dark one.

After M. Okabe and K. Ito, Color Universal Design (2008), darkened or lightened until they stand
out from the page by a contrast of 3 (WCAG 2.2, 1.4.11).
"""
CELL_INK = "#10151c"
CELLS = ("#e6f0fa", "#4a97cf")
_CELLS_ON_DARK = ("#4b86b8", "#eef6fd")
_LINES = ("#a9cce8", "#2e7ebc", "#042250")
_LINES_ON_DARK = ("#35618f", "#93bde2", "#f7fbff")
"""Colours of numbers, from little to much: what is much stands out from the page.

One hue, ordered by lightness only, so that they differ for any colour vision. On each colour of
cells `CELL_INK` has a contrast of 4.5 at least (WCAG 2.2, 1.4.3).
"""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
_DATA_ONLY = ("plotly_mimetype", "vscode", "nteract")
"""Renderers that Plotly chooses in Jupyter, VS Code and nteract."""
_EDGE, _TITLE_LINE, _PANEL_TITLE, _AXIS = 12, 18, 24, 46
"""Above the title, of one of its lines, above a panel, and of ticks and title below, pixels."""
_LEGEND_TITLE, _LEGEND_ENTRY = 30, 19
"""Heights in a legend, pixels."""


def escaped(text: str) -> str:
    """Return what Plotly shows as `text`: it reads tags and entities in every name and label."""
    return escape(escape_control(text), quote=False)


def lines(*texts: str, width: int = 60) -> str:
    """Return the lines of a hover or a title, long ones wrapped after `width` characters."""
    return "<br>".join(
        escaped(line)
        for text in texts
        if text
        for line in (wrap(text, width) if len(text) > width else [text])
    )


def heading(*texts: str) -> dict[str, Any]:
    """Return a title of several lines, "" is none."""
    title = lines(*texts)
    # Plotly draws the first of several lines half a line higher than a single one.
    top = _EDGE + (_TITLE_LINE / 2 if "<br>" in title else 0)
    return {"text": title, "pad": {"l": _EDGE, "t": top}}


def scatter(
    mode: str, x: Sequence[Any], y: Sequence[Any], hints: Sequence[str] = (), **more: Any
) -> Trace:
    """Return a scatter trace that has no entry in the legend.

    Args:
        hints: what is shown where a point is pointed at; nothing without them.
        more: in Plotly's terms.
    """
    hover = {"hovertext": hints, "hoverinfo": "text"} if hints else {"hoverinfo": "skip"}
    trace = {"type": "scatter", "mode": mode, "x": x, "y": y, "showlegend": False}
    return trace | hover | more


@dataclass(frozen=True)
class Panel:
    """A pair of axes with what they show.

    Args:
        title: stands above it.
        height: pixels.
        x, y: the axes, in Plotly's terms.
    """

    title: str
    height: int
    traces: Sequence[Trace]
    x: Mapping[str, Any] = field(default_factory=dict)
    y: Mapping[str, Any] = field(default_factory=dict)


def subplots(
    titles: Sequence[str], panels: Sequence[Panel], legend: Sequence[Trace] = (), hint: str = ""
) -> go.Figure:
    """Return panels one below the other: readable on a narrow page as on a wide one.

    Args:
        titles: lines; "" is none.
        legend: traces without data, which it explains below the panels, by `legendgroup`.
        hint: what the mouse can do; the title's last line, left out of pictures.
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
        "meta": {"hint": escaped(hint)},
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
    """Let the first figure of a Jupyter session bring Plotly's script along, 5 MB.

    Plotly's own choice there is the figure's data only, which a page made by nbconvert does not
    draw. Another renderer that the user chose stays.
    """
    if pio.renderers.default in _DATA_ONLY:
        pio.renderers.default += "+notebook"


def styled(figure: go.Figure, dark: bool) -> go.Figure:
    """Return a copy for a light or a dark page, whose ground shows through."""
    plain = figure.to_dict()
    traces = _on_dark(plain["data"]) if dark else plain["data"]
    return go.Figure({"data": traces, "layout": {**plain["layout"], "template": _template(dark)}})


def _on_dark(part: Any, is_colour: bool = False) -> Any:
    """Return traces with the colours of marks in their dark page's form."""
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
