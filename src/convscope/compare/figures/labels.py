"""What is written beside points, without overlap."""

from __future__ import annotations

from collections.abc import Mapping

_CHARACTER, _LINE = 0.022, 0.07
"""Width of a character and height of a line, as parts of a narrow panel's."""


def _width(text: str) -> float:
    """Of a label, as part of a narrow panel's."""
    return _CHARACTER * len(text)


def apart(labels: Mapping[str, str], places: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """The labels that do not overlap; the uppermost come first.

    Args:
        places: of each in its panel, from 0 to 1, left to right and bottom to top.
    """
    kept: dict[str, str] = {}
    for name in sorted(labels, key=lambda name: -places[name][1]):
        x, y = places[name]
        if all(
            abs(x - places[other][0]) > max(_width(labels[name]), _width(text))
            or abs(y - places[other][1]) > _LINE
            for other, text in kept.items()
        ):
            kept[name] = labels[name]
    return kept
