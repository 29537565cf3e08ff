"""Two variants side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convscope.config.errors import key_of
from convscope.errors import UserError
from convscope.geometry.rules import findings
from convscope.layer_table import (
    CONV,
    FIRST_CENTRE,
    JUMP,
    MACS,
    MEMORY,
    OUT,
    PARAMS,
    RECEPTIVE_FIELD,
    SKIPPED,
    TOUCHES_PADDING,
    UNUSED_BORDER,
    Column,
    Layer,
)
from convscope.tables import Table
from convscope.text import MISSING, memory_size, size
from convscope.variant import Variant

SEPARATOR = "vs"
DIFFERENT = "*"

_COLUMNS = (
    *(CONV, OUT, RECEPTIVE_FIELD, JUMP, FIRST_CENTRE),
    *(PARAMS, MACS, MEMORY, UNUSED_BORDER, SKIPPED, TOUCHES_PADDING),
)
_NOTHING = {"0", "0 %", MISSING}
"""Where neither variant has more, a row is left out."""

LEGEND = (
    f"{DIFFERENT} differs, xN: the second over the first;"
    f" {'; '.join(column.full_legend for column in _COLUMNS if column.meaning)}."
)
"""What the rows and marks of `table` mean."""

_Cell = tuple[str, int | None]
"""A quantity as text, and as a number where it is a count."""


@dataclass(frozen=True)
class Row:
    """One quantity of one layer (or of the network: ""), as text for both variants.

    Attributes:
        factor: second over first, where both are counts and differ.
    """

    layer: str
    quantity: str
    texts: tuple[str, str]
    factor: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the texts do."""
        return self.texts[0] != self.texts[1]


def split(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides before and after `vs`.

    Raises:
        UserError: not exactly one `vs`.
    """
    if overrides.count(SEPARATOR) != 1:
        raise UserError(
            f"diff takes two variants with one {SEPARATOR} between them, such as"
            f" explain.py diff conv.stride=1 {SEPARATOR} conv.stride=2"
        )
    middle = list(overrides).index(SEPARATOR)
    return list(overrides[:middle]), list(overrides[middle + 1 :])


def differs_in_data(
    sides: tuple[Sequence[str], Sequence[str]], variants: tuple[Variant, Variant]
) -> str | None:
    """Return a warning where `data` was typed on one side only, and the two now differ in it."""
    typed = [[one for one in side if key_of(one).partition(".")[0] == "data"] for side in sides]
    first, second = (variant.facts for variant in variants)
    if first == second or all(typed):
        return None
    where, data = ("first", typed[0]) if typed[0] else ("second", typed[1])
    return (
        f"only the {where} has {' '.join(data)}: the two differ in their data too"
        f" ({first.name} and {second.name}); write it on both sides of {SEPARATOR} to compare alike"
    )


def rows(first: Variant, second: Variant) -> list[Row]:
    """Return the network's rows, then each layer's; what one side lacks reads as missing."""
    networks = _network(first), _network(second)
    found = [_row("", title, networks[0][title], networks[1][title]) for title in networks[0]]
    layers = [
        {str(layer["name"]): layer for layer in (geometry.as_records() if geometry else ())}
        for geometry in (first.partial_geometry, second.partial_geometry)
    ]
    for name in sorted(layers[0] | layers[1], key=lambda name: (int(name[4:]), name)):
        sides = [side.get(name) for side in layers]
        found += [_row(name, one.title, *(_cell(side, one) for side in sides)) for one in _COLUMNS]
    return [row for row in found if not set(row.texts) <= _NOTHING]


def table(first: Variant, second: Variant) -> Table:
    """Rows that differ are marked `*`, counts with their factor."""
    drawn, before = [], ""
    for row in rows(first, second):
        factor = "" if row.factor is None else f" x{row.factor:.3g}"
        mark = DIFFERENT + factor if row.differs else ""
        drawn.append((row.layer if row.layer != before else "", row.quantity, *row.texts, mark))
        before = row.layer
    return Table(("<", "<", first.label, second.label, "<"), tuple(drawn))


def sentences(first: Variant, second: Variant) -> dict[str, list[str]]:
    """What stands out in the first only, in the second only, and in both."""
    mine, theirs = (
        list(findings(variant.geometry).values()) if variant.geometry else []
        for variant in (first, second)
    )
    return {
        f"Only the first, {first.label}:": [one for one in mine if one not in theirs],
        f"Only the second, {second.label}:": [one for one in theirs if one not in mine],
        "Both:": [one for one in mine if one in theirs],
    }


def _network(variant: Variant) -> dict[str, _Cell]:
    """The quantities of a whole network, by title."""
    facts, geometry = variant.facts, variant.geometry
    known: dict[str, _Cell] = {
        "data": (f"{facts.name} {size(facts.input_shape)}", None),
        "channels": ("-".join(map(str, variant.config.model.channels)), None),
    }
    if geometry is None:
        return known | dict.fromkeys(("final map", "params", "MACs", "memory"), (MISSING, None))
    memory = sum(layer.activation_bytes for layer in geometry.layers)
    return known | {
        "final map": (size(geometry.final_map), None),
        "params": (f"{geometry.params:,}", geometry.params),
        "MACs": (f"{geometry.macs:,}", geometry.macs),
        "memory": (memory_size(memory), memory),
    }


def _cell(layer: Layer | None, column: Column) -> _Cell:
    if layer is None:
        return MISSING, None
    return column.text(layer), layer[column.number] if column.number else None


def _row(layer: str, quantity: str, first: _Cell, second: _Cell) -> Row:
    one, other = first[1], second[1]
    factor = other / one if one and other is not None and one != other else None
    return Row(layer, quantity, (first[0], second[0]), factor)
