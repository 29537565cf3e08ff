"""Figures of `plots` as PNG, drawn by Matplotlib from Plotly's data and layout.

Plotly's own export needs a browser, which machines that train may lack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import unescape
from io import BytesIO
from itertools import groupby
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

from convscope.errors import UserError
from convscope.plain_pictures import plain_label, plain_text
from convscope.plots.style import DRAG_HINT, Trace
from convscope.text import abbreviated

_WIDTH, _DPI = 800, 200
"""Width of the figure in pixels; the picture's resolution, twice that of the figure."""
_POINTS = 0.72
"""Points per pixel of the figure."""
_SMALL, _TEXT, _TITLE = 8, 9, 10
"""Font sizes, in points."""
_AXIS = 46
"""Height of ticks and title in the lower margin, in pixels; the legend has the rest."""
_MOST_OF_A_LINE = 110
"""Largest number of characters in a line of text."""
_RULE = "#dfe2e6"
_SHAPES: Mapping[str, Any] = {
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
"""Matplotlib's markers by Plotly's names."""
_FILLS = {"-open-dot": "bottom", "-dot": "left", "-open": "none"}
"""Matplotlib's fill styles by Plotly's suffixes; marks with a dot become half filled."""
_DASHES: Mapping[str, Any] = {
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 2, 3)),
}
_ALIGNED = {
    "left": (-1, "right"),
    "center": (0, "center"),
    "right": (1, "left"),
    "top": (1, "bottom"),
    "middle": (0, "center"),
    "bottom": (-1, "top"),
}
"""Direction from the point and alignment of a label, by the parts of Plotly's `textposition`."""


@plain_text()
def png(figure: go.Figure) -> bytes:
    """Return the picture, 1,600 pixels wide."""
    file = BytesIO()
    drawn(figure).savefig(file, format="png")
    return file.getvalue()


@plain_text()
def drawn(figure: go.Figure) -> Figure:
    """Convert a figure for a light page to Matplotlib.

    Raises:
        UserError: a trace has a type that is not supported.
    """
    plotted = figure.to_dict()
    layout, traces = plotted["layout"], plotted["data"]
    if unknown := {trace["type"] for trace in traces} - _DRAW.keys():
        raise UserError(f"a picture shows no traces of the type {unknown.pop()}")
    height = layout["height"]
    below = max(layout["margin"]["b"] - _AXIS, 0) / height
    room = ConstrainedLayoutEngine(rect=(0, below, 1, 1 - below))
    picture = Figure((_WIDTH / 100, height / 100), _DPI, facecolor="white", layout=room)
    title = layout["title"]["text"].removesuffix(f"<br>{DRAG_HINT}")
    picture.suptitle(_plain(title), x=0.01, ha="left", fontsize=_TITLE)
    _legends(picture, [trace for trace in traces if trace.get("x") == [None]], below)
    names = [key.removeprefix("yaxis") for key in layout if key.startswith("yaxis")]
    domains = [layout[f"yaxis{name}"].get("domain", (0, 1)) for name in names]
    heights = [top - bottom for bottom, top in domains]
    grid = picture.subplots(len(names), 1, squeeze=False, height_ratios=heights)
    colours = _cell_colours(traces, layout)
    for name, (axes,) in zip(names, grid, strict=True):
        x, y = layout[f"xaxis{name}"], layout[f"yaxis{name}"]
        _start(axes)
        for trace in traces:
            if trace.get("yaxis", "y") == f"y{name}" and trace.get("x") != [None]:
                _DRAW[trace["type"]](axes, trace | {"xs": x, "ys": y}, colours)
        _scale(axes, "x", x)
        _scale(axes, "y", y)
        for note in layout.get("annotations", ()):
            if note["yref"] == f"y{name} domain":
                axes.set_title(_plain(note["text"]), loc="left", fontsize=_TITLE)
    return picture


def _plain(text: str) -> str:
    lines = text.split("<br>")
    return "\n".join(plain_label(unescape(line), _MOST_OF_A_LINE) for line in lines)


