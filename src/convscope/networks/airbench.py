"""A small, fast network for 32x32 images in colour, after Jordan's airbench94."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.geometry import ConvSpec
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Graph
from convscope.geometry.layers import Activation, BatchNorm, Conv, GlobalPool, Layer, Linear
from convscope.networks.stack import MAX_POOLS, Pooling, chain

_STEM_CHANNELS = 24


def airbench(channels: Sequence[int], classes: int, pooling: Pooling = MAX_POOLS) -> Graph:
    """Return the network of Jordan, "94% on CIFAR-10 in 3.29 Seconds" (2024), arXiv:2404.00498.

    A 2x2 stem without padding, then blocks of two 3x3 convolutions with a max-pool between the
    first and its batch norm, global max-pooling and a linear head. All is initialised and trained
    as PyTorch does by default: the paper's stem is fixed to whiten the images, its convolutions
    begin as the identity, and its batch norm has no weights.

    Args:
        channels: output channels of each block; 64, 256, 256 in the paper.
        classes: outputs of the head.
        pooling: what the pools are.
    """
    layers: list[tuple[str, Layer]] = [
        ("stem.conv", _conv(_STEM_CHANNELS, kernel_size=2, padding=0)),
        ("stem.norm", BatchNorm()),
        ("stem.gelu", Activation("GELU")),
    ]
    for number, width in enumerate(channels, start=1):
        block = f"block{number}"
        layers += [
            (f"{block}.conv1", _conv(width)),
            *pooling.layers(f"{block}.pool"),
            (f"{block}.norm1", BatchNorm()),
            (f"{block}.gelu1", Activation("GELU")),
            (f"{block}.conv2", _conv(width)),
            (f"{block}.norm2", BatchNorm()),
            (f"{block}.gelu2", Activation("GELU")),
        ]
    layers += [("maxpool", GlobalPool("max")), ("head", Linear(classes))]
    return Graph(chain(layers), varied=())


def _conv(channels: int, kernel_size: int = 3, padding: int = 1) -> Conv:
    return Conv(
        channels, ConvSpec((kernel_size, kernel_size), (1, 1), symmetric((padding, padding)))
    )
