"""Tables of a network's layers: their columns, legends and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convscope.geometry import NetworkGeometry, conv_from_layer, conv_text, pair_token
from convscope.geometry.rules import findings
from convscope.tables import Table, markdown
from convscope.text import memory_size, share, size

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


NAME = Column("layer", lambda layer: str(layer["name"]))
CONV = Column("kernel-stride-padding", lambda layer: conv_text(conv_from_layer(layer)))
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
    meaning="multiply-accumulates per image in the conv and linear layers; biases, batch norm, ReLU"
    " and pooling, which some other tools add, are not counted",
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
TOUCHES_PADDING = Column(
    "touches padding",
    lambda layer: share(layer["padding_share"]),
    head="padding",
    meaning="share of outputs whose window reaches into padding",
)

RUN_COLUMNS = (NAME, CONV, OUT, RECEPTIVE_FIELD, MACS, PARAMS, UNUSED_PIXELS, TOUCHES_PADDING)
RUN_LEGEND = f"{'; '.join(c.legend for c in (RECEPTIVE_FIELD, *RUN_COLUMNS[-2:]))}."
"""Legend of a run's table, which fits in 80 characters for the presets in `configs/model`."""

SIZES = (NAME, CONV, IN, OUT, RECEPTIVE_FIELD, JUMP, FIRST_CENTRE)
COSTS = (NAME, PARAMS, MACS, MEMORY, UNUSED_BORDER, SKIPPED, TOUCHES_PADDING)
"""Columns of the lesson's two tables."""


def layer_table(layers: Sequence[Layer], columns: Sequence[Column] = RUN_COLUMNS) -> Table:
    """Return a table with a row per layer."""
    heads = tuple(
        "<" * (column in (NAME, CONV)) + (column.head or column.title) for column in columns
    )
    return Table(heads, tuple(tuple(column.text(layer) for column in columns) for layer in layers))


def legend(columns: Sequence[Column]) -> str:
    """Return the meanings of the column heads as one sentence."""
    return f"{'; '.join(column.legend for column in columns if column.meaning)}."


def summary(geometry: NetworkGeometry) -> str:
    """Return the network's totals in one line."""
    memory = sum(layer.activation_bytes for layer in geometry.layers)
    return (
        f"{geometry.params:,} parameters, {geometry.macs:,} MACs and {memory_size(memory)} of"
        f" activations per image, final map {size(geometry.final_map)}"
    )


def geometry_text(geometry: NetworkGeometry) -> str:
    """Return the geometry as Markdown: tables with legends, the summary and the findings."""
    layers = geometry.as_records()
    parts = [
        markdown(layer_table(layers, SIZES)),
        legend(SIZES),
        markdown(layer_table(layers, COSTS)),
        legend(COSTS),
        f"{summary(geometry)}.",
        "\n".join(f"- {sentence}" for sentence in findings(geometry).values()),
    ]
    return "\n\n".join(part for part in parts if part)