def _start(axes: Axes) -> None:
    axes.grid(color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=_SMALL, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _scale(axes: Axes, which: str, layout: Mapping[str, Any]) -> None:
    """Set scale, range, ticks and title of an axis, `x` or `y`, from its Plotly layout."""
    axis: Any = getattr(axes, f"{which}axis")
    axis.set_visible(layout.get("visible", True))
    if "scaleanchor" in layout:
        axes.set_aspect("equal", anchor="NW")
    is_log = layout.get("type") == "log"
    if is_log:
        axes.set(**{f"{which}scale": "log"})
        axis.set_minor_locator(NullLocator())
    if "categoryarray" in layout:
        axis.set_ticks(range(len(layout["categoryarray"])), layout["categoryarray"])
    elif "tickvals" in layout:
        axis.set_ticks(layout["tickvals"], [_plain(text) for text in layout["ticktext"]])
    elif layout.get("type") != "category":
        form = layout.get("tickformat", "")
        axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, form)))
    if "dtick" in layout:
        axis.set_major_locator(MultipleLocator(layout["dtick"]))
    if "range" in layout:
        low, high = layout["range"]
        axes.set(**{f"{which}lim": (10**low, 10**high) if is_log else (low, high)})
    if layout.get("autorange") == "reversed":
        axis.set_inverted(True)
    if layout.get("side") == "top":
        axis.tick_top()
    if not layout.get("showgrid", True):
        axis.grid(visible=False)
    axis.set_label_text(layout.get("title", {}).get("text", ""), fontsize=_TEXT)


def _tick(value: float, form: str) -> str:
    """Return a number in the d3 formats that figures use."""
    match form[-1:]:
        case "%":
            return f"{100 * value:g} %"
        case "s":
            return abbreviated(value)
    return f"{value:,g}"


