"""What a forward pass has computed so far: nodes of a graph, and what each tensor is in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple, TypeGuard

from torch import Tensor, nn

from convscope.geometry import Shape
from convscope.geometry.graph import Node
from convscope.geometry.layers import IMAGE, Layer, Mixing
from convscope.modules.graph_net import Conv2d

BATCH = 2
"""Fewest images of a recorded pass: one would not show which dimension the batch is."""


class Disagreement(RuntimeError):
    """The arithmetic of a layer and PyTorch do not agree: a fault of this program."""


class Value(NamedTuple):
    """What a tensor is.

    Attributes:
        node: name of the node that computes it.
        dims: a letter per dimension: N images, H and W pixels, P pixels of height and width in one
            dimension, C anything else; `?` for all where positions are mixed.
    """

    node: str
    dims: str


@dataclass(frozen=True)
class Call:
    """A function that the network has called on tensors.

    Attributes:
        name: of the function, such as `conv2d`, without the `_` of `add_` or `__add__`.
        function: it.
        args: its positional arguments.
        kwargs: its named arguments.
        output: what it returned.
        given: its arguments that depend on the image.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    given: tuple[Tensor, ...]

    def argument(self, index: int, *names: str, default: Any = None) -> Any:
        """Return an argument by its position or by one of its names."""
        if index < len(self.args):
            return self.args[index]
        return next((self.kwargs[name] for name in names if name in self.kwargs), default)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The network's parameters among its arguments."""
        arguments = tensors_in((self.args, self.kwargs))
        return [one for one in arguments if isinstance(one, nn.Parameter)]


