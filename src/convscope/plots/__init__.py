"""Plotly figures of runs, for pages and for notebooks: `heat(load("outputs/mnist"))`.

Each function takes the table of `analysis.frame` and raises UserError if there is nothing to show.
A page must give a figure the height of its layout.
"""

from __future__ import annotations

from convscope.plots.accuracy import accuracy_against
from convscope.plots.curves import curves
from convscope.plots.diagnostic_maps import diagnostic_maps
from convscope.plots.effects import effects
from convscope.plots.heat import heat
from convscope.plots.map_sizes import map_sizes
from convscope.plots.parallel import parallel
from convscope.plots.registry import find_figures
from convscope.plots.style import styled

__all__ = [
    "FIGURES",
    "accuracy_against",
    "curves",
    "diagnostic_maps",
    "effects",
    "heat",
    "map_sizes",
    "parallel",
    "styled",
]

FIGURES = find_figures(__path__, __name__)
"""All figures by name, in their order, including those without a function above."""
