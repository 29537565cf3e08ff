"""Figures on light and on dark pages."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from convscope.compare.figures.marks import ON_DARK

NEUTRAL = "#8c8c8c"
SCALE = "Cividis"
"""Of colours for numbers; made for eyes with and without colour vision deficiency: J. R. Nuñez,
C. R. Anderton, R. S. Renslow, PLoS ONE 13(7), 2018."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """A figure for a light page."""
    return go.Figure({"data": traces, "layout": {**layout, "template": _template(dark=False)}})


def styled(figure: go.Figure, dark: bool) -> go.Figure:
    """A copy for a light or a dark page; its ground is transparent."""
    plain = figure.to_dict()
    traces = _on_dark(plain["data"]) if dark else plain["data"]
    return go.Figure({"data": traces, "layout": {**plain["layout"], "template": _template(dark)}})


def _on_dark(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: _darkened(value) if key in ("color", "fillcolor") else _on_dark(value)
            for key, value in part.items()
        }
    return [_on_dark(one) for one in part] if isinstance(part, list | tuple) else part


def _darkened(colour: Any) -> Any:
    if isinstance(colour, str):
        return ON_DARK.get(colour, colour)
    return [_darkened(one) for one in colour] if isinstance(colour, list | tuple) else colour


def _template(dark: bool) -> dict[str, Any]:
    ink, lines, ground = (
        ("#e6e8ec", "#55595f", "#2a2d33") if dark else ("#1f2328", "#d5d9de", "#ffffff")
    )
    axis = {
        "gridcolor": lines,
        "linecolor": lines,
        "zerolinecolor": lines,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return {
        "layout": {
            "font": {"family": _FONT, "size": 12, "color": ink},
            "title": {"font": {"size": 14}, "x": 0, "xref": "paper", "xanchor": "left"},
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
            "margin": {"l": 16, "r": 16, "t": 48, "b": 16},
            "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
            "colorscale": {"sequential": SCALE},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL, "activecolor": ink},
        }
    }
