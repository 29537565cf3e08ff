"""Figures on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from convscope.plots.marks import NEUTRAL, ON_DARK

ACCENT = "#0072b2"
"""Of what is drawn for no kernel size alone."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
CELL_INK = "#10151c"
CELLS = ("#e6f0fa", "#4a97cf")
_CELLS_ON_DARK = ("#4b86b8", "#eef6fd")
_LINES = ("#a9cce8", "#2e7ebc", "#042250")
_LINES_ON_DARK = ("#35618f", "#93bde2", "#f7fbff")
"""Colours of numbers, from little to much: what is much stands out from the page.

One hue, ordered by lightness alone, so that any colour vision tells them apart. On each colour of
cells `CELL_INK` has a contrast of 4.5 at least (WCAG 2.2, 1.4.3).
"""
_DATA_ONLY = ("plotly_mimetype", "vscode", "nteract")
"""Renderers that Plotly chooses in Jupyter, VS Code and nteract."""


def figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """A figure for a light page."""
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
    """A copy for a light or a dark page, whose ground shows through."""
    plain = figure.to_dict()
    traces = _on_dark(plain["data"]) if dark else plain["data"]
    return go.Figure({"data": traces, "layout": {**plain["layout"], "template": _template(dark)}})


def _on_dark(part: Any) -> Any:
    """Traces with the colours of marks in their dark page's form."""
    if isinstance(part, dict):
        return {
            key: _darkened(value) if key == "color" else _on_dark(value)
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
            "coloraxis": _coloured(_CELLS_ON_DARK if dark else CELLS),
            "coloraxis2": _coloured(_LINES_ON_DARK if dark else _LINES),
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": NEUTRAL, "activecolor": ink},
        }
    }


def _coloured(colours: Sequence[str]) -> dict[str, Any]:
    steps = [[place / (len(colours) - 1), colour] for place, colour in enumerate(colours)]
    return {"showscale": False, "autocolorscale": False, "colorscale": steps}
