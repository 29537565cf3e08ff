"""Networks as PyTorch modules: made from a graph, or foreign ones that are traced and varied."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convscope.geometry import NetworkGeometry
from convscope.modules.graph_net import GraphNet, evaluating


def build_network(geometry: NetworkGeometry) -> nn.Module:
    """Return a variant's network with random weights: images to class scores (batch, classes)."""
    if geometry.graph.factory is None:
        return GraphNet(geometry)
    # Here: only these networks need torchvision.
    from convscope.modules.foreign import foreign_network

    return foreign_network(geometry)


def layer_module(network: nn.Module, name: str) -> nn.Module:
    """Return the module of a layer, by the layer's name in the geometry.

    Raises:
        AttributeError: the network has no such module, as for a pool that is a function.
    """
    root = network.features if isinstance(network, GraphNet) else network
    return root.get_submodule(name)


def layer_outputs(
    network: nn.Module, layers: Sequence[str], images: Tensor, *, gradients: bool = False
) -> dict[str, Tensor]:
    """Return the outputs of named layers, in evaluation mode.

    Args:
        network: on any device.
        layers: names of the layers.
        images: (batch, channels, height, width).
        gradients: whether the outputs can be differentiated.
    """
    images = images.to(next(network.parameters()).device)
    with evaluating(network), torch.set_grad_enabled(gradients):
        if isinstance(network, GraphNet):
            return network.node_outputs(layers, images)
        # Here: only these networks are traced.
        from convscope.modules.trace import node_outputs

        return node_outputs(network, layers, images)
