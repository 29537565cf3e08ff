"""Placement of labels beside points, without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_WIDTH, _HEIGHT = 260, 220
"""Size of the smallest panel, on a page of 360 pixels, in pixels. Labels that do not overlap there
do not overlap in wider panels, as points move apart and labels keep their size."""
_CHARACTER, _LINE, _MARK = 7.2, 14, 7
"""Width of a character, height of a line, half the size of a mark with its margin, in pixels."""
_SIDES = {
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top center": (0, 1),
    "bottom center": (0, -1),
}
"""Plotly's `textposition`, and its direction from the point: right and up."""

Position = tuple[float, float]


class _Box(NamedTuple):
    """A rectangle, in pixels from the lower left corner of the panel."""

    left: float
    right: float
    bottom: float
    top: float

    def overlaps(self, other: _Box) -> bool:
        """Return whether the boxes share an area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def is_inside(self) -> bool:
        """Return whether the box lies inside the panel."""
        return self.left >= 0 and self.right <= _WIDTH and self.bottom >= 0 and self.top <= _HEIGHT


def non_overlapping(
    labels: Mapping[str, str],
    positions: Mapping[str, Position],
    foremost: Iterable[str],
    others: Iterable[str] = (),
) -> dict[str, str]:
    """Place labels so that none overlaps another label or a point.

    Args:
        labels: texts by the points' names.
        positions: (x, y) of all points in their panel, from 0 to 1, by name.
        foremost: names of the points to label first, in this order; their labels may cover other
            points if there is no free position.
        others: names of the points to label afterwards, in this order.

    Returns:
        Plotly's `textposition` by name; labels without a free position are missing.
    """
    foremost = list(foremost)
    marks = {name: _box(position, _MARK, _MARK, (0, 0)) for name, position in positions.items()}
    sides: dict[str, str] = {}
    taken: list[_Box] = []
    for names, obstacles in ((foremost, list(marks)), (foremost, foremost), (others, list(marks))):
        for name in names:
            occupied = [*taken, *(marks[other] for other in obstacles if other != name)]
            width = _CHARACTER * len(labels[name]) / 2
            for textposition, side in _SIDES.items():
                box = _box(positions[name], width, _LINE / 2, side)
                if name not in sides and box.is_inside() and not any(map(box.overlaps, occupied)):
                    sides[name] = textposition
                    taken.append(box)
    return sides


def _box(position: Position, width: float, height: float, side: tuple[int, int]) -> _Box:
    """Return the box of half this width and height that touches a mark on one side."""
    (x, y), (right, up) = position, side
    x, y = x * _WIDTH + right * _MARK, y * _HEIGHT + up * _MARK
    return _Box(
        x + (right - 1) * width,
        x + (right + 1) * width,
        y + (up - 1) * height,
        y + (up + 1) * height,
    )
