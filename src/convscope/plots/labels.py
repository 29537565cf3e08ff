"""What is written beside points, without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WIDTH, _HEIGHT = 260, 220
"""Of the smallest panel, on a page of 360 pixels: in a wider one points are further apart, and
labels, which stay as large, clear of each other all the more."""
_CHARACTER, _LINE, _MARK = 7.2, 14, 7
"""Of a label's characters and lines, and half a mark with what is left free around it, pixels."""
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
"""Plotly's names, and to which side of the point they are: right and up."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Label:
    """A text and where it stands beside its point.

    Args:
        position: of `_SIDES`.
    """

    text: str
    position: str


@dataclass(frozen=True)
class _Box:
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


def placed(
    labels: Mapping[str, str],
    places: Mapping[str, Place],
    foremost: Iterable[str],
    others: Iterable[str] = (),
) -> dict[str, Label]:
    """The labels that overlap neither each other nor a point.

    Args:
        labels: of points, by name.
        places: of all points in their panel, from 0 to 1, left to right and bottom to top.
        foremost: names in the order in which they are given room: first where no point is, and
            where that is nowhere, upon points that are not foremost.
        others: names in the order in which what is left is given to them.
    """
    foremost = list(foremost)
    marks = {name: _mark(place) for name, place in places.items()}
    kept: dict[str, Label] = {}
    taken: list[_Box] = []

    def place(names: Iterable[str], obstacles: Iterable[str]) -> None:
        for name in names:
            around = [*taken, *(marks[other] for other in obstacles if other != name)]
            for position, side in _SIDES.items():
                box = _box(labels[name], places[name], side)
                if name not in kept and box.is_inside() and not any(map(box.overlaps, around)):
                    kept[name] = Label(labels[name], position)
                    taken.append(box)

    place(foremost, list(marks))
    place(foremost, foremost)
    place(others, list(marks))
    return kept


def _mark(place: Place) -> _Box:
    x, y = place[0] * _WIDTH, place[1] * _HEIGHT
    return _Box(x - _MARK, x + _MARK, y - _MARK, y + _MARK)


def _box(text: str, place: Place, side: tuple[int, int]) -> _Box:
    x, y = place[0] * _WIDTH, place[1] * _HEIGHT
    width = _CHARACTER * len(text)
    left = x + {1: _MARK, 0: -width / 2, -1: -_MARK - width}[side[0]]
    bottom = y + {1: _MARK, 0: -_LINE / 2, -1: -_MARK - _LINE}[side[1]]
    return _Box(left, left + width, bottom, bottom + _LINE)
