"""Figures of runs, for a page and for a notebook: `heat(load("outputs/mnist"))`.

Each takes `frame`'s table and gives a Plotly figure; it raises UserError where there is nothing to
show. `customdata` of every point is its group's id, or a list where it stands for several groups.
The page must give a figure the height that its layout has.
"""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from convscope.plots.accuracy import accuracy_against
from convscope.plots.curves import curves
from convscope.plots.effects import effects
from convscope.plots.heat import heat
from convscope.plots.map_sizes import map_sizes
from convscope.plots.parallel import parallel
from convscope.plots.style import styled

__all__ = [
    "FIGURES",
    "accuracy_against",
    "curves",
    "effects",
    "heat",
    "map_sizes",
    "parallel",
    "styled",
]

FIGURES: dict[str, Callable[..., go.Figure]] = {
    "accuracy_against": accuracy_against,
    "heat": heat,
    "effects": effects,
    "parallel": parallel,
    "map_sizes": map_sizes,
    "curves": curves,
}
