"""How a variant looks, in every figure alike.

Colour is the kernel size, symbol the stride; the padding is how a symbol is filled and how a line
is dashed. Usual sizes keep their colour and symbol whatever else is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_USUAL_COLOURS = {
    "3": "#0072b2",
    "5": "#d55e00",
    "7": "#00845f",
    "1": "#5c5c5c",
    "9": "#b2559a",
    "11": "#946b00",
}
_MORE_COLOURS = ("#6a51c9", "#3d8fb5")
_LAST_COLOUR = "#8c8c8c"
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
"""Colours that stand out from white, and what takes their place on a dark page.

After M. Okabe and K. Ito, Color universal design (2008), darkened or lightened to a contrast of 3
(WCAG 2.2, 1.4.11).
"""

_USUAL_SYMBOLS = {"1": "circle", "2": "square", "3": "diamond", "4": "triangle-up"}
_MORE_SYMBOLS = ("triangle-down", "pentagon", "star", "cross")
_LAST_SYMBOL = "x"

_FILLS = {"valid": "-open", "half": "", "full": "-open-dot"}
_OTHER_FILL = "-dot"
_DASHES = {"valid": "dash", "half": "solid", "full": "dot"}
_OTHER_DASH = "dashdot"


@dataclass(frozen=True)
class Window:
    """A variant's parts as its label has them: `3`, `3x5` or, per layer, `5.3.3`."""

    kernel: str
    stride: str
    padding: str

    @classmethod
    def of(cls, variant: str) -> Window:
        kernel, stride, padding = (part[1:] for part in variant.split("-"))
        return cls(kernel, stride, padding)


def by_size(token: str) -> tuple[int, tuple[int, ...], str]:
    """Sorts parts of a label: one value for all layers first, by number; names last."""
    numbers = tuple(map(int, re.findall(r"\d+", token)))
    return len(numbers) or 99, numbers, token


class Marks:
    """Colours and symbols of these variants."""

    def __init__(self, variants: Iterable[str]) -> None:
        windows = [Window.of(variant) for variant in dict.fromkeys(variants)]
        self._colours = _assigned(
            {window.kernel for window in windows}, _USUAL_COLOURS, _MORE_COLOURS, _LAST_COLOUR
        )
        self._symbols = _assigned(
            {window.stride for window in windows}, _USUAL_SYMBOLS, _MORE_SYMBOLS, _LAST_SYMBOL
        )

    def colour(self, variant: str) -> str:
        return self._colours[Window.of(variant).kernel]

    def symbol(self, variant: str, policy: str) -> str:
        return self._symbols[Window.of(variant).stride] + _FILLS.get(policy, _OTHER_FILL)

    def dash(self, policy: str) -> str:
        return _DASHES.get(policy, _OTHER_DASH)

    def key(self, policies: Iterable[str], *, lines: bool = False) -> list[dict[str, Any]]:
        """Traces without data whose legend explains the marks."""
        entries = [
            *(
                ("kernel size", name, {"symbol": "circle", "color": colour})
                for name, colour in self._colours.items()
            ),
            *(
                ("stride", name, {"symbol": symbol, "color": _LAST_COLOUR})
                for name, symbol in self._symbols.items()
            ),
            *(
                ("padding", name, {"symbol": f"circle{_FILLS.get(name, _OTHER_FILL)}"})
                for name in sorted(set(policies), key=[*_FILLS, "other"].index)
            ),
        ]
        return [
            {
                "type": "scatter",
                "x": [None],
                "y": [None],
                "mode": "lines+markers" if lines and group == "padding" else "markers",
                "name": name,
                "legendgroup": group,
                "legendgrouptitle": {"text": group},
                "marker": {"color": _LAST_COLOUR, "size": 10} | marker,
                "line": {"color": _LAST_COLOUR, "dash": self.dash(name)},
            }
            for group, name, marker in entries
        ]


def _assigned(
    tokens: Iterable[str], usual: Mapping[str, str], more: Sequence[str], last: str
) -> dict[str, str]:
    """Usual tokens have their own look, the others what is left, then all the last."""
    ordered = sorted(tokens, key=by_size)
    free = iter([*more, *(look for token, look in usual.items() if token not in ordered)])
    return {token: usual.get(token) or next(free, last) for token in ordered}
