"""The stack: conv blocks, global average pooling and a linear head."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from convscope.geometry import ConvSpec, GeometryError
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Graph, Node
from convscope.geometry.layers import (
    IMAGE,
    Activation,
    BatchNorm,
    Blur,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Pool,
)

POOL = ConvSpec(kernel_size=(2, 2), stride=(2, 2), padding=symmetric((0, 0)))


@dataclass(frozen=True)
class Pooling:
    """What a network's pools are.

    Attributes:
        window: kernel size, stride and padding.
        kind: `max` or `avg` of a window; `blur`, the maximum at stride 1 and a blur that has the
            stride ("MaxBlurPool" of Zhang, 2019); `none`, no pools.
    """

    window: ConvSpec = POOL
    kind: Literal["max", "avg", "blur", "none"] = "max"

    def layers(self, name: str, *, ceil_mode: bool = False) -> list[tuple[str, Layer]]:
        """Return the layers of a pool: one, none, or with `blur` two, `pool1` and `pool1.blur`."""
        if self.kind == "none":
            return []
        is_blurred = self.kind == "blur" and self.window.stride != (1, 1)
        operation: Literal["max", "avg"] = "avg" if self.kind == "avg" else "max"
        pool = Pool(self.window, ceil_mode, operation, is_dense=is_blurred)
        blur = [(f"{name}.blur", Blur(self.window.stride))] if is_blurred else []
        return [(name, pool), *blur]


MAX_POOLS = Pooling()


def stack(
    channels: Sequence[int],
    pool_after: Collection[int],
    classes: int,
    pooling: Pooling = MAX_POOLS,
) -> Graph:
    """Return a stack whose conv arguments are left to the variant.

    A block is Conv2d (no bias), BatchNorm2d, ReLU and, after the blocks listed in `pool_after`, a
    pool whose output size is rounded up.

    Args:
        channels: output channels of each block.
        pool_after: numbers of the blocks, from 1, that a max-pool follows.
        classes: outputs of the head.
        pooling: what the pools are.

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
            layers += pooling.layers(f"pool{number}", ceil_mode=True)
    layers += [("mean", GlobalPool()), ("head", Linear(classes))]
    return Graph(chain(layers), tuple(f"conv{number}" for number in range(1, len(channels) + 1)))


def chain(layers: Sequence[tuple[str, Layer]], source: str = IMAGE) -> tuple[Node, ...]:
    """Return named layers as nodes, each of which takes the output of the one before."""
    sources = [source, *(name for name, _ in layers)]
    return tuple(
        Node(name, layer, (before,)) for (name, layer), before in zip(layers, sources, strict=False)
    )
