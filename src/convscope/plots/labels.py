"""Labels beside points, without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_WIDTH, _HEIGHT = 260, 220
"""Of the smallest panel, on a page of 360 pixels: in a wider one points are further apart, and
labels, which stay as large, clear of each other all the more."""
_CHARACTER, _LINE, _MARK = 7.2, 14, 7
"""Width of a character, height of a line, half a mark with the room around it, pixels."""
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
"""Plotly's `textposition`, and on which side of the point it is: right and up."""

Position = tuple[float, float]


class _Box(NamedTuple):
    """Pixels from the lower left corner of the panel."""

    left: float
    right: float
    bottom: float
    top: float

    def overlaps(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def is_inside(self) -> bool:
        return self.left >= 0 and self.right <= _WIDTH and self.bottom >= 0 and self.top <= _HEIGHT


def non_overlapping(
    labels: Mapping[str, str],
    positions: Mapping[str, Position],
    foremost: Iterable[str],
    others: Iterable[str] = (),
) -> dict[str, str]:
    """Return on which side of its point each label stands that overlaps no label and no point.

    Args:
        labels: of points, by name.
        positions: of all points in their panel, from 0 to 1, left to right and bottom to top.
        foremost: names in the order in which they are given room: first where no point is, and
            where that is nowhere, upon points that are not foremost.
        others: names in the order in which what is left is given to them.

    Returns:
        `textposition` by name.
    """
    foremost = list(foremost)
    marks = {name: _box(position, _MARK, _MARK, (0, 0)) for name, position in positions.items()}
    sides: dict[str, str] = {}
    taken: list[_Box] = []
    for names, obstacles in ((foremost, list(marks)), (foremost, foremost), (others, list(marks))):
        for name in names:
            around = [*taken, *(marks[other] for other in obstacles if other != name)]
            width = _CHARACTER * len(labels[name]) / 2
            for textposition, side in _SIDES.items():
                box = _box(positions[name], width, _LINE / 2, side)
                if name not in sides and box.is_inside() and not any(map(box.overlaps, around)):
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
