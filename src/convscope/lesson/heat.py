"""A grid as heat maps: kernel size by stride, for final map, MACs and receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from math import log, prod

from convscope.geometry import NetworkGeometry, pair_token
from convscope.lesson.grid import Grid
from convscope.text import abbreviated, size
from convscope.variant import Variant

_ROWS, _COLUMNS = "conv.kernel_size", "conv.stride"
_LIGHT_TO_DARK = ((235, 243, 251), (158, 202, 225), (66, 146, 198), (8, 69, 148), (4, 34, 80))
IMPOSSIBLE = "–"


@dataclass(frozen=True)
class Cell:
    """One variant in one map.

    Attributes:
        text: the quantity; a dash where the variant is impossible.
        level: its place between the smallest and the largest of all maps of the quantity, on a
            logarithmic scale, 0 to 1; None where the variant is impossible.
        hint: the variant's label and, where it is impossible, the reason.
    """

    text: str
    level: float | None
    hint: str


@dataclass(frozen=True)
class HeatMap:
    """Cells by row and column, for one choice of the grid's other keys."""

    facet: str
    row_name: str
    rows: tuple[str, ...]
    column_name: str
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Quantity:
    """What the maps show."""

    title: str
    value: Callable[[NetworkGeometry], int]
    text: Callable[[NetworkGeometry], str]


QUANTITIES = (
    Quantity(
        "final map, height x width",
        lambda geometry: prod(geometry.final_map),
        lambda geometry: size(geometry.final_map),
    ),
    Quantity(
        "MACs per image",
        lambda geometry: geometry.macs,
        lambda geometry: abbreviated(geometry.macs),
    ),
    Quantity(
        "receptive field, pixels",
        lambda geometry: prod(geometry.layers[-1].receptive_field),
        lambda geometry: pair_token(geometry.layers[-1].receptive_field),
    ),
)


def heat_maps(grid: Grid) -> dict[str, list[HeatMap]]:
    """Title of each quantity to its maps, one per choice of keys other than kernel and stride."""
    return {quantity.title: list(_maps(grid, quantity)) for quantity in QUANTITIES}


SCALE = "Darker is larger, on a logarithmic scale"
"""What the colours of all maps mean."""


def ends(maps: Iterable[HeatMap]) -> tuple[str, str] | None:
    """The smallest and the largest value of a quantity's maps; None where all are impossible."""
    texts = {
        cell.level: cell.text
        for drawn in maps
        for row in drawn.cells
        for cell in row
        if cell.level is not None
    }
    return (texts[min(texts)], texts[max(texts)]) if texts else None


def colour(level: float) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, from light (0) to dark (1)."""
    position = level * (len(_LIGHT_TO_DARK) - 1)
    index = min(int(position), len(_LIGHT_TO_DARK) - 2)
    part = position - index
    low, high = _LIGHT_TO_DARK[index], _LIGHT_TO_DARK[index + 1]
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(low, high, strict=True))
    return red, green, blue


def ink(level: float) -> str:
    """Black or white, whichever has more contrast on `colour(level)` (WCAG 2.2, luminance)."""
    linear = [
        channel / 255 / 12.92 if channel <= 10 else ((channel / 255 + 0.055) / 1.055) ** 2.4
        for channel in colour(level)
    ]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


def _maps(grid: Grid, quantity: Quantity) -> Iterable[HeatMap]:
    level = _scale(
        quantity.value(variant.geometry) for variant in grid.variants.values() if variant.geometry
    )
    keys = list(grid.values)
    row_key, column_key = _axes(keys)
    facet_keys = [key for key in keys if key not in (row_key, column_key)]
    rows = grid.values[row_key] if row_key else ("",)
    columns = grid.values[column_key] if column_key else ("",)
    for facet in product(*(grid.values[key] for key in facet_keys)):
        chosen = dict(zip(facet_keys, facet, strict=True))

        def cell(row: str, column: str, chosen: dict[str, str] = chosen) -> Cell:
            words = chosen | {row_key: row, column_key: column}
            return _cell(grid.variants[tuple(words[key] for key in keys)], quantity, level)

        yield HeatMap(
            facet=", ".join(f"{_key_text(key)} {value}" for key, value in chosen.items()),
            row_name=_key_text(row_key),
            rows=rows,
            column_name=_key_text(column_key),
            columns=columns,
            cells=tuple(tuple(cell(row, column) for column in columns) for row in rows),
        )


def _key_text(key: str) -> str:
    """`conv.kernel_size` as `kernel size`; other keys as typed."""
    return key.removeprefix("conv.").replace("_", " ") if key.startswith("conv.") else key


def _axes(keys: list[str]) -> tuple[str, str]:
    """Keys of rows and columns: kernel size and stride if swept, else the first others; or ""."""
    left = [key for key in keys if key not in (_ROWS, _COLUMNS)]
    column = _COLUMNS if _COLUMNS in keys else (left.pop(0) if left else "")
    row = _ROWS if _ROWS in keys else (left.pop(0) if left and column == _COLUMNS else "")
    return row, column


def _scale(values: Iterable[int]) -> Callable[[int], float]:
    logs = [log(value) for value in values]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    return lambda value: (log(value) - low) / (high - low) if high > low else 0.0


def _cell(variant: Variant, quantity: Quantity, level: Callable[[int], float]) -> Cell:
    if variant.geometry is None:
        return Cell(IMPOSSIBLE, None, f"{variant.label}: {variant.impossible}")
    value = quantity.value(variant.geometry)
    return Cell(quantity.text(variant.geometry), level(value), variant.label)
