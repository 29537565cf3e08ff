"""Tables of a network's layers: their columns, legends and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from convscope.geometry import (
    NetworkGeometry,
    conv_from_layer,
    conv_text,
    pair_token,
    read_counts,
)
from convscope.geometry.layers import Blur, Conv
from convscope.geometry.network import LONG
from convscope.geometry.rules import findings
from convscope.tables import Table, markdown
from convscope.text import memory_size, share, size

VARIED, UNPRODUCTIVE = "*", "°"
"""Marks behind a layer's name."""
_MOST_VARIED = 8
"""Varied layers of a long network that have a row each."""
_MOST_KINDS = 3
"""Kinds of layers whose arguments the row of several layers shows."""

Layer = Mapping[str, Any]
"""A row of `RunRecord.geometry`, as `NetworkGeometry.as_records` returns them."""


@dataclass(frozen=True)
class Column:
    """One quantity of a layer.

    Attributes:
        title: full name.
        text: returns a layer's value as text; height x width, or one number where they are equal.
        head: short column head; the title if empty.
        meaning: explanation for a legend.
        number: the layer's key, if the quantity is a count that two variants have a ratio of.
    """

    title: str
    text: Callable[[Layer], str]
    head: str = ""
    meaning: str = ""
    number: str | None = None

    @property
    def legend(self) -> str:
        """Head, title and meaning: `RF: receptive field, in image pixels`."""
        return f"{self.head}: {self.title}, {self.meaning}" if self.head else self.full_legend

    @property
    def full_legend(self) -> str:
        """Title and meaning: `receptive field: in image pixels`."""
        return f"{self.title}: {self.meaning}"


def _first_centre(layer: Layer) -> str:
    height, width = (f"{centre:g}" for centre in layer["start"])
    return height if height == width else f"{height}x{width}"


def _unused_border(layer: Layer) -> str:
    """Return input + padding pixels, `0+1`, or `0`; for both axes where they differ, `0+1x0`."""
    axes = [
        f"{border['image']}+{border['padding']}" if any(border.values()) else "0"
        for border in layer["unread_border"]
    ]
    return axes[0] if axes[0] == axes[1] else "x".join(axes)


def _arguments(row: Layer) -> str:
    """Return a layer's arguments, `k3 s1 p1 g64`; of several layers each kind once."""
    groups: dict[str, list[int]] = {}
    for layer in row.get("layers", [row]):
        groups.setdefault(conv_text(conv_from_layer(layer)), []).append(layer.get("groups", 1))
    texts = [
        f"{text} g{min(numbers)}{f' to {max(numbers)}' if len(set(numbers)) > 1 else ''}"
        if max(numbers) > 1
        else text
        for text, numbers in groups.items()
    ]
    return ", ".join([*texts[:_MOST_KINDS], *(["…"] if len(texts) > _MOST_KINDS else [])])


def _reads(row: Layer) -> str:
    """Return the fewest and the most reads of a pixel, `1–4`; one number where they agree."""
    fewest, most = zip(*map(reads_of, row.get("layers", [row])), strict=True)
    return f"{min(fewest):,}" if min(fewest) == max(most) else f"{min(fewest):,}–{max(most):,}"


def reads_of(layer: Layer) -> tuple[int, int]:
    """Return how often a layer's windows read the least and the most read pixel of its input."""
    conv = conv_from_layer(layer)
    window = Blur(conv.stride) if layer.get("kind") == "blur" else Conv(1, conv)
    rows, columns = read_counts(window, layer["in_shape"][1:], layer["out_shape"][1:])
    return min(rows) * min(columns), max(rows) * max(columns)


