"""The residual networks of He et al. (2016) for small images."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.geometry import ConvSpec, GeometryError
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Graph, Node
from convscope.geometry.layers import (
    Activation,
    BatchNorm,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Merge,
    Shortcut,
)
from convscope.networks.stack import Pooling, chain

_BLOCKS = 3
"""Residual blocks per stage."""


def resnet20(
    channels: Sequence[int], classes: int, pool_after: Sequence[int], pooling: Pooling
) -> Graph:
    """Return the ResNet-20 of He et al., "Deep Residual Learning" (2016), section 4.2.

    A 3x3 stem, then stages of three residual blocks with two 3x3 convolutions each. From the second
    stage on the first block of a stage has stride 2. Shortcuts have no weights (option A).

    Args:
        channels: output channels of each stage; 16, 32, 64 in the paper.
        classes: outputs of the head.
        pool_after: [1] for a pool after the stem, as ResNets for large images have; else [].
        pooling: what that pool is.

    Raises:
        GeometryError: `pool_after` has another value.
    """
    if list(pool_after) not in ([], [1]):
        raise GeometryError(f"model.pool_after must be [] or [1] in resnet20, got {pool_after}")
    stem: list[tuple[str, Layer]] = [
        ("conv1", _conv(channels[0])),
        ("bn1", BatchNorm()),
        ("relu", Activation()),
        *(pooling.layers("maxpool") if pool_after else []),
    ]
    nodes = [*chain(stem)]
    for stage, width in enumerate(channels, start=1):
        for block in range(_BLOCKS):
            stride = 2 if stage > 1 and block == 0 else 1
            nodes += _block(f"layer{stage}.{block}", width, stride, nodes[-1].name)
    nodes += chain([("avgpool", GlobalPool()), ("fc", Linear(classes))], nodes[-1].name)
    return Graph(tuple(nodes), varied=())


def _block(path: str, channels: int, stride: int, source: str) -> list[Node]:
    branch = chain(
        [
            (f"{path}.conv1", _conv(channels, stride)),
            (f"{path}.bn1", BatchNorm()),
            (f"{path}.relu1", Activation()),
            (f"{path}.conv2", _conv(channels)),
            (f"{path}.bn2", BatchNorm()),
        ],
        source,
    )
    return [
        *branch,
        Node(f"{path}.shortcut", Shortcut(channels, (stride, stride)), (source,)),
        Node(f"{path}.add", Merge(), (f"{path}.bn2", f"{path}.shortcut")),
        Node(f"{path}.relu2", Activation(), (f"{path}.add",)),
    ]


def _conv(channels: int, stride: int = 1) -> Conv:
    return Conv(channels, ConvSpec((3, 3), (stride, stride), symmetric((1, 1))))
