"""The comparison of two variants, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from convscope.config.errors import key_of
from convscope.errors import UserError
from convscope.geometry.network import LONG
from convscope.geometry.rules import findings
from convscope.layer_table import (
    BLOCK_LEGEND,
    CONV,
    FIRST_CENTRE,
    JUMP,
    MACS,
    MEMORY,
    OUT,
    PARAMS,
    READS,
    RECEPTIVE_FIELD,
    SKIPPED,
    TOUCHES_PADDING,
    UNUSED_BORDER,
    Column,
    Layer,
    blocks,
    merged,
)
from convscope.tables import Table
from convscope.text import MISSING, memory_size, size
from convscope.variant import Variant

SEPARATOR = "vs"
DIFFERENT = "*"

_UNPRODUCTIVE = Column(
    "unproductive",
    lambda layer: "yes" if layer.get("is_unproductive") else "no",
)
_COLUMNS = (
    *(CONV, OUT, RECEPTIVE_FIELD, JUMP, FIRST_CENTRE, READS),
    *(PARAMS, MACS, MEMORY, UNUSED_BORDER, SKIPPED, TOUCHES_PADDING),
    _UNPRODUCTIVE,
)
_NOTHING = {"0", "0 %", "no", MISSING}
"""Values of which a row is left out if neither variant has another."""

_Cell = tuple[str, int | None]
"""A quantity as text, and as a number if it is a count."""


@dataclass(frozen=True)
class Row:
    """One quantity of both variants.

    Attributes:
        layer: name of the layer; "" for a quantity of the whole network.
        quantity: title of the quantity.
        texts: its value in the first and in the second variant.
        factor: second value over first, if they are counts and differ.
    """

    layer: str
    quantity: str
    texts: tuple[str, str]
    factor: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the variants differ in the quantity."""
        return self.texts[0] != self.texts[1]


def split(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides before and after `vs`.

    Raises:
        UserError: there is not exactly one `vs`.
    """
    if overrides.count(SEPARATOR) != 1:
        raise UserError(
            f"diff takes two variants with one {SEPARATOR} between them, such as"
            f" explain.py diff conv.stride=1 {SEPARATOR} conv.stride=2"
        )
    middle = list(overrides).index(SEPARATOR)
    return list(overrides[:middle]), list(overrides[middle + 1 :])


def data_warning(
    sides: tuple[Sequence[str], Sequence[str]], variants: tuple[Variant, Variant]
) -> str | None:
    """Return a warning if only one side has overrides of `data`, and the data sets differ.

    Args:
        sides: the overrides of both variants.
        variants: both variants.
    """
    typed = [
        [override for override in side if key_of(override).partition(".")[0] == "data"]
        for side in sides
    ]
    first, second = (variant.facts for variant in variants)
    if first == second or all(typed):
        return None
    where, data = ("first", typed[0]) if typed[0] else ("second", typed[1])
    return (
        f"only the {where} has {' '.join(data)}: the two use different data ({first.name} and"
        f" {second.name}); write it on both sides of {SEPARATOR} to use the same"
    )


def rows(first: Variant, second: Variant, every: bool = True) -> list[Row]:
    """Return the rows of the network, then of each layer; a layer that one lacks is a dash.

    Args:
        first: a variant.
        second: the other one.
        every: whether long networks also have rows for each layer, and for what does not differ.
    """
    networks = _network(first), _network(second)
    found = [_row("", title, networks[0][title], networks[1][title]) for title in networks[0]]
    layers = [
        {layer.name: layer.as_record() for layer in variant.layers} for variant in (first, second)
    ]
    names = _in_order(*layers)
    is_short = every or not _is_long(first, second)
    for block in [(name,) for name in names] if is_short else blocks(names, *layers):
        of_block = [[side[name] for name in block if name in side] for side in layers]
        sides = [merged(side) if side else None for side in of_block]
        name = next(str(side["name"]) for side in sides if side)
        found += [
            row
            for column in _COLUMNS
            for row in [_row(name, column.title, *(_cell(side, column) for side in sides))]
            if is_short or row.differs
        ]
    return [row for row in found if not set(row.texts) <= _NOTHING]


def _is_long(first: Variant, second: Variant) -> bool:
    return max(len(first.layers), len(second.layers)) > LONG


def _in_order(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """Return the first network's layers, and each other one after the layer that it follows."""
    names = list(first)
    after = 0
    for name in second:
        if name not in names:
            names.insert(after, name)
        after = names.index(name) + 1
    return names


def legend(first: Variant, second: Variant, every: bool) -> str:
    """Return the meanings of the rows and marks of `table` as a sentence."""
    parts = [column.full_legend for column in _COLUMNS if column.meaning]
    if not every and _is_long(first, second):
        parts += [BLOCK_LEGEND, "what does not differ is left out: --all shows it"]
    return f"{DIFFERENT} differs, xN: the second over the first; {'; '.join(parts)}."


def table(first: Variant, second: Variant, every: bool = False) -> Table:
    """Return the rows as a table; those that differ are marked `*`, counts also with the factor."""
    drawn, before = [], ""
    for row in rows(first, second, every):
        factor = "" if row.factor is None else f" x{_factor(row.factor)}"
        mark = DIFFERENT + factor if row.differs else ""
        drawn.append((row.layer if row.layer != before else "", row.quantity, *row.texts, mark))
        before = row.layer
    return Table(("<", "<", first.label, second.label, "<"), tuple(drawn))


def _factor(value: float) -> str:
    """Return a factor in three digits, or in as many as show that it is not 1."""
    texts = (f"{value:.{digits}g}" for digits in range(3, 18))
    return next(text for text in texts if text != "1")


def sentences(first: Variant, second: Variant) -> dict[str, list[str]]:
    """Return the findings by heading: of the first only, of the second only, and of both."""
    of_first, of_second = (
        list(findings(variant.geometry).values()) if variant.geometry else []
        for variant in (first, second)
    )
    return {
        f"Only the first, {first.label}:": [text for text in of_first if text not in of_second],
        f"Only the second, {second.label}:": [text for text in of_second if text not in of_first],
        "Both:": [text for text in of_first if text in of_second],
    }


def _network(variant: Variant) -> dict[str, _Cell]:
    """Return the quantities of the whole network by title."""
    facts, geometry = variant.facts, variant.geometry
    known: dict[str, _Cell] = {
        "data": (f"{facts.name} {size(facts.input_shape)}", None),
        "network": (variant.network, None),
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
    (text, number), (other_text, other) = first, second
    factor = other / number if number and other is not None and other != number else None
    return Row(layer, quantity, (text, other_text), factor)