class Tape:
    """Nodes in the order in which they are computed, and what each tensor is.

    Args:
        network: whose modules give the nodes their names.
        images: its input, at least `BATCH`.
        wanted: names of nodes whose outputs are kept.
    """

    def __init__(self, network: nn.Module, images: Tensor, wanted: Collection[str]) -> None:
        self.batch = len(images)
        self.nodes: dict[str, Node] = {}
        self.shapes: dict[str, Shape] = {IMAGE: self.shape_of(images, "NCHW")}
        self.modules: list[nn.Module] = []
        """Those whose forward pass is under way, the innermost last."""
        self.outputs: dict[str, Tensor] = {}
        """Copies of the outputs of the wanted nodes."""
        self._wanted = wanted
        self._paths = {module: path for path, module in network.named_modules()}
        self._kept: list[Tensor] = []
        """All tensors, so that no later one gets the address of an earlier one."""
        self._values: dict[int, Value] = {}
        self._counted: set[nn.Parameter] = set()
        self._names: set[str] = set()
        self.alias(images, IMAGE, "NCHW")

    # Names

    @property
    def path(self) -> str:
        """Path of the innermost module whose forward pass is under way; "" for the network."""
        known = (self._paths[one] for one in reversed(self.modules) if one in self._paths)
        return next(known, "")

    @property
    def _layer(self) -> nn.Module | None:
        """The innermost module, if it is one of PyTorch's layers."""
        module = self.modules[-1]
        is_layer = isinstance(module, nn.MultiheadAttention) or not any(module.children())
        return module if is_layer and type(module).__module__.startswith("torch.nn.") else None

    def name(self, function: str) -> str:
        """Return the name of what a function computes: its layer's path, or `layer1.0.add`."""
        if self._layer is not None or not self.path:
            return self.path or function
        return f"{self.path}.{function}"

    def kind(self, function: str) -> str:
        """Return what computes it, for messages: the layer's class, or the function."""
        return function if self._layer is None else type(self._layer).__name__

    # Tensors

    def is_known(self, tensor: Any) -> bool:
        """Return whether it is a tensor that depends on the image."""
        return id(tensor) in self._values

    def known(self, arguments: Any) -> tuple[Tensor, ...]:
        """Return the tensors in nested arguments that depend on the image."""
        return tuple(one for one in tensors_in(arguments) if self.is_known(one))

    def value(self, tensor: Tensor) -> Value:
        """Return what a known tensor is."""
        return self._values[id(tensor)]

    def pixels(self, value: Value) -> tuple[int, int]:
        """Return height and width of a value's map."""
        return self.shapes[value.node][1:]

    def shape_of(self, tensor: Tensor, dims: str, pixels: Sequence[int] = (1, 1)) -> Shape:
        """Return a tensor's shape as (channels, height, width).

        Args:
            tensor: with the batch.
            dims: letters of its dimensions; see `Value`.
            pixels: height and width of what has both in one dimension.
        """
        if "?" in dims:
            return tensor.numel() // self.batch, 1, 1
        channels, height, width = (
            prod(length for length, own in zip(tensor.shape, dims, strict=True) if own == letter)
            for letter in "CHW"
        )
        if "P" in dims:
            height, width = pixels
        return channels, height, width

    def alias(self, tensor: Tensor, node: str, dims: str) -> bool:
        """Note that a tensor has the numbers of a node's output, in whatever arrangement."""
        if dims == "NCCC" and tensor.shape[2:] == (1, 1) and self.shapes[node][1:] == (1, 1):
            # A vector as a map of one pixel.
            dims = "NCHW"
        self._kept.append(tensor)
        self._values[id(tensor)] = Value(node, dims)
        return True

    def whole(self, tensor: Tensor) -> Value:
        """Return a tensor's value; one that is expanded becomes a node of its own."""
        value = self.value(tensor)
        own, shape = self.shapes[value.node], self.shape_of(tensor, value.dims, self.pixels(value))
        if shape != own:
            layer = Mixing("expand", (own,), shape)
            self.add(layer, (value.node,), tensor, value.dims, self.name("expand"))
        return self.value(tensor)

    def maps(self, tensor: Tensor) -> Value:
        """Return the value of a tensor that a layer takes as (batch, channels, height, width)."""
        value = self.whole(tensor)
        if value.dims != "NCHW":
            layer = Mixing("view", (self.shapes[value.node],), self.shape_of(tensor, "NCHW"))
            self.add(layer, (value.node,), tensor, "NCHW", self.name("view"))
        return self.value(tensor)

    # Nodes

    def add(
        self, layer: Layer, inputs: Sequence[str], output: Tensor, dims: str, name: str
    ) -> bool:
        """Add a node, and compare its arithmetic with the tensor that PyTorch made.

        Raises:
            Disagreement: they differ.
        """
        number, unique = 1, name
        while unique in self._names:
            number += 1
            unique = f"{name}_{number}"
        self._names.add(unique)
        shapes = [self.shapes[one] for one in inputs]
        real = self.shape_of(output, dims, shapes[0][1:])
        computed = layer.refusal(shapes, inputs) or layer.out_shape(shapes)
        if computed != real:
            raise Disagreement(f"{unique} gives {real} in PyTorch, its geometry says {computed}")
        if unique in self._wanted:
            # What comes next may work in place.
            self.outputs[unique] = (output.movedim(3, 1) if dims == "NHWC" else output).clone()
        self.nodes[unique] = Node(unique, layer, tuple(inputs))
        self.shapes[unique] = real
        return self.alias(output, unique, dims)

    def mix(self, call: Call, weights: int, cost: int, name: str) -> None:
        """Add what may compute each of its outputs from the whole of its inputs."""
        inputs = tuple(dict.fromkeys(self.value(one).node for one in call.given))
        takes = tuple(self.shapes[one] for one in inputs)
        for output in tensors_in(call.output):
            has_batch = output.ndim in (2, 4) and len(output) == self.batch
            dims = ("NC" if output.ndim == 2 else "NCHW") if has_batch else "?" * output.ndim
            layer = Mixing(self.kind(call.name), takes, self.shape_of(output, dims), weights, cost)
            self.add(layer, inputs, output, dims, name)
            weights = cost = 0

    def count(self, parameters: Iterable[nn.Parameter]) -> int:
        """Return the number of trainable parameters that no earlier layer has."""
        new = {one for one in parameters if one.requires_grad} - self._counted
        self._counted |= new
        return sum(one.numel() for one in new)


def is_plain_conv(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a module computes what `torch.nn.Conv2d` does, and nothing else."""
    return (
        isinstance(module, nn.Conv2d)
        and type(module).forward in (nn.Conv2d.forward, Conv2d.forward)
        and type(module)._conv_forward is nn.Conv2d._conv_forward
        # Weight norm and the like compute the weight in a hook or a parametrization.
        and isinstance(module._parameters.get("weight"), nn.Parameter)
        and not module._forward_pre_hooks
        and not module._forward_hooks
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_in(one)
