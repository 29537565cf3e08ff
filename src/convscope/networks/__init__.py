"""Networks by name as graphs, without torch: the stack of conv blocks and published networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convscope.geometry import ConvSpec, Graph
from convscope.geometry.factors import symmetric
from convscope.networks.resnet import resnet20
from convscope.networks.stack import stack

FOREIGN = ("torchvision", "custom")
"""Values of `model.network` whose graph is traced from PyTorch modules."""


def own_graph(model: Mapping[str, Any], classes: int) -> Graph:
    """Return the graph of a network that needs no tracing, before a variant sets its convolutions.

    Args:
        model: values of the `model` config; keys that older runs lack may be missing.
        classes: outputs of the head.

    Raises:
        GeometryError: a layer that `vary`, `drop` or `pool_after` names does not exist.
    """
    if model.get("network", "stack") == "resnet20":
        graph = resnet20(model["channels"], classes).without(model.get("drop", []))
        return graph.varying(model["vary"])
    kernel, stride, padding = (
        model.get(f"pool_{key}", default)
        for key, default in (("kernel", 2), ("stride", 2), ("padding", 0))
    )
    pool = ConvSpec((kernel, kernel), (stride, stride), symmetric((padding, padding)))
    graph = stack(model["channels"], model["pool_after"], classes, pool)
    return graph.without(model.get("drop", []))
