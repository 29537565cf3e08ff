"""How a variant looks, in every figure alike.

Colour is the kernel size, shape the stride; the padding is how a shape is filled and how a line is
dashed. Another factor that varies takes the place of one of these that does not, or joins the
padding. Usual sizes keep their colour and shape whatever else is shown. Where there are more kernel
sizes than colours, a colour comes again with another size of mark and width of line. Levels for
which no look is left share the last, and one entry of the legend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pandas import DataFrame

from convscope.analysis.anova import in_order, levels_of
from convscope.geometry import FACTORS
from convscope.plots.style import NEUTRAL, Trace

Look = TypeVar("Look")

_SIZES, _WIDTHS = (10, 6, 14), (1.5, 0.75, 3)
"""Of marks and of lines, pixels: of a colour's first use, its second and its third."""
_COLOURS = {
    level: (colour, _SIZES[0], _WIDTHS[0])
    for level, colour in {
        "3": "#0072b2",
        "5": "#d55e00",
        "7": "#00845f",
        "1": "#5c5c5c",
        "9": "#b2559a",
        "11": "#946b00",
    }.items()
}
"""Of usual kernel sizes: colour, size of a mark, width of a line."""
_MORE_COLOURS = [
    (colour, size, width)
    for size, width in zip(_SIZES, _WIDTHS, strict=True)
    for colour in ("#6a51c9", "#3d8fb5", *(colour for colour, *_ in _COLOURS.values()))
]
_LAST_COLOUR = (NEUTRAL, _SIZES[0], _WIDTHS[0])

_SHAPES = {"1": "circle", "2": "square", "3": "diamond", "4": "triangle-up"}
_MORE_SHAPES = (
    *("triangle-down", "pentagon", "star", "cross", "hexagon", "triangle-left", "triangle-right"),
    *("octagon", "diamond-tall", "hexagram", "star-diamond", *_SHAPES.values()),
)
_LAST_SHAPE = "x"

_THIN, _THICK = 1.5, 3.5
"""Outlines, pixels."""
_FILLS = {
    "valid": ("-open", _THIN, "dash"),
    "half": ("", _THIN, "solid"),
    "full": ("-open-dot", _THIN, "dot"),
}
_MORE_FILLS = (
    ("-dot", _THIN, "dashdot"),
    ("-open", _THICK, "longdash"),
    ("-open-dot", _THICK, "longdashdot"),
)
_LAST_FILL = ("-dot", _THICK, "12px,3px,3px,3px,3px,3px")
"""How a shape is filled, its outline, and the dash of a line."""
_INK = "#10151c"
"""Of the dot in a filled shape."""

_CHANNELS = {
    "colour": ["colour", "size", "width"],
    "shape": ["shape"],
    "fill": ["fill", "ring", "dash"],
}
"""The ways in which a look differs, in the order of `FACTORS`, and their columns."""


def variant_style(groups: DataFrame) -> DataFrame:
    """Return how each group looks, in its order.

    `colour_of, shape_of, fill_of` are the levels that each channel shows, as text, and
    `colour_title, …` what they are levels of, in every row alike. What they look like, in Plotly's
    names: `colour`, and `size` of a mark and `width` of a line; `shape`; `fill`, `ring` (width of
    the outline), `outline` (its colour) and `dash`.
    """
    shown = _channels(levels_of(groups))
    colour, size, width = _assigned(shown["colour_of"], _COLOURS, _MORE_COLOURS, _LAST_COLOUR)
    (shape,) = _assigned(
        shown["shape_of"],
        {level: (shape,) for level, shape in _SHAPES.items()},
        [(shape,) for shape in _MORE_SHAPES],
        (_LAST_SHAPE,),
    )
    fill, ring, dash = _assigned(shown["fill_of"], _FILLS, _MORE_FILLS, _LAST_FILL)
    outline = [_INK if filled == "-dot" else own for filled, own in zip(fill, colour, strict=True)]
    return shown.assign(
        colour=colour,
        size=size,
        width=width,
        shape=shape,
        fill=fill,
        ring=ring,
        outline=outline,
        dash=dash,
    )


def _channels(levels: DataFrame) -> DataFrame:
    """Return the levels that each channel shows, and their title."""
    usual, others = FACTORS[: len(_CHANNELS)], FACTORS[len(_CHANNELS) :]
    of = {channel: [factor] for channel, factor in zip(_CHANNELS, usual, strict=True)}
    free = [c for c, (factor,) in of.items() if levels[factor.key].nunique() < 2][::-1]
    for factor in others:
        if levels[factor.key].nunique() > 1:
            if free:
                of[free.pop(0)] = [factor]
            else:
                of["fill"].append(factor)
    columns: dict[str, Any] = {}
    for channel, factors in of.items():
        text = levels[factors[0].key]
        for factor in factors[1:]:
            # Without the default, as in a label: a usual padding keeps its look.
            level = levels[factor.key]
            text = text.where(level == str(factor.default), text + ", " + level)
        columns[f"{channel}_of"] = text
        columns[f"{channel}_title"] = ", ".join(factor.title for factor in factors)
    return DataFrame(columns)


def _assigned(
    levels: Iterable[str], usual: Mapping[str, Look], more: Sequence[Look], last: Look
) -> Iterable[Any]:
    """Return the parts of each level's look.

    Usual levels have their own, the others what is left, then all the last.
    """
    levels = list(levels)
    present = sorted(set(levels), key=in_order)
    taken = [usual[level] for level in present if level in usual]
    free = iter([look for look in more if look not in taken])
    looks = {level: usual.get(level) or next(free, last) for level in present}
    return zip(*(looks[level] for level in levels), strict=True)


def legend_entries(styles: DataFrame, channel: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return what a legend says of a channel.

    Its title and, once for each look, which levels have it, and the look.
    """
    of = f"{channel}_of"
    first = styles.drop_duplicates(of).set_index(of)
    first = first.loc[sorted(first.index, key=in_order)]
    return [
        (part[f"{channel}_title"].iloc[0], _names(list(part.index)), part.iloc[0].to_dict())
        for _, part in first.groupby([*_CHANNELS[channel]], sort=False)
    ]


def _names(levels: Sequence[str]) -> str:
    return levels[0] if len(levels) == 1 else f"{levels[0]} and {len(levels) - 1} more"


def legend_traces(styles: DataFrame, *, lines: bool = False) -> list[Trace]:
    """Return traces without data: their legend explains the looks, of lines too if asked for."""
    return [
        {
            "type": "scatter",
            "mode": "lines+markers" if lines and channel != "shape" else "markers",
            "x": [None],
            "y": [None],
            "name": name,
            "legendgroup": title,
            "legendgrouptitle": {"text": title},
            **_sample(look, channel),
        }
        for channel in _CHANNELS
        for title, name, look in legend_entries(styles, channel)
    ]


def _sample(look: Mapping[str, Any], channel: str) -> Trace:
    """Return a mark and a line that differ from others in one channel only."""
    match channel:
        case "colour":
            return {
                "marker": {"symbol": "circle", "color": look["colour"], "size": look["size"]},
                "line": {"color": look["colour"], "width": look["width"]},
            }
        case "shape":
            return {"marker": {"symbol": look["shape"], "color": NEUTRAL, "size": _SIZES[0]}}
    outline = {"width": look["ring"], "color": _INK if look["fill"] == "-dot" else NEUTRAL}
    symbol = f"circle{look['fill']}"
    return {
        "marker": {"symbol": symbol, "color": NEUTRAL, "size": _SIZES[0], "line": outline},
        "line": {"color": NEUTRAL, "dash": look["dash"]},
    }
