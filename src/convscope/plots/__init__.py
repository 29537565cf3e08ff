"""Figures of runs, for a page and for a notebook: `heat(load("outputs/mnist"))`.

Each takes `frame`'s table and gives a Plotly figure; it raises UserError where there is nothing to
show. The page must give a figure the height that its layout has.
"""

from __future__ import annotations

from convscope.plots.accuracy import accuracy_against
from convscope.plots.curves import curves
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
    "effects",
    "heat",
    "map_sizes",
    "parallel",
    "styled",
]

FIGURES = find_figures(__path__, __name__)
"""All figures by name, also those that the functions above do not list, in their order."""
