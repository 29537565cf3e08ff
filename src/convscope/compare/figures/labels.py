"""What is written beside points, without overlap."""

from __future__ import annotations

from collections.abc import Mapping

_WIDTH, _HEIGHT = 0.18, 0.07
"""Of a label, as parts of a narrow panel's."""
ROOM = _WIDTH


def apart(labels: Mapping[str, str], places: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """The labels that do not overlap; the uppermost come first.

    Args:
        places: of each in its panel, from 0 to 1, left to right and bottom to top.
    """
    kept: dict[str, str] = {}
    for name in sorted(labels, key=lambda name: -places[name][1]):
        x, y = places[name]
        if all(abs(x - places[k][0]) > _WIDTH or abs(y - places[k][1]) > _HEIGHT for k in kept):
            kept[name] = labels[name]
    return kept