def _cell_colours(traces: Sequence[Trace], layout: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the colour map that all heat maps of a figure share."""
    maps = [trace for trace in traces if "coloraxis" in trace and trace["type"] == "heatmap"]
    known = [value for one in maps for row in one["z"] for value in row if value is not None]
    name = maps[0]["coloraxis"] if maps else "coloraxis"
    scale = [colour for _, colour in layout["template"]["layout"][name]["colorscale"]]
    norm = Normalize(min(known, default=0), max(known, default=1))
    return ScalarMappable(norm, LinearSegmentedColormap.from_list("cells", scale)).to_rgba


def _heatmap(axes: Axes, trace: Trace, colours: Callable[..., Any]) -> None:
    if "x0" in trace:
        cells = np.array(trace["z"], float)
        rows, columns = cells.shape
        left, top = trace["x0"] - trace["dx"] / 2, trace["y0"] - trace["dy"] / 2
        extent = left, left + columns * trace["dx"], top + rows * trace["dy"], top
        axes.imshow(colours(cells), extent=extent, interpolation="nearest")
        return
    for y, (values, texts) in enumerate(zip(trace["z"], trace["text"], strict=True)):
        for x, (value, text) in enumerate(zip(values, texts, strict=True)):
            if value is not None:
                colour = colours(value) if "coloraxis" in trace else trace["colorscale"][0][1]
                axes.bar(x, 1, 1, y - 0.5, color=colour, edgecolor="white", linewidth=1.5)
                ink = trace["textfont"]["color"]
                axes.text(x, y, text, ha="center", va="center", fontsize=_SMALL, color=ink)
    axes.set_xlim(-0.5, len(trace["x"]) - 0.5)
    axes.set_ylim(-0.5, len(trace["y"]) - 0.5)


def _bar(axes: Axes, trace: Trace, _: Any) -> None:
    lies = trace.get("orientation") == "h"
    length, position = ("x", "y") if lies else ("y", "x")
    bars = (axes.barh if lies else axes.bar)(
        trace[position],
        [value or 0 for value in trace[length]],
        color=trace.get("marker", {}).get("color"),
    )
    axes.bar_label(bars, trace.get("text", [""] * len(bars)), padding=3, fontsize=_SMALL)


def _scatter(axes: Axes, trace: Trace, _: Any) -> None:
    x, y = (_numbers(trace[key], trace[f"{key}s"]) for key in ("x", "y"))
    if "lines" in trace["mode"]:
        axes.plot(x, y, zorder=1, **_line(trace))
    if "fill" in trace:
        axes.fill(x, y, color=trace["fillcolor"], linewidth=0)
    look: dict[str, Any]
    if (
        trace["mode"] == "markers"
        and "opacity" in trace["marker"]
        and "line" not in trace["marker"]
    ):
        # One call for all points of a strip: a study may have thousands of runs.
        marker = trace["marker"]
        size = (_POINTS * marker["size"]) ** 2
        look = {"c": marker["color"], "alpha": marker["opacity"], "linewidths": 0}
        axes.scatter(x, y, size, marker=_SHAPES[marker["symbol"]], zorder=1.5, **look)
        return
    for key in ("xerr", "yerr"):
        if half := trace.get(f"error_{key[0]}"):
            ends = np.array([half["arrayminus"], half["array"]], float)
            look = {"ecolor": half["color"], "elinewidth": half["thickness"], key: ends}
            axes.errorbar(x, y, fmt="none", zorder=2, **look)
    for at, mark, text, position in zip(
        zip(x, y, strict=True),
        _marks(trace),
        _each(trace.get("text", ""), len(x)),
        _each(trace.get("textposition", "top right"), len(x)),
        strict=True,
    ):
        if "markers" in trace["mode"]:
            axes.plot(*at, clip_on=trace.get("cliponaxis", True), **mark)
        if text:
            up, right = position.split()
            (dx, ha), (dy, va) = _ALIGNED[right], _ALIGNED[up]
            away = mark["markersize"] / 2 + 2
            offset = dx * away, dy * away
            look = {"ha": ha, "va": va, "fontsize": _SMALL}
            axes.annotate(_plain(text), at, offset, textcoords="offset points", **look)


_DRAW = {"scatter": _scatter, "heatmap": _heatmap, "bar": _bar}


def _numbers(values: Sequence[Any], axis: Mapping[str, Any]) -> list[float]:
    """Return positions on an axis: the index of a category, else the value; NaN for None."""
    categories = list(axis.get("categoryarray", ()))
    positions = [categories.index(one) if one in categories else one for one in values]
    return [math.nan if one is None else one for one in positions]


def _each(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * count


def _line(trace: Trace) -> dict[str, Any]:
    line = trace["line"]
    return {
        "color": line["color"],
        "linewidth": line.get("width", 1.5) * _POINTS,
        "linestyle": _DASHES.get(line.get("dash", "solid"), "-"),
    }


def _marks(trace: Trace) -> Iterator[dict[str, Any]]:
    """Yield Matplotlib's properties of each point's mark."""
    marker, count = trace.get("marker", {}), len(trace["x"])
    line = marker.get("line", {})
    colours = _each(marker.get("color", trace.get("line", {}).get("color")), count)
    symbols = _each(marker.get("symbol", "circle"), count)
    sizes, rings = _each(marker.get("size", 6), count), _each(line.get("width", 1), count)
    for colour, symbol, size, ring in zip(colours, symbols, sizes, rings, strict=True):
        fill = next((end for end in _FILLS if symbol.endswith(end)), "")
        yield {
            "linestyle": "none",
            "marker": _SHAPES[symbol.removesuffix(fill)],
            "markersize": 0.9 * _POINTS * size,
            "markeredgewidth": _POINTS * ring,
            "color": colour,
            "fillstyle": _FILLS.get(fill, "full"),
            "markerfacecoloralt": "white",
            "alpha": 0.85,
            "zorder": 3,
        }


def _legends(picture: Figure, samples: Sequence[Trace], height: float) -> None:
    """Draw a legend per group of samples, side by side."""
    left = 0.02
    for title, group in groupby(samples, key=lambda sample: str(sample["legendgroup"])):
        handles = []
        for sample in group:
            line = _line(sample) if "lines" in sample["mode"] else {}
            handles.append(
                Line2D([], [], label=_plain(sample["name"]), **(next(_marks(sample)) | line))
            )
        legend = picture.legend(
            handles=handles,
            title=title,
            alignment="left",
            loc="upper left",
            bbox_to_anchor=(left, height),
            fontsize=_SMALL,
            title_fontsize=_SMALL,
            frameon=False,
        )
        left = legend.get_window_extent().x1 / picture.bbox.width
