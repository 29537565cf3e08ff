"""Style of a variant, the same in every figure.

Colour shows the kernel size, the shape of a mark the stride, its fill and the dash of a line the
padding. Another factor that varies replaces one of these that does not vary, or is combined with
the padding. Usual sizes always have the same colour and shape. If there are more kernel sizes than
colours, colours are repeated with another size of the mark and width of the line. Levels that are
left without a style share the last one, and an entry in the legend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pandas import DataFrame

from convscope.analysis.anova import level_order, levels_of
from convscope.geometry import FACTORS
from convscope.plots.style import NEUTRAL, Trace

Style = TypeVar("Style")

_SIZES, _WIDTHS = (10, 6, 14), (1.5, 0.75, 3)
"""Sizes of marks and widths of lines in pixels, for the first, second and third use of a colour."""
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
"""Styles of usual kernel sizes: colour, size of a mark, width of a line."""
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
"""Widths of outlines, in pixels."""
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
"""Suffix of Plotly's symbol, width of the outline, and dash of a line."""
_INK = "#10151c"
"""Colour of the dot in a filled shape."""

_CHANNELS = {
    "colour": ["colour", "size", "width"],
    "shape": ["shape"],
    "fill": ["fill", "ring", "dash"],
}
"""Channels of a style, in the order of `FACTORS`, and their columns."""


def variant_style(groups: DataFrame) -> DataFrame:
    """Return the style of each group, a row per row of `groups`.

    The columns `colour_of, shape_of, fill_of` are the levels that each channel shows, as text, and
    `colour_title, …` the names of their factors, equal in all rows. The style itself, in Plotly's
    terms: `colour`, `size` of a mark, `width` of a line; `shape`; `fill`, `ring` (width of the
    outline), `outline` (its colour) and `dash`.
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
    """Return the levels that each channel shows, and the names of their factors."""
    usual, others = FACTORS[: len(_CHANNELS)], FACTORS[len(_CHANNELS) :]
    shown = {channel: [factor] for channel, factor in zip(_CHANNELS, usual, strict=True)}
    free = [c for c, (factor,) in shown.items() if levels[factor.key].nunique() < 2][::-1]
    for factor in others:
        if levels[factor.key].nunique() > 1:
            if free:
                shown[free.pop(0)] = [factor]
            else:
                shown["fill"].append(factor)
    columns: dict[str, Any] = {}
    for channel, factors in shown.items():
        text = levels[factors[0].key]
        for factor in factors[1:]:
            # Without the default, as in a label, so that a usual padding keeps its style.
            level = levels[factor.key]
            text = text.where(level == str(factor.default), text + ", " + level)
        columns[f"{channel}_of"] = text
        columns[f"{channel}_title"] = ", ".join(factor.title for factor in factors)
    return DataFrame(columns)


def _assigned(
    levels: Iterable[str], usual: Mapping[str, Style], more: Sequence[Style], last: Style
) -> Iterable[Any]:
    """Return the columns of the levels' styles.

    Usual levels have their own style, others a free one of `more`, and the rest `last`.
    """
    levels = list(levels)
    present = sorted(set(levels), key=level_order)
    taken = [usual[level] for level in present if level in usual]
    free = iter([style for style in more if style not in taken])
    styles_of_levels = {level: usual.get(level) or next(free, last) for level in present}
    return zip(*(styles_of_levels[level] for level in levels), strict=True)


def legend_entries(styles: DataFrame, channel: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return the legend's entries of a channel: title, levels, and the style that these share."""
    column = f"{channel}_of"
    first = styles.drop_duplicates(column).set_index(column)
    first = first.loc[sorted(first.index, key=level_order)]
    return [
        (part[f"{channel}_title"].iloc[0], _names(list(part.index)), part.iloc[0].to_dict())
        for _, part in first.groupby([*_CHANNELS[channel]], sort=False)
    ]


def _names(levels: Sequence[str]) -> str:
    return levels[0] if len(levels) == 1 else f"{levels[0]} and {len(levels) - 1} more"


def legend_traces(styles: DataFrame, *, lines: bool = False) -> list[Trace]:
    """Return traces without data, whose legend explains the styles.

    Args:
        styles: from `variant_style`.
        lines: explain the styles of lines too.
    """
    return [
        {
            "type": "scatter",
            "mode": "lines+markers" if lines and channel != "shape" else "markers",
            "x": [None],
            "y": [None],
            "name": name,
            "legendgroup": title,
            "legendgrouptitle": {"text": title},
            **_sample(style, channel),
        }
        for channel in _CHANNELS
        for title, name, style in legend_entries(styles, channel)
    ]


def _sample(style: Mapping[str, Any], channel: str) -> Trace:
    """Return a mark and a line that show the style of one channel only."""
    match channel:
        case "colour":
            return {
                "marker": {"symbol": "circle", "color": style["colour"], "size": style["size"]},
                "line": {"color": style["colour"], "width": style["width"]},
            }
        case "shape":
            return {"marker": {"symbol": style["shape"], "color": NEUTRAL, "size": _SIZES[0]}}
    outline = {"width": style["ring"], "color": _INK if style["fill"] == "-dot" else NEUTRAL}
    symbol = f"circle{style['fill']}"
    return {
        "marker": {"symbol": symbol, "color": NEUTRAL, "size": _SIZES[0], "line": outline},
        "line": {"color": NEUTRAL, "dash": style["dash"]},
    }