NAME = Column("layer", lambda layer: str(layer["name"]))
CONV = Column("kernel-stride-padding", _arguments)
IN = Column("in", lambda layer: size(layer["in_shape"]))
OUT = Column("out", lambda layer: size(layer["out_shape"]))
RECEPTIVE_FIELD = Column(
    "receptive field",
    lambda layer: pair_token(layer["receptive_field"]),
    head="RF",
    meaning="in image pixels",
)
JUMP = Column(
    "jump",
    lambda layer: pair_token(layer["jump"]),
    meaning="image pixels from one unit to the next",
)
FIRST_CENTRE = Column(
    "first centre",
    _first_centre,
    meaning="of the first unit's receptive field, 0 being the image's first pixel",
)
PARAMS = Column("params", lambda layer: f"{layer['params']:,}", number="params")
MACS = Column(
    "MACs",
    lambda layer: f"{layer['macs']:,}",
    meaning="multiply-accumulates per image in the conv, blur and linear layers; biases, batch"
    " norm, ReLU and pooling, which some other tools add, are not counted",
    number="macs",
)
MEMORY = Column(
    "memory",
    lambda layer: memory_size(layer["activation_bytes"]),
    meaning="a layer's output for one image in fp32",
    number="activation_bytes",
)
UNUSED_PIXELS = Column(
    "unused border",
    lambda layer: pair_token([sum(border.values()) for border in layer["unread_border"]]),
    head="unused",
    meaning="pixels at the end that no window covers",
)
UNUSED_BORDER = Column(
    "unused border",
    _unused_border,
    head="unused",
    meaning=f"{UNUSED_PIXELS.meaning}, input + padding",
)
SKIPPED = Column(
    "skipped", lambda layer: pair_token(layer["skipped"]), meaning="input pixels between windows"
)
READS = Column(
    "reads", _reads, meaning="how often windows read an input pixel, the least and the most read"
)
TOUCHES_PADDING = Column(
    "touches padding",
    lambda layer: share(layer["padding_share"]),
    head="padding",
    meaning="share of outputs whose window reaches into padding",
)

RUN_COLUMNS = (NAME, CONV, OUT, RECEPTIVE_FIELD, MACS, PARAMS, UNUSED_PIXELS, TOUCHES_PADDING)
RUN_EXPLAINED = (CONV, RECEPTIVE_FIELD, UNUSED_PIXELS, TOUCHES_PADDING)
"""Columns that the legend of a run's table explains."""

SIZES = (NAME, CONV, IN, OUT, RECEPTIVE_FIELD, JUMP, FIRST_CENTRE, READS)
COSTS = (NAME, PARAMS, MACS, MEMORY, UNUSED_BORDER, SKIPPED, TOUCHES_PADDING)
"""Columns of the lesson's two tables."""
BLOCK_LEGEND = (
    "several layers in a row: in of the first, out of the last, sums, the largest receptive field"
    " and padding"
)


def layer_table(
    layers: Sequence[Layer], columns: Sequence[Column] = RUN_COLUMNS, every: bool = False
) -> Table:
    """Return a table with a row per layer, or per `blocks` of a long network.

    Args:
        layers: all layers, or the first ones.
        columns: the columns.
        every: whether a long network's table has a row per layer, too.
    """
    heads = tuple("<" * (column in (NAME, CONV)) + _head(column, layers) for column in columns)
    marks = _marks(layers)
    return Table(
        heads,
        tuple(
            tuple(
                " ".join([column.text(row), *(marks(row) if column is NAME else "")])
                for column in columns
            )
            for row in _rows(layers, every)
        ),
    )


def _rows(layers: Sequence[Layer], every: bool) -> Sequence[Layer]:
    """Return a row per layer, or per block of layers."""
    if every:
        return layers
    by_name = {str(layer["name"]): layer for layer in layers}
    return [merged([by_name[name] for name in block]) for block in blocks(list(by_name), by_name)]


def _head(column: Column, layers: Sequence[Layer]) -> str:
    # The names of a long network's layers are long too.
    if column is CONV and len(layers) > LONG:
        return "k-s-p"
    return column.head or column.title


def _marks(layers: Sequence[Layer]) -> Callable[[Layer], str]:
    """Return a function of a row that gives its marks; what all conv layers are is not marked."""
    are_varied = {bool(layer.get("is_varied")) for layer in layers if layer.get("kind") == "conv"}

    def marks(row: Layer) -> str:
        convs = [layer for layer in row.get("layers", [row]) if layer.get("kind") == "conv"]
        return VARIED * (
            len(are_varied) > 1 and any(layer.get("is_varied") for layer in convs)
        ) + UNPRODUCTIVE * any(layer.get("is_unproductive") for layer in convs)

    return marks


