"""A network of PyTorch modules made from a graph of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from convscope.geometry import ConvSpec, NetworkGeometry, Pair
from convscope.geometry.graph import layer_shapes
from convscope.geometry.layers import (
    IMAGE,
    Activation,
    BatchNorm,
    Blur,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Merge,
    Pool,
    Shape,
    Shortcut,
)


class GraphNet(nn.Module):
    """The layers of a graph; nothing but the varied convolutions depends on the variant.

    Modules bear the names of the graph's nodes, `features.layer1.0.conv1`, and the last one is
    `head`.
    """

    def __init__(self, geometry: NetworkGeometry) -> None:
        super().__init__()
        graph = geometry.graph
        shapes, _ = layer_shapes(graph, geometry.input_shape)
        *nodes, last = graph.nodes
        self.features = nn.Module()
        self._steps: list[_Step] = []
        last_use = {name: node.name for node in graph.nodes for name in node.inputs}
        for node in nodes:
            module = _module(node.layer, [shapes[name] for name in node.inputs])
            _set_submodule(self.features, node.name, module)
            unused = [name for name, user in last_use.items() if user == node.name]
            self._steps.append(_Step(node.name, module, node.inputs, unused))
        self.head = _module(last.layer, [shapes[name] for name in last.inputs])

    def forward(self, images: Tensor) -> Tensor:
        """Class scores (batch, classes) of images (batch, channels, height, width)."""
        values = {IMAGE: images}
        for step in self._steps:
            output = step.module(*[values[name] for name in step.inputs])
            for name in step.unused:
                del values[name]
            values[step.name] = output
        (features,) = values.values()
        scores: Tensor = self.head(features)
        return scores

    def node_outputs(self, names: Sequence[str], images: Tensor) -> dict[str, Tensor]:
        """Return the outputs of named nodes but the last, in the mode that the network is in."""
        outputs: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            # A ReLU that comes next may work in place.
            return lambda module, inputs, output: outputs.update({name: output.clone()})

        hooks = [
            self.features.get_submodule(name).register_forward_hook(keep(name)) for name in names
        ]
        try:
            # Not by a call: a compiled network would be compiled again, for this one pass.
            self.forward(images)
        finally:
            for hook in hooks:
                hook.remove()
        return outputs


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and afterwards back into the mode that it had."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


class _Step(NamedTuple):
    """A node's computation; no later one takes the values in `unused`."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    unused: list[str]


def _set_submodule(root: nn.Module, path: str, module: nn.Module) -> None:
    """Add a module at a dotted path, with plain modules between."""
    *parents, name = path.split(".")
    for parent in parents:
        if parent not in dict(root.named_children()):
            root.add_module(parent, nn.Module())
        root = root.get_submodule(parent)
    root.add_module(name, module)


def _module(layer: Layer, shapes: Sequence[Shape]) -> nn.Module:
    """Return the module that computes a layer for inputs of these shapes."""
    channels = shapes[0][0]
    match layer:
        case Conv():
            return Conv2d(channels, layer)
        case BatchNorm():
            return nn.BatchNorm2d(channels)
        case Activation("ReLU"):
            return nn.ReLU(inplace=True)
        case Activation(name):
            activation: nn.Module = getattr(nn, name)()
            return activation
        case Pool(is_dense=True):
            return DenseMaxPool2d(layer)
        case Pool(window, ceil_mode, "max"):
            return nn.MaxPool2d(
                window.kernel_size, window.stride, _padding(window), 1, False, ceil_mode
            )
        case Pool(window, ceil_mode, "avg"):
            # As in a max-pool, what is around the map does not count.
            return nn.AvgPool2d(
                window.kernel_size, window.stride, _padding(window), ceil_mode, False
            )
        case Blur():
            return BlurPool2d(layer)
        case GlobalPool("avg"):
            return _Function(lambda maps: maps.mean(dim=(2, 3)))
        case GlobalPool("max"):
            return _Function(lambda maps: maps.amax(dim=(2, 3)))
        case Flatten():
            return nn.Flatten()
        case Linear(outputs, _, bias):
            return nn.Linear(channels, outputs, bias)
        case Merge("add"):
            return _Function(lambda *maps: sum(maps[1:], maps[0]))
        case Concat():
            return _Function(lambda *maps: torch.cat(maps, dim=1))
        case Shortcut(wider, stride):
            return _Function(lambda maps: _shortcut(maps, wider, *stride))
    raise TypeError(f"no module for {layer}")


def _padding(window: ConvSpec) -> Pair:
    """Return the pixels above and left of a pool's input; as many are below and right of it."""
    (top, _), (left, _) = window.padding
    return top, left


