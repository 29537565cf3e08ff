"""What all pictures share: size, axes, marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from pandas import DataFrame

from convscope.plain_pictures import plain_label
from convscope.plots.marks import NEUTRAL, entries

SMALL, TEXT, TITLE = 8, 9, 10
"""Sizes of letters, points."""
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")
MOST_OF_A_TITLE = 110
"""Characters across a picture."""
_WIDTH, _DPI = 8.0, 200
_ENTRY = 0.19
"""Height of a line of a legend, hundreds of pixels."""
_RULE = "#dfe2e6"
_SHAPES: dict[str, Any] = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "pentagon": "p",
    "star": "*",
    "cross": "P",
    "hexagon": "h",
    "triangle-left": "<",
    "triangle-right": ">",
    "octagon": "8",
    "diamond-tall": "d",
    "hexagram": (6, 1, 0),
    "star-diamond": (4, 1, 0),
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
        figure.suptitle(plain_label(title, MOST_OF_A_TITLE), x=0.01, ha="left", fontsize=TITLE)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def plain_axes(axes: Axes) -> None:
    axes.grid(color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=SMALL, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def mark(look: Mapping[str, Any]) -> dict[str, Any]:
    """A point's look from `marks.looks`; what Plotly draws with a dot is half filled."""
    colour = look["colour"]
    return {
        "linestyle": "none",
        "marker": _SHAPES[look["shape"]],
        "markersize": 0.65 * look["size"],
        "markeredgewidth": 0.7 * look["ring"],
        "color": colour,
        "fillstyle": {"-open-dot": "bottom", "-dot": "left"}.get(look["fill"], "full"),
        "markerfacecolor": "white" if look["fill"] == "-open" else colour,
        "markerfacecoloralt": "white",
        "alpha": 0.85,
        "zorder": 3,
    }


def legend(axes: Axes, looks: DataFrame, has_front: bool) -> None:
    """Explains the looks, and the line of a front where one is drawn, right of the axes."""
    axes.legend(
        handles=list(_handles(looks, has_front)),
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=SMALL,
        frameon=False,
    )


def legend_height(looks: DataFrame, has_front: bool) -> float:
    """What a figure needs for `legend`, in hundreds of pixels."""
    return _ENTRY * (len(list(_handles(looks, has_front))) + 2)


def _handles(looks: DataFrame, has_front: bool) -> Iterator[Line2D]:
    plain = {"shape": "circle", "fill": "", "ring": 1.5, "size": 10, "colour": NEUTRAL}
    shown = {"colour": ("colour", "size"), "shape": ("shape",), "fill": ("fill", "ring")}
    for channel, columns in shown.items():
        for title, name, look in entries(looks, channel):
            own = plain | {column: look[column] for column in columns}
            yield Line2D([], [], label=f"{title} {name}", **mark(own))
    if has_front:
        yield Line2D([], [], label="Pareto front by validation", color=NEUTRAL, linestyle=":")
