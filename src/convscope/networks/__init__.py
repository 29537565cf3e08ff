"""Networks by name as graphs, without torch: the stack of conv blocks and published networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from convscope.geometry import ConvSpec, Graph
from convscope.geometry.factors import symmetric
from convscope.networks.airbench import airbench
from convscope.networks.resnet import resnet20
from convscope.networks.stack import Pooling, stack


def own_graph(model: Mapping[str, Any], classes: int) -> Graph:
    """Return the graph of a network that needs no tracing, before a variant sets its convolutions.

    Args:
        model: values of the `model` config; keys that older runs lack may be missing.
        classes: outputs of the head.

    Raises:
        GeometryError: a layer that `vary`, `drop` or `pool_after` names does not exist.
    """
    channels, drop = model["channels"], model.get("drop", [])
    match model.get("network", "stack"):
        case "resnet20":
            graph = resnet20(channels, classes, model["pool_after"], _pooling(model))
        case "airbench":
            graph = airbench(channels, classes, _pooling(model))
        case _:
            graph = stack(channels, model["pool_after"], classes, _pooling(model))
    graph = replace(graph.without(drop), downsample=model.get("downsample", "conv"))
    return graph if model.get("network", "stack") == "stack" else graph.varying(model["vary"])


def _pooling(model: Mapping[str, Any]) -> Pooling:
    """Return what the pools are; of 2x2 pixels with stride 2 where these are null."""
    kernel, stride, padding = (
        default if model.get(f"pool_{key}") is None else model[f"pool_{key}"]
        for key, default in (("kernel", 2), ("stride", 2), ("padding", 0))
    )
    window = ConvSpec((kernel, kernel), (stride, stride), symmetric((padding, padding)))
    return Pooling(window, model.get("pool", "max"))
