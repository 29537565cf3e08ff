"""Networks as PyTorch modules: made from a graph, or foreign ones that are traced and varied."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from convscope.geometry import NetworkGeometry
from convscope.modules.graph_net import GraphNet


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


def layer_outputs(network: nn.Module, layers: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """Return the outputs of named layers, in evaluation mode.

    Args:
        network: on any device.
        layers: names of the layers.
        images: (batch, channels, height, width).
    """
    if not isinstance(network, GraphNet):
        # Here: only these networks are traced.
        from convscope.modules.trace import node_outputs

        with torch.no_grad():
            return node_outputs(network, layers, images.to(next(network.parameters()).device))
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        # A ReLU that comes next may work in place.
        return lambda module, inputs, output: outputs.update({name: output.clone()})

    training = network.training
    hooks = [layer_module(network, name).register_forward_hook(keep(name)) for name in layers]
    network.eval()
    try:
        with torch.no_grad():
            # Not by a call: a compiled network would be compiled again, for this one pass.
            network.forward(images.to(next(network.parameters()).device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return outputs
