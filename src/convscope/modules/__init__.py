"""Networks as PyTorch modules: made from a graph, or foreign ones that are traced and varied."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from convscope.geometry import NetworkGeometry
from convscope.geometry.conv import ConvAxis
from convscope.modules.graph_net import GraphNet, evaluating


def build_network(geometry: NetworkGeometry) -> nn.Module:
    """Return a variant's network with random weights: images to class scores (batch, classes)."""
    if geometry.graph.factory is None:
        network: nn.Module = GraphNet(geometry)
    else:
        # Here: only these networks need torchvision.
        from convscope.modules.foreign import foreign_network

        network = foreign_network(geometry)
    _zero_gradients_of_padding(network, geometry)
    return network


def _zero_gradients_of_padding(network: nn.Module, geometry: NetworkGeometry) -> None:
    """Give gradient 0 to weights that meet nothing but zeros of padding.

    Such is the first column of a 3x3 kernel with padding 1 and stride 3 on a map of 2 pixels.
    oneDNN 3.12 does not write its gradient in bfloat16, on processors with AVX512-BF16: whatever
    the memory had, NaN too, would train these weights.
    """
    graph, shapes = geometry.graph, geometry.shapes
    for name, conv in graph.convs.items():
        pixels, outputs = shapes[graph.by_name[name].inputs[0]][1:], shapes[name][1:]
        rows, columns = (
            torch.tensor(_meets_input(*sizes), device="cpu")
            for sizes in zip(conv.conv.axes, pixels, outputs, strict=True)
        )
        meets_input = torch.outer(rows, columns)
        if not meets_input.all():
            weight = layer_module(network, name).get_parameter("weight")
            weight.register_hook(partial(_zeroed, meets_input))  # type: ignore[no-untyped-call]


def _meets_input(axis: ConvAxis, pixels: int, outputs: int) -> list[bool]:
    """Return for each row, or column, of a kernel whether it meets a pixel in any window."""
    windows = [axis.window(output) for output in range(outputs)]
    return [
        any(axis.pixel_at(window[index], pixels) is not None for window in windows)
        for index in range(axis.kernel)
    ]


def _zeroed(is_kept: Tensor, gradient: Tensor) -> Tensor:
    # On other devices the gradient is 0 already.
    return torch.where(is_kept, gradient, 0) if gradient.device.type == "cpu" else gradient


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
