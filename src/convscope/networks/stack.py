"""The stack: conv blocks, global average pooling and a linear head."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from convscope.geometry import ConvSpec, GeometryError
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Graph, Node
from convscope.geometry.layers import (
    IMAGE,
    Activation,
    BatchNorm,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Pool,
)

POOL = ConvSpec(kernel_size=(2, 2), stride=(2, 2), padding=symmetric((0, 0)))


def stack(
    channels: Sequence[int],
    pool_after: Collection[int],
    classes: int,
    pool: ConvSpec = POOL,
) -> Graph:
    """Return a stack whose conv arguments are left to the variant.

    A block is Conv2d (no bias), BatchNorm2d, ReLU and, after the blocks listed in `pool_after`, a
    max-pool whose output size is rounded up.

    Args:
        channels: output channels of each block.
        pool_after: numbers of the blocks, from 1, that a max-pool follows.
        classes: outputs of the head.
        pool: the max-pool's kernel size, stride and padding.

    Raises:
        GeometryError: `pool_after` names a block that does not exist.
    """
    for block in pool_after:
        if not 1 <= block <= len(channels):
            raise GeometryError(
                f"model.pool_after must name blocks 1 to {len(channels)}, got {block}"
            )
    layers: list[tuple[str, Layer]] = []
    for number, width in enumerate(channels, start=1):
        layers += [
            (f"conv{number}", Conv(width)),
            (f"norm{number}", BatchNorm()),
            (f"relu{number}", Activation("ReLU")),
        ]
        if number in pool_after:
            layers.append((f"pool{number}", Pool(pool, ceil_mode=True)))
    layers += [("mean", GlobalPool()), ("head", Linear(classes))]
    return Graph(chain(layers), tuple(f"conv{number}" for number in range(1, len(channels) + 1)))


def chain(layers: Sequence[tuple[str, Layer]], source: str = IMAGE) -> tuple[Node, ...]:
    """Return named layers as nodes, each of which takes the output of the one before."""
    sources = [source, *(name for name, _ in layers)]
    return tuple(
        Node(name, layer, (before,)) for (name, layer), before in zip(layers, sources, strict=False)
    )
