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

Look = TypeVar("Look")

NEUTRAL = "#8c8c8c"
_USUAL_COLOURS = {
    "3": "#0072b2",
    "5": "#d55e00",
    "7": "#00845f",
    "1": "#5c5c5c",
    "9": "#b2559a",
    "11": "#946b00",
}
_MORE_COLOURS = ("#6a51c9", "#3d8fb5")
ON_DARK = {
    "#0072b2": "#56b4e9",
    "#d55e00": "#f08a3c",
    "#00845f": "#2bc49a",
    "#5c5c5c": "#e0e0e0",
    "#b2559a": "#e39bd0",
    "#946b00": "#f0e442",
    "#6a51c9": "#a394f0",
    "#3d8fb5": "#9fd8e8",
}
"""Colours for a light page, and what takes their place on a dark one.

After M. Okabe and K. Ito, Color Universal Design (2008), darkened or lightened until they stand
out from the page by a contrast of 3 (WCAG 2.2, 1.4.11).
"""

_SIZES, _WIDTHS = (10, 6, 14), (1.5, 0.75, 3)
"""Of marks and of lines, pixels: of a colour's first use, its second and its third."""

_USUAL_SHAPES = {"1": "circle", "2": "square", "3": "diamond", "4": "triangle-up"}
_MORE_SHAPES = (
    *("triangle-down", "pentagon", "star", "cross", "hexagon", "triangle-left", "triangle-right"),
    *("octagon", "diamond-tall", "hexagram", "star-diamond"),
)
_LAST_SHAPE = "x"

_THIN, _THICK = 1.5, 3.5
"""Outlines, pixels."""
_USUAL_FILLS = {
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
_KEY_TITLE, _KEY_ENTRY = 30, 19

_CHANNELS = {
    "colour": ["colour", "size", "width"],
    "shape": ["shape"],
    "fill": ["fill", "ring", "dash"],
}
"""The ways in which a look differs, in the order of `FACTORS`, and their columns of `looks`."""


def looks(groups: DataFrame) -> DataFrame:
    """How each group looks, in its order.

    `colour_of, shape_of, fill_of` are the levels that each channel shows, as text, and
    `colour_title, …` what they are levels of, in every row alike. What they look like, in Plotly's
    names: `colour`, and `size` of a mark and `width` of a line; `shape`; `fill`, `ring` (width of
    the outline), `outline` (its colour) and `dash`.
    """
    shown = _shown(levels_of(groups))
    kernel, stride, padding = (shown[f"{channel}_of"] for channel in _CHANNELS)
    colours = _assigned(kernel, _USUAL_COLOURS_OF_SIZE, _ALL_COLOURS, _LAST_COLOUR)
    shapes = _assigned(stride, _USUAL_SHAPES, [*_MORE_SHAPES, *_USUAL_SHAPES.values()], _LAST_SHAPE)
    fills = _assigned(padding, _USUAL_FILLS, _MORE_FILLS, _LAST_FILL)
    colour, size, width = zip(*kernel.map(colours), strict=True)
    fill, ring, dash = zip(*padding.map(fills), strict=True)
    outline = [_INK if filled == "-dot" else own for filled, own in zip(fill, colour, strict=True)]
    return shown.assign(
        colour=colour,
        size=size,
        width=width,
        shape=stride.map(shapes),
        fill=fill,
        ring=ring,
        outline=outline,
        dash=dash,
    )


def _shown(levels: DataFrame) -> DataFrame:
    """The levels that each channel shows, and their title."""
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
        texts = [levels[factor.key] for factor in factors]
        columns[f"{channel}_of"] = texts[0].str.cat(texts[1:], sep=", ")
        columns[f"{channel}_title"] = ", ".join(factor.title for factor in factors)
    return DataFrame(columns)


_ALL_COLOURS = [
    (colour, size, width)
    for size, width in zip(_SIZES, _WIDTHS, strict=True)
    for colour in (*_MORE_COLOURS, *_USUAL_COLOURS.values())
]
_USUAL_COLOURS_OF_SIZE = {
    level: (colour, _SIZES[0], _WIDTHS[0]) for level, colour in _USUAL_COLOURS.items()
}
_LAST_COLOUR = (NEUTRAL, _SIZES[0], _WIDTHS[0])


def key(looks: DataFrame, *, lines: bool = False) -> list[dict[str, Any]]:
    """Traces without data: their legend explains the looks, of lines too if asked for."""
    drawn = {"colour": _coloured, "shape": _shaped, "fill": _filled}
    return [
        {
            "type": "scatter",
            "mode": "lines+markers" if lines and channel != "shape" else "markers",
            "x": [None],
            "y": [None],
            "name": name,
            "legendgroup": title,
            "legendgrouptitle": {"text": title},
            **drawn[channel](look),
        }
        for channel in _CHANNELS
        for title, name, look in entries(looks, channel)
    ]


def entries(looks: DataFrame, channel: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """What a legend says of a channel: its title and, once for each look, which levels have it."""
    of = f"{channel}_of"
    first = looks.drop_duplicates(of).set_index(of)
    first = first.loc[sorted(first.index, key=in_order)]
    alike = first.groupby(_CHANNELS[channel], sort=False)
    return [
        (part[f"{channel}_title"].iloc[0], _named(list(part.index)), part.iloc[0].to_dict())
        for _, part in alike
    ]


def _named(levels: Sequence[str]) -> str:
    return levels[0] if len(levels) == 1 else f"{levels[0]} and {len(levels) - 1} more"


def key_height(looks: DataFrame) -> int:
    """Of the legend, pixels."""
    longest = max(len(entries(looks, channel)) for channel in _CHANNELS)
    return _KEY_TITLE + _KEY_ENTRY * longest


def _coloured(look: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "marker": {"symbol": "circle", "color": look["colour"], "size": look["size"]},
        "line": {"color": look["colour"], "width": look["width"]},
    }


def _shaped(look: Mapping[str, Any]) -> dict[str, Any]:
    return {"marker": {"symbol": look["shape"], "color": NEUTRAL, "size": _SIZES[0]}}


def _filled(look: Mapping[str, Any]) -> dict[str, Any]:
    outline = {"width": look["ring"], "color": _INK if look["fill"] == "-dot" else NEUTRAL}
    symbol = f"circle{look['fill']}"
    return {
        "marker": {"symbol": symbol, "color": NEUTRAL, "size": _SIZES[0], "line": outline},
        "line": {"color": NEUTRAL, "dash": look["dash"]},
    }


def _assigned(
    levels: Iterable[str], usual: Mapping[str, Look], more: Sequence[Look], last: Look
) -> dict[str, Look]:
    """Usual levels have their own look, the others what is left, then all the last."""
    present = sorted(set(levels), key=in_order)
    taken = [usual[level] for level in present if level in usual]
    free = iter([look for look in more if look not in taken])
    return {level: usual.get(level) or next(free, last) for level in present}
