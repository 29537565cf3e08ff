"""Two variants side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convscope.config.errors import key_of
from convscope.errors import UserError
from convscope.geometry import LayerGeometry, NetworkGeometry, conv_text, pair_token
from convscope.lesson.rules import findings
from convscope.lesson.tables import FIRST_CENTRE, MACS_MEANING, first_text, unread_text
from convscope.tables import Table
from convscope.text import memory_size, share, size
from convscope.variant import Variant

SEPARATOR = "vs"
MISSING = "–"
DIFFERENT = "*"

LEGEND = (
    f"{DIFFERENT} differs, xN: the second over the first. Receptive field and jump, from one unit"
    f" to the next, in image pixels; {FIRST_CENTRE}; {MACS_MEANING}; memory: output for one image"
    " in fp32; unused border: pixels at the end that no window covers, input + padding; skipped:"
    " input pixels between windows; touches padding: share of outputs."
)
"""What the rows and marks of `table` mean."""

_Number = int | None
_NOTHING = ("0", "0 %")
"""Where both variants have none, a row is left out."""


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
        return self.texts[0] != self.texts[1]


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides before and after `vs`.

    Raises:
        UserError: not exactly one `vs`.
    """
    if words.count(SEPARATOR) != 1:
        raise UserError(
            f"diff takes two variants with one {SEPARATOR} between them, such as"
            f" explain.py diff conv.stride=1 {SEPARATOR} conv.stride=2"
        )
    middle = list(words).index(SEPARATOR)
    return list(words[:middle]), list(words[middle + 1 :])


def differs_in_data(
    sides: tuple[Sequence[str], Sequence[str]], variants: tuple[Variant, Variant]
) -> str | None:
    """What to tell where `data` was typed on one side only, and the two now differ in it."""
    typed = [[word for word in side if key_of(word).partition(".")[0] == "data"] for side in sides]
    first, second = (variant.facts for variant in variants)
    if first == second or all(typed):
        return None
    where, words = ("first", typed[0]) if typed[0] else ("second", typed[1])
    return (
        f"only the {where} has {' '.join(words)}: the two differ in their data too"
        f" ({first.name} and {second.name}); write it on both sides of {SEPARATOR} to compare alike"
    )


def rows(first: Variant, second: Variant) -> list[Row]:
    """The network's rows, then each layer's; a layer that one side lacks reads as missing."""
    networks = first.partial_geometry, second.partial_geometry
    found = _network_rows(first, second)
    names = {
        layer.name: (int(layer.name[4:]), layer.kind)
        for network in networks
        if network is not None
        for layer in network.layers
    }
    for name in sorted(names, key=lambda name: names[name]):
        layers = _layer(networks[0], name), _layer(networks[1], name)
        found += [_row(name, quantity, layers) for quantity in _QUANTITIES]
    return [row for row in found if not set(row.texts) <= {*_NOTHING, MISSING}]


def table(first: Variant, second: Variant) -> Table:
    """Rows that differ are marked `*`, counts with their factor."""
    drawn, before = [], ""
    for row in rows(first, second):
        factor = "" if row.factor is None else f" x{row.factor:.3g}"
        mark = DIFFERENT + factor if row.differs else ""
        layer = row.layer if row.layer != before else ""
        before = row.layer
        drawn.append((layer, row.quantity, *row.texts, mark))
    return Table(("<", "<", first.label, second.label, "<"), tuple(drawn))


def sentences(first: Variant, second: Variant) -> dict[str, list[str]]:
    """What stands out in the first alone, in the second alone, and in both."""
    mine, theirs = (
        list(findings(variant.geometry).values()) if variant.geometry else []
        for variant in (first, second)
    )
    return {
        f"Only the first, {first.label}:": [one for one in mine if one not in theirs],
        f"Only the second, {second.label}:": [one for one in theirs if one not in mine],
        "Both:": [one for one in mine if one in theirs],
    }


def _network_rows(first: Variant, second: Variant) -> list[Row]:
    def row(quantity: str, text: Callable[[Variant], str]) -> Row:
        return Row("", quantity, (text(first), text(second)))

    found = [
        row("data", lambda variant: f"{variant.facts.name} {size(variant.facts.input_shape)}"),
        row("channels", lambda variant: "-".join(map(str, variant.config.model.channels))),
    ]
    geometries = first.geometry, second.geometry
    final = [MISSING if one is None else size(one.final_map) for one in geometries]
    params = [None if one is None else one.params for one in geometries]
    macs = [None if one is None else one.macs for one in geometries]
    memory = [
        None if one is None else sum(layer.activation_bytes for layer in one.layers)
        for one in geometries
    ]
    return [
        *found,
        Row("", "final map", (final[0], final[1])),
        _counted("", "params", (params[0], params[1]), "{:,}".format),
        _counted("", "MACs", (macs[0], macs[1]), "{:,}".format),
        _counted("", "memory", (memory[0], memory[1]), memory_size),
    ]


@dataclass(frozen=True)
class _Quantity:
    name: str
    text: Callable[[LayerGeometry], str]
    count: Callable[[LayerGeometry], int] | None = None


_QUANTITIES = (
    _Quantity(
        "kernel-stride-padding",
        lambda layer: conv_text(layer.conv),
    ),
    _Quantity("out", lambda layer: size(layer.out_shape)),
    _Quantity("receptive field", lambda layer: pair_token(layer.receptive_field)),
    _Quantity("jump", lambda layer: pair_token(layer.jump)),
    _Quantity("first centre", first_text),
    _Quantity("params", lambda layer: f"{layer.params:,}", lambda layer: layer.params),
    _Quantity("MACs", lambda layer: f"{layer.macs:,}", lambda layer: layer.macs),
    _Quantity(
        "memory",
        lambda layer: memory_size(layer.activation_bytes),
        lambda layer: layer.activation_bytes,
    ),
    _Quantity("unused border", unread_text),
    _Quantity("skipped", lambda layer: pair_token(layer.skipped)),
    _Quantity("touches padding", lambda layer: share(layer.padding_share)),
)


def _row(
    name: str, quantity: _Quantity, layers: tuple[LayerGeometry | None, LayerGeometry | None]
) -> Row:
    first, second = (MISSING if layer is None else quantity.text(layer) for layer in layers)
    counts = [
        None if layer is None or quantity.count is None else quantity.count(layer)
        for layer in layers
    ]
    return Row(name, quantity.name, (first, second), _factor(counts[0], counts[1]))


def _counted(
    name: str, quantity: str, counts: tuple[_Number, _Number], text: Callable[[int], str]
) -> Row:
    first, second = (MISSING if count is None else text(count) for count in counts)
    return Row(name, quantity, (first, second), _factor(*counts))


def _factor(first: _Number, second: _Number) -> float | None:
    return second / first if first and second is not None and first != second else None


def _layer(network: NetworkGeometry | None, name: str) -> LayerGeometry | None:
    layers = network.layers if network is not None else ()
    return next((layer for layer in layers if layer.name == name), None)