def blocks(names: Sequence[str], *networks: Mapping[str, Layer]) -> list[tuple[str, ...]]:
    """Return the names of layers such that a row of a table can stand for each block of them.

    In a long network, the layers of a stage (the first part of their names) form a block: those
    with stride 1 that follow each other, unproductive ones apart from others. A varied layer is
    its own block; of many varied layers, those that have the same arguments share one.

    Args:
        names: of the layers, in order.
        networks: the layers by name of one network, or of several to be compared; a layer may be
            missing.
    """
    if len(names) <= LONG:
        return [(name,) for name in names]
    varied = {
        name
        for name in names
        if any(network.get(name, {}).get("is_varied") for network in networks)
    }

    def key(name: str) -> object:
        layers = [network.get(name) for network in networks]
        is_varied = name in varied
        if (is_varied and len(varied) <= _MOST_VARIED) or any(
            max(layer["stride"]) > 1 for layer in layers if layer
        ):
            return name
        return (
            name.partition(".")[0],
            is_varied,
            *(
                layer and (bool(layer.get("is_unproductive")), is_varied and _arguments(layer))
                for layer in layers
            ),
        )

    return [tuple(block) for _, block in groupby(names, key)]


def merged(layers: Sequence[Layer]) -> Layer:
    """Return one row for the layers of a block: input of the first, output of the last, and sums.

    Receptive field, skipped pixels and the share that touches padding are the largest.
    """
    first, last = layers[0], layers[-1]
    if len(layers) == 1:
        return first
    stage = first["name"].partition(".")[0]
    return {
        **last,
        "name": f"{stage} ({len(layers)} layers)",
        "layers": layers,
        "in_shape": first["in_shape"],
        **{
            key: sum(layer[key] for layer in layers)
            for key in ("params", "macs", "activation_bytes")
        },
        **{
            key: [max(layer[key][axis] for layer in layers) for axis in (0, 1)]
            for key in ("receptive_field", "skipped")
        },
        "padding_share": max(layer["padding_share"] for layer in layers),
    }


def legend(columns: Sequence[Column], layers: Sequence[Layer] = (), every: bool = False) -> str:
    """Return the meanings of the column heads, and of the marks that the table has, as a sentence.

    Args:
        columns: columns of the table.
        layers: as for `layer_table`.
        every: as for `layer_table`.
    """
    rows = _rows(layers, every)
    marks = "".join(map(_marks(layers), rows))
    parts = [
        "k-s-p: kernel size, stride, padding" if len(layers) > LONG and CONV in columns else "",
        *(column.legend for column in columns if column.meaning),
        BLOCK_LEGEND if any("layers" in row for row in rows) else "",
        f"{VARIED}: varied, conv.* applies to it" if VARIED in marks else "",
        f"{UNPRODUCTIVE}: unproductive, the receptive field of its input spans the image"
        if UNPRODUCTIVE in marks
        else "",
    ]
    return f"{'; '.join(filter(None, parts))}."


def summary(geometry: NetworkGeometry) -> str:
    """Return the network's totals in one line."""
    memory = sum(layer.activation_bytes for layer in geometry.layers)
    return (
        f"{geometry.params:,} parameters, {geometry.macs:,} MACs and {memory_size(memory)} of"
        f" activations per image, final map {size(geometry.final_map)}"
    )


def geometry_text(geometry: NetworkGeometry) -> str:
    """Return the geometry as Markdown: tables with legends, the summary and the findings.

    The tables of a long network are grouped; tables of all its layers follow at the end.
    """
    layers = geometry.as_records()

    def tables(every: bool) -> list[str]:
        return [
            text.replace(VARIED, f"\\{VARIED}")
            for columns in (SIZES, COSTS)
            for text in (
                markdown(layer_table(layers, columns, every)),
                legend(columns, layers, every),
            )
        ]

    parts = [
        *tables(every=False),
        f"{summary(geometry)}.",
        "\n".join(f"- {sentence}" for sentence in findings(geometry).values()),
        *([f"All {len(layers)} layers:", *tables(every=True)] if geometry.is_long else []),
    ]
    return "\n\n".join(part for part in parts if part)
