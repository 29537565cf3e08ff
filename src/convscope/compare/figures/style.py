"""Figures on light and on dark pages."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from convscope.compare.figures.marks import NEUTRAL, ON_DARK

ACCENT = "#0072b2"
"""Of what is drawn for no kernel size alone."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
FROM_LITTLE_TO_MUCH = ("#bcd9ee", "#6aaed6", "#2e7ebc", "#084594", "#042250")
_ON_DARK_FROM_LITTLE_TO_MUCH = ("#35618f", "#5b8fc2", "#93bde2", "#cfe3f5", "#f7fbff")
"""One hue, ordered by lightness alone: told apart with any colour vision; the most stands out."""


def figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """A figure for a light page."""
    return go.Figure({"data": traces, "layout": {**layout, "template": _template(dark=False)}})


def styled(figure: go.Figure, dark: bool) -> go.Figure:
    """A copy for a light or a dark page, whose ground shows through."""
    plain = figure.to_dict()
    traces = _on_dark(plain["data"]) if dark else plain["data"]
    return go.Figure({"data": traces, "layout": {**plain["layout"], "template": _template(dark)}})


def _on_dark(part: Any) -> Any:
    """Traces with the colours of marks in their dark page's form."""
    if isinstance(part, dict):
        return {
            key: _darkened(value) if key in ("color", "fillcolor") else _on_dark(value)
            for key, value in part.items()
        }
    return [_on_dark(one) for one in part] if isinstance(part, list | tuple) else part


def _darkened(colour: Any) -> Any:
    if isinstance(colour, list | tuple):
        return [_darkened(one) for one in colour]
    return ON_DARK.get(colour, colour)


def _template(dark: bool) -> dict[str, Any]:
    ink, rule, ground = (
        ("#e6e8ec", "#4a4e55", "#2a2d33") if dark else ("#1f2328", "#dfe2e6", "#ffffff")
    )
    scale = _ON_DARK_FROM_LITTLE_TO_MUCH if dark else FROM_LITTLE_TO_MUCH
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
            "title": {
                "font": {"size": 14},
                "x": 0,
                "pad": {"l": 12, "t": 12},
                "y": 1,
                "yanchor": "top",
            },
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
            "colorscale": {
                "sequential": [[n / (len(scale) - 1), colour] for n, colour in enumerate(scale)]
            },
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL, "activecolor": ink},
        }
    }
