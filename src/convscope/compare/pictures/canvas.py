"""What all pictures share: size, axes, marks."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from pandas import DataFrame

from convscope.compare.figures.marks import NEUTRAL, distinct
from convscope.compare.figures.quantities import rows

SMALL, TEXT, TITLE = 8, 9, 10
"""Sizes of letters, points."""
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")
_WIDTH, _DPI = 8.0, 200
_RULE = "#dfe2e6"
_SHAPES = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "pentagon": "p",
    "star": "*",
    "cross": "P",
    "x": "X",
}
"""Plotly's names of shapes as matplotlib has them."""


def new_figure(height: float) -> Figure:
    """800 pixels wide, drawn at twice that.

    Args:
        height: in hundreds of pixels.
    """
    return Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained", facecolor="white")


def png(figure: Figure, title: str = "") -> bytes:
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE, parse_math=False)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def plain_axes(axes: Axes) -> None:
    axes.grid(color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=SMALL, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def mark(shape: str, fill: str, colour: str) -> dict[str, Any]:
    """A point's look from `marks.looks`; what Plotly draws with a dot is half filled."""
    return {
        "linestyle": "none",
        "marker": _SHAPES[shape],
        "markersize": 6.5,
        "color": colour,
        "fillstyle": {"-open-dot": "bottom", "-dot": "left"}.get(fill, "full"),
        "markerfacecolor": "white" if fill == "-open" else colour,
        "markerfacecoloralt": "white",
        "zorder": 3,
    }


def legend(axes: Axes, looks: DataFrame) -> None:
    """Explains the looks, right of the axes."""
    axes.legend(
        handles=list(_handles(looks)),
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=SMALL,
        frameon=False,
    )


def _handles(looks: DataFrame) -> Iterator[Line2D]:
    for name, look in rows(distinct(looks, "kernel_size")):
        yield Line2D([], [], label=f"kernel size {name}", **mark("circle", "", look["colour"]))
    for name, look in rows(distinct(looks, "stride")):
        yield Line2D([], [], label=f"stride {name}", **mark(look["shape"], "", NEUTRAL))
    for name, look in rows(distinct(looks, "padding_policy")):
        yield Line2D([], [], label=f"padding {name}", **mark("circle", look["fill"], NEUTRAL))
    yield Line2D([], [], label="Pareto front", color=NEUTRAL, linestyle=":")
