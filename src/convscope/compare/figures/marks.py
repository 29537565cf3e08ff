"""How a variant looks, in every figure alike.

Colour is the kernel size, shape the stride; the padding is how a shape is filled and how a line is
dashed. Usual sizes keep their colour and shape whatever else is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pandas import DataFrame

from convscope.compare.effects import levels_of
from convscope.compare.figures.quantities import rows
from convscope.compare.grid import in_order

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

_USUAL_SHAPES = {"1": "circle", "2": "square", "3": "diamond", "4": "triangle-up"}
_MORE_SHAPES = ("triangle-down", "pentagon", "star", "cross")
_LAST_SHAPE = "x"

_FILLS = {"valid": "-open", "half": "", "full": "-open-dot"}
_OTHER_FILL = "-dot"
_DASHES = {"valid": "dash", "half": "solid", "full": "dot"}
_OTHER_DASH = "dashdot"
_INK = "#10151c"
"""Of the dot in a filled shape."""
_KEY_TITLE, _KEY_ENTRY, _SIZE = 30, 19, 10


def looks(groups: DataFrame) -> DataFrame:
    """How each group looks, in its order.

    `kernel_size, stride, padding_policy` are its levels as text (`effects.levels_of`), `colour,
    shape, outline, fill` and `dash` what they look like, in Plotly's names.
    """
    levels = levels_of(groups)
    colours = _assigned(levels["kernel_size"], _USUAL_COLOURS, _MORE_COLOURS, NEUTRAL)
    shapes = _assigned(levels["stride"], _USUAL_SHAPES, _MORE_SHAPES, _LAST_SHAPE)
    padding = levels["padding_policy"]
    return levels.assign(
        colour=levels["kernel_size"].map(colours),
        shape=levels["stride"].map(shapes),
        outline=[
            _INK if policy not in _FILLS else colours[kernel]
            for policy, kernel in zip(padding, levels["kernel_size"], strict=True)
        ],
        fill=[_FILLS.get(policy, _OTHER_FILL) for policy in padding],
        dash=[_DASHES.get(policy, _OTHER_DASH) for policy in padding],
    )


def key(looks: DataFrame, *, lines: bool = False) -> list[dict[str, Any]]:
    """Traces without data: their legend explains the looks, of lines too if asked for."""
    entries = [
        *(
            ("kernel size", name, _disc(look["colour"]))
            for name, look in rows(distinct(looks, "kernel_size"))
        ),
        *(("stride", name, _shape(look)) for name, look in rows(distinct(looks, "stride"))),
        *(
            ("padding", name, _filled(look) | (_dashed(look) if lines else {}))
            for name, look in rows(distinct(looks, "padding_policy"))
        ),
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [None],
            "y": [None],
            "name": name,
            "legendgroup": title,
            "legendgrouptitle": {"text": title},
            **drawn,
        }
        for title, name, drawn in entries
    ]


def distinct(looks: DataFrame, levels: str) -> DataFrame:
    """A row per level of one column, indexed by it, in order."""
    first = looks.drop_duplicates(levels).set_index(levels)
    return first.loc[sorted(first.index, key=in_order)]


def key_height(looks: DataFrame) -> int:
    """Of the legend, pixels."""
    longest = max(looks[name].nunique() for name in ("kernel_size", "stride", "padding_policy"))
    return _KEY_TITLE + _KEY_ENTRY * int(longest)


def _disc(colour: str) -> dict[str, Any]:
    return {"marker": {"symbol": "circle", "color": colour, "size": _SIZE}}


def _shape(look: Mapping[str, Any]) -> dict[str, Any]:
    return {"marker": {"symbol": look["shape"], "color": NEUTRAL, "size": _SIZE}}


def _filled(look: Mapping[str, Any]) -> dict[str, Any]:
    outline = {"width": 1.5, "color": _INK if look["fill"] == _OTHER_FILL else NEUTRAL}
    symbol = f"circle{look['fill']}"
    return {"marker": {"symbol": symbol, "color": NEUTRAL, "size": _SIZE, "line": outline}}


def _dashed(look: Mapping[str, Any]) -> dict[str, Any]:
    return {"mode": "lines+markers", "line": {"color": NEUTRAL, "dash": look["dash"]}}


def _assigned(
    levels: Iterable[str], usual: Mapping[str, str], more: Sequence[str], last: str
) -> dict[str, str]:
    """Usual levels have their own look, the others what is left, then all the last."""
    present = sorted(set(levels), key=in_order)
    free = iter([*more, *(look for level, look in usual.items() if level not in present)])
    return {level: usual.get(level) or next(free, last) for level in present}