class _Function(nn.Module):
    """A function of maps as a module, so that a hook can read its output."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    @override
    def forward(self, *maps: Tensor) -> Tensor:
        return self._function(*maps)


def _shortcut(maps: Tensor, channels: int, down: int, right: int) -> Tensor:
    maps = maps[..., ::down, ::right]
    added = channels - maps.shape[1]
    return functional.pad(maps, (0, 0, 0, 0, 0, added)) if added else maps


def padded(maps: Tensor, sides: tuple[int, int, int, int], fill: str) -> Tensor:
    """Return maps with pixels around them, as `torch.nn.functional.pad` does.

    Args:
        maps: (batch, channels, height, width).
        sides: pixels on the left, right, top and bottom.
        fill: constant (zeros), reflect, replicate or circular.
    """
    if fill == "reflect" and maps.is_cuda and torch.are_deterministic_algorithms_enabled():
        # PyTorch's own reflection has no deterministic gradient on CUDA.
        return reflected_by_slices(maps, sides)
    return functional.pad(maps, sides, fill)


def reflected_by_slices(maps: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Return what `torch.nn.functional.pad(maps, sides, "reflect")` does, made of slices."""
    left, right, top, bottom = sides
    for dim, before, after in ((2, top, bottom), (3, left, right)):
        last = maps.shape[dim] - 1
        start, end = maps.narrow(dim, 1, before), maps.narrow(dim, last - after, after)
        maps = torch.cat([start.flip(dim), maps, end.flip(dim)], dim)
    return maps


class DenseMaxPool2d(nn.Module):
    """The max-pool of a `Pool` that is dense: at stride 1, over the edge where it rounds up."""

    def __init__(self, layer: Pool) -> None:
        super().__init__()
        self.layer = layer

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """Return the maxima (batch, channels, height, width) of the layer's geometry."""
        channels, height, width = maps.shape[1:]
        _, *outputs = self.layer.out_shape([(channels, height, width)])
        top, left = _padding(self.layer.window)
        (bottom, right) = (
            axis.extent - 1 + count - axis.before - pixels
            for axis, count, pixels in zip(
                self.layer.conv.axes, outputs, (height, width), strict=True
            )
        )
        if any(sides := (left, right, top, bottom)):
            maps = functional.pad(maps, sides, value=-torch.inf)
        window = self.layer.window
        return functional.max_pool2d(maps, window.kernel_size, 1, dilation=window.dilation)


class BlurredMaxPool2d(DenseMaxPool2d):
    """A max-pool at stride 1 and the blur behind it as one module, for networks of modules."""

    def __init__(self, window: ConvSpec, ceil_mode: bool) -> None:
        super().__init__(Pool(window, ceil_mode, is_dense=True))
        self.blur = BlurPool2d(Blur(window.stride))

    @override
    def forward(self, maps: Tensor) -> Tensor:
        blurred: Tensor = self.blur(super().forward(maps))
        return blurred


class BlurPool2d(nn.Module):
    """The blur of a `Blur`: the same filter for each channel, without weights to train."""

    def __init__(self, layer: Blur) -> None:
        super().__init__()
        self.layer, self.stride = layer, layer.stride
        # Also where weights are made without memory, since no checkpoint has the filter.
        with torch.device("cpu"):
            taps = {1: torch.ones(1), 3: torch.tensor([1.0, 2.0, 1.0]) / 4}
        height, width = layer.conv.kernel_size
        self.filter: Tensor
        self.register_buffer("filter", torch.outer(taps[height], taps[width]), persistent=False)

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """Return the blurred maps (batch, channels, height, width) of the layer's geometry."""
        if maps.device.type != "cpu" or not maps.requires_grad:
            return self._blurred(maps)
        # In bfloat16, oneDNN's gradient takes up to 27 times as long; the sums are the same.
        with torch.autocast("cpu", enabled=False):
            dtype = torch.promote_types(maps.dtype, torch.float32)
            return self._blurred(maps.to(dtype)).to(maps.dtype)

    def _blurred(self, maps: Tensor) -> Tensor:
        height, width = self.filter.shape
        down, right = height // 2, width // 2
        maps = padded(maps, (right, right, down, down), "reflect")
        channels = maps.shape[1]
        weight = self.filter.to(maps.dtype).expand(channels, 1, height, width)
        return functional.conv2d(maps, weight, stride=self.stride, groups=channels)


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` of a graph's layer, correct on every processor.

    A 1x1 kernel with a stride takes every stride-th pixel and then has stride 1: the same sums.
    oneDNN's own kernel for it writes out of bounds on processors with AVX2 but without AVX-512
    (oneDNN issue 6035: gradients of the weights, channels_last, fewer than 8 input channels).
    """

    def __init__(self, channels: int, layer: Conv) -> None:
        conv = layer.conv
        (top, bottom), (left, right) = conv.padding
        is_even = top == bottom and left == right
        super().__init__(
            channels,
            layer.channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=(top, left) if is_even else 0,
            dilation=conv.dilation,
            groups=layer.groups,
            bias=layer.bias,
            padding_mode=conv.padding_mode,
        )
        self.spec = conv
        self._sides = (left, right, top, bottom)
        self._fill = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        is_special = self._is_pointwise or self._fill != "constant"
        self._pads_first = not is_even or (is_special and any(self._sides))

    @property
    def _is_pointwise(self) -> bool:
        return self.kernel_size == (1, 1)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Feature maps (batch, out_channels, height, width) of the layer's geometry."""
        padding, stride = self.padding, self.stride
        if self._pads_first:
            images, padding = padded(images, self._sides, self._fill), (0, 0)
        if self._is_pointwise:
            down, right = self.stride
            images, stride = images[..., ::down, ::right], (1, 1)
        return functional.conv2d(
            images, self.weight, self.bias, stride, padding, self.dilation, self.groups
        )
