"""A network's geometry layer by layer, in two tables that fit 80 columns, and as Markdown."""

from __future__ import annotations

from convscope.geometry import LayerGeometry, NetworkGeometry, conv_text, pair_token
from convscope.lesson.rules import findings
from convscope.tables import Table, markdown
from convscope.text import memory_size, share, size

FIRST_CENTRE = "first centre: of the first unit's receptive field, 0 being the image's first pixel"
SIZES_LEGEND = (
    "k s p: kernel size, stride and padding; RF: receptive field, in image pixels; jump: image"
    f" pixels from one unit to the next; {FIRST_CENTRE}."
)
MACS_MEANING = (
    "MACs: multiply-accumulates per image in the conv and linear layers; biases, batch norm, ReLU"
    " and pooling, which some other tools add, are not counted"
)
COSTS_LEGEND = (
    f"{MACS_MEANING}; memory: a layer's output for one image in fp32; unused: the unused border,"
    " pixels at the end that no window covers, input + padding; skipped: input pixels between"
    " windows; padding: share of outputs that touch padding."
)


def sizes_table(geometry: NetworkGeometry) -> Table:
    """Sizes in pixels, height x width; one number where both are equal."""
    columns = ("<layer", "<k s p", "in", "out", "RF", "jump", "first centre")
    return Table(columns, tuple(_sizes_row(layer) for layer in geometry.layers))


def costs_table(geometry: NetworkGeometry) -> Table:
    """What each layer costs, and what its windows leave out."""
    columns = ("<layer", "params", "MACs", "memory", "unused", "skipped", "padding")
    return Table(columns, tuple(_costs_row(layer) for layer in geometry.layers))


def summary(geometry: NetworkGeometry) -> str:
    """The network in one line."""
    memory = sum(layer.activation_bytes for layer in geometry.layers)
    return (
        f"{geometry.params:,} parameters, {geometry.macs:,} MACs and {memory_size(memory)} of"
        f" activations per image, final map {size(geometry.final_map)}"
    )


def geometry_text(geometry: NetworkGeometry) -> str:
    """The lesson as Markdown: both tables with their legends, the summary, and what stands out."""
    parts = [
        markdown(sizes_table(geometry)),
        SIZES_LEGEND,
        markdown(costs_table(geometry)),
        COSTS_LEGEND,
        f"{summary(geometry)}.",
        "\n".join(f"- {sentence}" for sentence in findings(geometry).values()),
    ]
    return "\n\n".join(part for part in parts if part)


def first_text(layer: LayerGeometry) -> str:
    """Centre of the first unit: `0`, `-0.5`, `0x1.5`."""
    height, width = (f"{centre:g}" for centre in layer.start)
    return height if height == width else f"{height}x{width}"


def unread_text(layer: LayerGeometry) -> str:
    """The unused border, input + padding: `0+1`; per axis where they differ: `0+1x0`."""
    axes = [
        "0" if border.image == border.padding == 0 else f"{border.image}+{border.padding}"
        for border in layer.unused_border
    ]
    return axes[0] if axes[0] == axes[1] else "x".join(axes)


def _sizes_row(layer: LayerGeometry) -> tuple[str, ...]:
    return (
        layer.name,
        conv_text(layer.conv),
        size(layer.in_shape),
        size(layer.out_shape),
        pair_token(layer.receptive_field),
        pair_token(layer.jump),
        first_text(layer),
    )


def _costs_row(layer: LayerGeometry) -> tuple[str, ...]:
    return (
        layer.name,
        f"{layer.params:,}",
        f"{layer.macs:,}",
        memory_size(layer.activation_bytes),
        unread_text(layer),
        pair_token(layer.skipped),
        share(layer.padding_share),
    )
