"""A PyTorch module as a graph of layers, recorded from one forward pass without data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode, resolve_name
from typing_extensions import override

from convscope.errors import UserError, on_one_line
from convscope.geometry import ConvSpec, Graph, Pair, Shape, Sides
from convscope.geometry.factors import named_padding, symmetric
from convscope.geometry.graph import (
    IMAGE,
    Activation,
    AdaptivePool,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Merge,
    Mixing,
    Node,
    Pad,
    Pointwise,
    Pool,
    Slice,
)
from convscope.modules.graph_net import Conv2d

_BATCH = 2
"""Images of the recorded pass; batch norm in training mode would refuse one."""


class CannotRun(UserError):
    """A forward pass that PyTorch refuses."""


def trace(network: nn.Module, input_shape: Shape) -> Graph:
    """Record the functions that a network's forward pass calls on tensors, as a graph of layers.

    The pass is made in evaluation mode on the meta device: it needs no memory and no data.

    Args:
        network: on the meta device.
        input_shape: (channels, height, width) of an image.

    Raises:
        CannotRun: the network refuses images of this shape.
        UserError: the network decides by the values of an image, uses a convolution twice, or its
            output is not (batch, classes).
    """
    for name, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise UserError(f"{name} has no size before the first image: give its layer all sizes")
    recorder = _Recorder(network, torch.empty(_BATCH, *input_shape, device="meta"))
    output = recorder.run()
    return recorder.graph(output)


def node_outputs(network: nn.Module, names: Collection[str], images: Tensor) -> dict[str, Tensor]:
    """Return the outputs of a network's nodes, also of those that are no modules.

    Args:
        network: on the device of the images.
        names: of nodes in the network's graph.
        images: (batch, channels, height, width).
    """
    found = []
    for image in images:
        recorder = _Recorder(network, image.expand(_BATCH, -1, -1, -1), names)
        recorder.run()
        found.append(recorder.outputs)
    return {name: torch.stack([outputs[name][0] for outputs in found]) for name in names}


class _Disagreement(RuntimeError):
    """The arithmetic of a layer and PyTorch do not agree: a fault of this program."""


class _Value(NamedTuple):
    """What a tensor of the forward pass is.

    Attributes:
        node: name of the node that computes it.
        dims: a letter per dimension: N images, H and W pixels, P pixels of height and width in one
            dimension, C anything else; `?` throughout where positions are no longer apart.
    """

    node: str
    dims: str


@dataclass(frozen=True)
class _Call:
    """A function that the network calls on tensors.

    Attributes:
        name: of the function, such as `conv2d`; without the `_` of one that works in place.
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


class _Recorder(TorchFunctionMode):
    """Records the functions that are called on tensors which depend on the image."""

    def __init__(self, network: nn.Module, image: Tensor, wanted: Collection[str] = ()) -> None:
        super().__init__()
        self.outputs: dict[str, Tensor] = {}
        """Copies of the outputs of the wanted nodes."""
        self._wanted = wanted
        self._network = network
        self._image = image
        self._paths = {module: path for path, module in network.named_modules()}
        self._stack: list[nn.Module] = []
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {IMAGE: _shape(image, "NCHW")}
        self._kept: list[Tensor] = [image]
        """Tensors, so that no other one gets the address of an earlier one."""
        self._values = {id(image): _Value(IMAGE, "NCHW")}
        self._counted: set[int] = set()
        self._used: set[str] = set()
        self._is_paused = False
        self._shared_macs = 0
        """Of what does not depend on the image and no layer has counted yet."""
        self._trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)

    # Recording

    def run(self) -> Any:
        """Run the network in evaluation mode, and return its output.

        Raises:
            CannotRun: the network's own code, or PyTorch, refuses the image.
        """
        training = self._network.training
        self._network.eval()
        hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave),
        ]
        try:
            with torch.no_grad(), self:
                # Not by a call: a compiled network would run other code.
                return nn.Module._call_impl(self._network, self._image)  # type: ignore[no-untyped-call]
        except (UserError, _Disagreement):
            raise
        except Exception as error:  # (the network's own code may raise anything)
            raise CannotRun(f"{self._where} fails: {on_one_line(str(error))}") from error
        finally:
            self._network.train(training)
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note that a module's forward pass begins."""
        if self._is_paused:
            return
        if _is_plain_conv(module):
            for tensor in self._given(inputs):
                self._as_maps(tensor)
        self._stack.append(module)

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Note that a module's forward pass ends.

        What it made of the image in a way that cannot be followed counts as one layer.
        """
        if self._is_paused:
            return
        given = self._given(inputs)
        if given and any(id(one) not in self._values for one in _tensors(output)):
            parameters = list(module.parameters())
            name = type(module).__name__
            call = _Call(name, module.forward, inputs, {}, output, given)
            self._mix(call, parameters, self._path)
        self._stack.pop()

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self._is_paused:
            return func(*args, **(kwargs or {}))
        given = self._given((args, kwargs or {}))
        name = (resolve_name(func) or getattr(func, "__name__", "")).removesuffix(".__get__")
        name = name.rsplit(".", 1)[-1]
        if given and name in _READS_VALUES:
            raise UserError(
                f"{self._where} decides by the values of an image ({name}), so its layers are not"
                " the same for every image"
            )
        output = func(*args, **(kwargs or {}))
        if not given and name in _MULTIPLIES and self._image.is_meta:
            macs = _macs(_Call(name, func, args, dict(kwargs or {}), output, ()))
            self._shared_macs += macs // (_BATCH if len(output) == _BATCH else 1)
        if given and name not in _READS_SHAPES:
            name = name if name.startswith("__") else name.rstrip("_")
            call = _Call(name, func, args, dict(kwargs or {}), output, given)
            if name == "__setitem__":
                call = replace(call, output=args[0])
            if any(isinstance(one, Tensor) for one in _tensors(call.output)):
                self._record(call)
        return output

    def _record(self, call: _Call) -> None:
        if _is_plain_conv(self._stack[-1]) and call.name != "conv2d":
            # It pads or takes every n-th pixel, as part of the convolution.
            self._alias(call.output, *self._value(call.given[0]))
            return
        handler = _HANDLERS.get(call.name)
        if handler is None or not handler(self, call):
            self._mix(call, self._parameters(call), self._name(call.name))

    def _mix(self, call: _Call, parameters: Iterable[nn.Parameter], name: str) -> None:
        """Record a function whose outputs may depend on the whole of its inputs."""
        inputs = tuple(dict.fromkeys(self._value(one).node for one in call.given))
        weights = self._weights(parameters)
        cost = self._shared_macs
        is_module = call.name == type(self._stack[-1]).__name__
        if self._image.is_meta and (is_module or call.name in _MULTIPLIES):
            self._is_paused = True
            cost += _macs(call) // _BATCH
            self._is_paused = False
        self._shared_macs = 0
        for number, output in enumerate(_tensors(call.output)):
            is_batch = output.ndim > 1 and len(output) == _BATCH
            dims = {2: "NC", 4: "NCHW"}.get(output.ndim, "?") if is_batch else "?"
            dims = dims if len(dims) == output.ndim else "?" * output.ndim
            layer = Mixing(
                self._kind(call.name),
                tuple(self._shapes[one] for one in inputs),
                _shape(output, dims),
                0 if number else weights,
                0 if number else cost,
            )
            self._add(layer, inputs, output, dims, name)

    def graph(self, output: Any) -> Graph:
        """Return what was recorded, without layers that the output does not depend on.

        Raises:
            UserError: the output is not (batch, classes).
        """
        if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != _BATCH:
            came = f"{size_of(output)}" if isinstance(output, Tensor) else type(output).__name__
            raise UserError(
                f"the network must return class scores (batch, classes), got {came} for a batch of"
                f" {_BATCH}"
            )
        if id(output) not in self._values:
            raise UserError("the network's output does not depend on the image")
        name = self._as_laid_out(output).node
        needed = {name}
        for node in reversed(self._nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
        nodes = tuple(node for node in self._nodes.values() if node.name in needed)
        params = sum(node.layer.params(self._shapes[node.inputs[0]]) for node in nodes)
        return Graph(nodes, varied=(), other_params=self._trainable - params)

    # Names, values and shapes

    @property
    def _where(self) -> str:
        """The innermost module whose forward pass is under way: `layer1.0`."""
        return self._path or "the network"

    @property
    def _path(self) -> str:
        return next((self._paths[one] for one in reversed(self._stack) if one in self._paths), "")

    @property
    def _leaf(self) -> nn.Module | None:
        """The module of PyTorch whose forward pass is under way, if it is one layer."""
        module = self._stack[-1]
        is_torch = type(module).__module__.startswith("torch.nn.")
        is_layer = isinstance(module, nn.MultiheadAttention) or not any(module.children())
        return module if is_torch and is_layer else None

    def _name(self, function: str) -> str:
        if self._leaf is not None:
            return self._path
        function = function.strip("_")
        return f"{self._path}.{function}" if self._path else function

    def _kind(self, function: str) -> str:
        return function.strip("_") if self._leaf is None else type(self._leaf).__name__

    def _given(self, arguments: Any) -> tuple[Tensor, ...]:
        return tuple(one for one in _tensors(arguments) if id(one) in self._values)

    def _value(self, tensor: Tensor) -> _Value:
        return self._values[id(tensor)]

    def _parameters(self, call: _Call) -> list[nn.Parameter]:
        arguments = _tensors((call.args, call.kwargs))
        return [one for one in arguments if isinstance(one, nn.Parameter)]

    def _weights(self, parameters: Iterable[nn.Parameter]) -> int:
        """Return the number of trainable parameters that no earlier layer has."""
        new = {id(one): one for one in parameters if one.requires_grad}
        new = {key: one for key, one in new.items() if key not in self._counted}
        self._counted.update(new)
        return sum(one.numel() for one in new.values())

    def _alias(self, tensor: Tensor, node: str, dims: str) -> bool:
        """Note that a tensor is a node's output in another arrangement."""
        if dims == "NCCC" and tensor.shape[2:] == (1, 1) and self._shapes[node][1:] == (1, 1):
            dims = "NCHW"
        self._kept.append(tensor)
        self._values[id(tensor)] = _Value(node, dims)
        return True

    def _add(
        self, layer: Layer, inputs: Sequence[str], output: Tensor, dims: str, name: str
    ) -> bool:
        """Add a node, and check its arithmetic against the tensor that PyTorch made."""
        number, own = 1, name
        while own in self._used:
            number += 1
            own = f"{name}_{number}"
        self._used.add(own)
        shapes = [self._shapes[one] for one in inputs]
        expected = _shape(output, dims, shapes[0][1:])
        refusal = layer.refusal(shapes, inputs)
        if refusal or layer.out_shape(shapes) != expected:
            raise _Disagreement(
                f"{own} gives {expected} in PyTorch, its geometry says"
                f" {refusal or layer.out_shape(shapes)}"
            )
        if own in self._wanted:
            # What comes next may work in place.
            self.outputs[own] = output.clone()
        self._nodes[own] = Node(own, layer, tuple(inputs))
        self._shapes[own] = expected
        return self._alias(output, own, dims)

    def _as_laid_out(self, tensor: Tensor) -> _Value:
        """Return a tensor's value; one that is expanded becomes a node of its own."""
        value = self._value(tensor)
        pixels = self._shapes[value.node][1:]
        shape = _shape(tensor, value.dims, pixels)
        if shape != self._shapes[value.node]:
            layer = Mixing("expand", (self._shapes[value.node],), shape)
            self._add(layer, (value.node,), tensor, value.dims, self._name("expand"))
        return self._value(tensor)

    def _as_maps(self, tensor: Tensor) -> _Value:
        """Return the value of a tensor that a layer takes as (batch, channels, height, width)."""
        value = self._as_laid_out(tensor)
        if value.dims != "NCHW":
            shape = _shape(tensor, "NCHW")
            layer = Mixing("view", (self._shapes[value.node],), shape)
            self._add(layer, (value.node,), tensor, "NCHW", self._name("view"))
        return self._value(tensor)

    # Handlers: each records a call and returns True, or returns False if it is another case.

    def _conv2d(self, call: _Call) -> bool:
        tensor, weight, bias = (
            call.argument(index, name) for index, name in enumerate(("input", "weight", "bias"))
        )
        module = self._stack[-1]
        is_module = _is_plain_conv(module)
        if not isinstance(tensor, Tensor) or id(tensor) not in self._values or tensor.ndim != 4:
            return False
        if id(weight) in self._values:
            return False
        value = self._value(tensor) if is_module else self._as_maps(tensor)
        dilation, groups = (
            pair(call.argument(5, "dilation", default=1)),
            call.argument(6, "groups", default=1),
        )
        spec = ConvSpec(
            (weight.shape[2], weight.shape[3]),
            pair(call.argument(3, "stride", default=1)),
            symmetric((0, 0)),
            dilation,
        )
        spec = replace(spec, padding=_padding(call.argument(4, "padding", default=0), spec))
        if _is_plain_conv(module):
            spec = module_spec(module)
            if id(module) in self._counted:
                raise UserError(
                    f"{self._path} is used twice in a forward pass: a network whose convolutions"
                    " share weights cannot be varied"
                )
            self._counted.add(id(module))
        self._weights(self._parameters(call))
        layer = Conv(weight.shape[0], spec, groups, bias is not None, is_fixed=not is_module)
        name = self._path if isinstance(module, nn.Conv2d) else self._name("conv2d")
        return self._add(layer, (value.node,), call.output, "NCHW", name)

    def _pad(self, call: _Call) -> bool:
        tensor, sides = call.argument(0, "input"), call.argument(1, "pad")
        value = self._as_laid_out(tensor)
        by_dim = dict.fromkeys(range(tensor.ndim), (0, 0))
        for index, (before, after) in enumerate(zip(sides[::2], sides[1::2], strict=True)):
            by_dim[tensor.ndim - 1 - index] = (before, after)
        return self._moved(call, value, by_dim, {})

    def _moved(
        self,
        call: _Call,
        value: _Value,
        sides: Mapping[int, Pair],
        strides: Mapping[int, int],
        kept: str | None = None,
    ) -> bool:
        """Record what pads or slices: sides to add (or to cut off) and strides by dimension."""
        dims = kept or value.dims
        changed = {value.dims[dim] for dim, side in sides.items() if side != (0, 0)}
        changed |= {value.dims[dim] for dim, stride in strides.items() if stride != 1}
        if not changed:
            return self._alias(call.output, value.node, dims)
        if not changed <= set("CHW"):
            return False
        node, name = value.node, self._name(call.name)
        if changed & set("HW"):
            axes = [value.dims.index("H"), value.dims.index("W")]
            height, width = (sides.get(axis, (0, 0)) for axis in axes)
            down, right = (strides.get(axis, 1) for axis in axes)
            layer: Layer = Pad((height, width))
            if (down, right) != (1, 1):
                layer = Slice((height, width), (down, right))
            channels, *_ = self._shapes[node]
            _, *pixels = _shape(call.output, dims)
            if "C" in changed:
                probe = torch.empty(_BATCH, channels, *pixels, device="meta")
                self._add(layer, (node,), probe, "NCHW", name)
                node = self._value(probe).node
            else:
                return self._add(layer, (node,), call.output, dims, name)
        channels, *_ = _shape(call.output, dims, self._shapes[node][1:])
        return self._add(Pointwise(channels), (node,), call.output, dims, name)

    def _pool(self, call: _Call) -> bool:
        is_max = call.name == "max_pool2d"
        tensor = call.argument(0, "input")
        if tensor.ndim != 4 or not isinstance(call.output, Tensor):
            return False
        value = self._as_maps(tensor)
        kernel = pair(call.argument(1, "kernel_size"))
        ceil_mode = call.argument(5 if is_max else 4, "ceil_mode", default=False)
        spec = ConvSpec(
            kernel,
            pair(call.argument(2, "stride") or kernel),
            symmetric(pair(call.argument(3, "padding", default=0))),
            pair(call.argument(4, "dilation", default=1)) if is_max else (1, 1),
        )
        layer = Pool(spec, bool(ceil_mode), "max" if is_max else "avg")
        return self._add(layer, (value.node,), call.output, "NCHW", self._name(call.name))

    def _adaptive_pool(self, call: _Call) -> bool:
        tensor, wanted = call.argument(0, "input"), call.argument(1, "output_size")
        if tensor.ndim != 4 or not isinstance(call.output, Tensor):
            return False
        value = self._as_maps(tensor)
        height, width = wanted if isinstance(wanted, Sequence) else (wanted, wanted)
        name = self._name(call.name)
        if height is None or width is None:
            return False
        layer = (
            GlobalPool("max" if "max" in call.name else "avg")
            if (height, width) == (1, 1)
            else AdaptivePool((height, width))
        )
        return self._add(layer, (value.node,), call.output, "NCHW", name)

    def _batch_norm(self, call: _Call) -> bool:
        tensor = call.argument(0, "input")
        value = self._as_laid_out(tensor)
        affine = self._weights(self._parameters(call)) > 0
        layer = BatchNorm(affine)
        return self._add(layer, (value.node,), call.output, value.dims, self._name(call.name))

    def _per_pixel(self, call: _Call) -> bool:
        """Record a normalisation over channels or over whole maps, such as group norm's."""
        value = self._as_laid_out(call.argument(0, "input"))
        if "?" in value.dims or _shape(call.output, value.dims) != _shape(
            call.argument(0, "input"), value.dims
        ):
            return False
        layer = Pointwise(weights=self._weights(self._parameters(call)))
        return self._add(layer, (value.node,), call.output, value.dims, self._name(call.name))

    def _layer_norm(self, call: _Call) -> bool:
        lengths = call.argument(1, "normalized_shape")
        value = self._value(call.argument(0, "input"))
        normalised = set(value.dims[-len(lengths) :])
        return normalised in ({"C"}, set("CHW")) and self._per_pixel(call)

    def _linear(self, call: _Call) -> bool:
        tensor, weight = call.argument(0, "input"), call.argument(1, "weight")
        if id(tensor) not in self._values or id(weight) in self._values:
            return False
        value = self._as_laid_out(tensor)
        outputs, inputs = weight.shape
        if value.dims == "NC":
            self._weights(self._parameters(call))
            layer: Layer = Linear(outputs, inputs, call.argument(2, "bias") is not None)
        elif sorted(value.dims) in (sorted("NHWC"), sorted("NPC")) and value.dims[-1] == "C":
            weights = self._weights(self._parameters(call))
            layer = Pointwise(outputs, weights, inputs * outputs)
        else:
            return False
        return self._add(layer, (value.node,), call.output, value.dims, self._name(call.name))

    def _elementwise(self, call: _Call) -> bool:
        """Record what computes each number of the output from those at its position."""
        values = [self._value(one) for one in call.given]
        name = self._name(call.name)
        output = call.output
        if not isinstance(output, Tensor):
            return False
        if len(values) == 1:
            (tensor,), (value,) = call.given, values
            if tensor.shape != output.shape:
                return False
            value = self._as_laid_out(tensor)
            layer: Layer = Pointwise(weights=self._weights(self._parameters(call)))
            if call.name in _ACTIVATIONS and layer == Pointwise():
                layer = Activation(_ACTIVATIONS[call.name])
            return self._add(layer, (value.node,), output, value.dims, name)
        dims = {value.dims for value in values}
        if len(dims) != 1 or ("?" in min(dims) and len({one.shape for one in call.given}) > 1):
            return False
        merge = Merge(_VERBS.get(call.name, call.name))
        nodes = [value.node for value in values]
        shapes = [self._shapes[one] for one in nodes]
        pixels = max((shape[1:] for shape in shapes), key=prod)
        if merge.refusal(shapes, nodes) or merge.out_shape(shapes) != _shape(
            output, min(dims), pixels
        ):
            return False
        return self._add(merge, nodes, output, min(dims), name)

    def _same(self, call: _Call) -> bool:
        """Record what changes no number, such as dropout in evaluation mode."""
        if len(call.given) != 1 or not isinstance(call.output, Tensor):
            return False
        if call.output.shape != call.given[0].shape:
            return False
        return self._alias(call.output, *self._value(call.given[0]))

    def _along(self, call: _Call) -> bool:
        """Record what mixes the numbers along one dimension, such as softmax."""
        tensor = call.argument(0, "input", "self")
        default = 1 if call.name == "normalize" else -1
        index = 2 if call.name == "normalize" else 1
        dim = call.argument(index, "dim", default=default)
        value = self._value(tensor)
        if not isinstance(dim, int) or value.dims[dim] != "C":
            return False
        value = self._as_laid_out(tensor)
        channels, *_ = shape = _shape(call.output, value.dims, self._shapes[value.node][1:])
        changed = None if shape == self._shapes[value.node] else channels
        layer = Pointwise(changed)
        return self._add(layer, (value.node,), call.output, value.dims, self._name(call.name))

    def _reduced(self, call: _Call) -> bool:
        """Record a mean, a sum or the like over dimensions."""
        tensor = call.argument(0, "input", "self")
        chosen = call.argument(1, "dim", "axis")
        if isinstance(chosen, Tensor):
            return self._elementwise(call)
        value = self._value(tensor)
        if chosen is None or "?" in value.dims:
            return False
        value = self._as_laid_out(tensor)
        chosen = [chosen] if isinstance(chosen, int) else list(chosen)
        reduced = {dim % tensor.ndim for dim in chosen}
        letters = {value.dims[dim] for dim in reduced}
        outputs = list(_tensors(call.output))
        keeps = outputs[0].ndim == tensor.ndim
        dims = "".join(
            letter for dim, letter in enumerate(value.dims) if keeps or dim not in reduced
        )
        pixels = set(value.dims) & set("HWP")
        name = self._name(call.name)
        if letters == {"C"} and pixels:
            if "C" not in dims:
                dims = dims[:1] + dims[1:]
            channels, *_ = _shape(outputs[0], dims, self._shapes[value.node][1:])
            layer: Layer = Pointwise(channels)
        elif letters == pixels:
            layer = GlobalPool("max" if "max" in call.name else "avg")
            dims = dims.replace("P", "C") if keeps else dims
        else:
            return False
        for output in outputs:
            self._add(layer, (value.node,), output, dims, name)
        return True

    def _concatenated(self, call: _Call) -> bool:
        tensors = call.argument(0, "tensors")
        dim = call.argument(1, "dim", "axis", default=0)
        if len(call.given) != len(tensors):
            return False
        values = [self._value(one) for one in tensors]
        dims = values[0].dims
        if any(value.dims != dims for value in values) or dims.startswith("?"):
            return False
        if call.name == "stack":
            dims = _with_dim(dims, dim)
            if "P" in dims:
                return False
        if dims[dim] != "C":
            return False
        nodes = [self._as_laid_out(one).node for one in tensors]
        if len(nodes) == 1:
            return self._alias(call.output, nodes[0], dims)
        return self._add(Concat(), nodes, call.output, dims, self._name(call.name))

    def _split(self, call: _Call) -> bool:
        tensor = call.argument(0, "input", "self", "tensor")
        index = 1 if call.name == "unbind" else 2
        dim = call.argument(index, "dim", default=0)
        value = self._value(tensor)
        if value.dims[dim] != "C":
            return False
        value = self._as_laid_out(tensor)
        dims = value.dims
        if call.name == "unbind":
            dims = dims[: dim % tensor.ndim] + dims[dim % tensor.ndim + 1 :]
        for output in call.output:
            channels, *_ = _shape(output, dims, self._shapes[value.node][1:])
            self._add(Pointwise(channels), (value.node,), output, dims, self._name(call.name))
        return True

    def _indexed(self, call: _Call) -> bool:
        tensor, index = call.args
        value = self._value(tensor)
        if "?" in value.dims:
            return False
        index = list(index) if isinstance(index, tuple) else [index]
        if not all(one is None or one is ... or type(one) in (int, slice) for one in index):
            return False
        count = sum(one is not None and one is not ... for one in index)
        full = [slice(None)] * (tensor.ndim - count)
        at = next((number for number, one in enumerate(index) if one is ...), len(index))
        index = [*index[:at], *full, *index[at + 1 :]]
        value, dim, dims = self._as_laid_out(tensor), 0, ""
        sides: dict[int, Pair] = {}
        strides: dict[int, int] = {}
        for one in index:
            if one is None:
                dims += "C"
                continue
            length = tensor.shape[dim]
            if isinstance(one, int):
                if value.dims[dim] != "C":
                    return False
                sides[dim] = (0, 1 - length) if length > 1 else (0, 0)
            else:
                start, stop, stride = one.indices(length)
                sides[dim], strides[dim] = (-start, stop - length), stride
                dims += value.dims[dim]
            dim += 1
        return self._moved(call, value, sides, strides, dims)

    def _permuted(self, call: _Call) -> bool:
        """Record another order of the dimensions, found from a tensor of distinct lengths."""
        tensor = call.argument(0, "input", "self")
        value = self._value(tensor)
        probe = torch.empty(*range(2, 2 + tensor.ndim), device="meta")
        rest = {key: one for key, one in call.kwargs.items() if one is not tensor}
        arguments = call.args[1:] if call.args else ()
        order = [length - 2 for length in call.function(probe, *arguments, **rest).shape]
        return self._alias(call.output, value.node, "".join(value.dims[dim] for dim in order))

    def _reshaped(self, call: _Call) -> bool:
        tensor, output = call.given[0], call.output
        if not isinstance(output, Tensor):
            return False
        value = self._value(tensor)
        if output.shape == tensor.shape:
            return self._alias(output, *value)
        if "?" in value.dims:
            return False
        value = self._as_laid_out(tensor)
        dims = _reshaped_dims(tensor.shape, value.dims, output.shape, self._shapes[value.node][1:])
        if dims is not None:
            return self._alias(output, value.node, dims)
        if output.ndim != 2 or len(output) != _BATCH or value.dims[0] != "N":
            return False
        return self._add(Flatten(), (value.node,), output, "NC", self._name(call.name))

    def _expanded(self, call: _Call) -> bool:
        """Record a map that is repeated over pixels: PyTorch's additions would do it too."""
        tensor = call.given[0]
        value = self._value(tensor)
        if "?" in value.dims or call.output.ndim != tensor.ndim or len(call.output) != _BATCH:
            return False
        grown = {
            (letter, before)
            for letter, before, after in zip(
                value.dims, tensor.shape, call.output.shape, strict=True
            )
            if before != after
        }
        if not all(letter in "HW" and before == 1 for letter, before in grown):
            return False
        return self._alias(call.output, value.node, value.dims)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_READS_SHAPES = _names(
    "shape size dim ndim dtype device numel nelement element_size stride is_nested is_cuda is_meta"
    " requires_grad is_contiguous is_floating_point is_complex is_sparse is_quantized layout"
    " storage_offset data_ptr get_device is_mkldnn grad_fn grad names __len__ __repr__ __format__"
    " __str__ __hash__ _version is_leaf"
    " new_zeros new_ones new_empty new_full new_tensor zeros_like ones_like empty_like full_like"
    " rand_like randn_like"
)
"""Functions whose result does not depend on the numbers in a tensor."""
_READS_VALUES = _names(
    "__bool__ item __int__ __float__ __index__ tolist numpy __array__ nonzero equal is_nonzero"
    " allclose unique masked_select __contains__ bincount"
)
"""Functions whose result decides how a network goes on."""
_MULTIPLIES = _names(
    "linear matmul __matmul__ mm bmm einsum addmm baddbmm tensordot bilinear conv1d conv2d conv3d"
    " conv_transpose1d conv_transpose2d conv_transpose3d scaled_dot_product_attention"
    " multi_head_attention_forward"
)
"""Functions whose multiply-accumulates PyTorch's counter knows."""
_VERBS = {"sub": "subtract", "mul": "multiply", "div": "divide", "true_divide": "divide"}
"""Elementwise functions by what they do with several maps, where the function's name differs."""


def _torch_name(activation: str) -> str:
    """Return the function of an activation's class: `LeakyReLU` is `leaky_relu`."""
    names = {"leakyrelu": "leaky_relu", "logsigmoid": "logsigmoid"}
    return names.get(activation.lower(), activation.lower())


_ACTIVATIONS = {
    _torch_name(name): name
    for name in nn.modules.activation.__all__
    if name not in ("MultiheadAttention", "GLU", "PReLU") and "Soft" not in name[:5]
} | {"softplus": "Softplus", "softsign": "Softsign", "softshrink": "Softshrink"}
_HANDLERS: dict[str, Callable[[_Recorder, _Call], bool]] = {
    "conv2d": _Recorder._conv2d,
    "pad": _Recorder._pad,
    "linear": _Recorder._linear,
    "layer_norm": _Recorder._layer_norm,
    "batch_norm": _Recorder._batch_norm,
    "__getitem__": _Recorder._indexed,
}
for _functions, _handler in (
    ("max_pool2d avg_pool2d", _Recorder._pool),
    ("adaptive_avg_pool2d adaptive_max_pool2d", _Recorder._adaptive_pool),
    ("group_norm instance_norm local_response_norm rms_norm", _Recorder._per_pixel),
    ("softmax log_softmax softmin glu normalize cumsum", _Recorder._along),
    ("mean sum amax amin max min prod std var norm logsumexp", _Recorder._reduced),
    ("cat concat concatenate stack", _Recorder._concatenated),
    ("chunk split tensor_split unbind split_with_sizes", _Recorder._split),
    ("permute transpose swapaxes swapdims movedim moveaxis T mT", _Recorder._permuted),
    ("view reshape flatten unflatten squeeze unsqueeze view_as", _Recorder._reshaped),
    ("expand expand_as broadcast_to repeat", _Recorder._expanded),
    (
        "dropout dropout1d dropout2d alpha_dropout feature_alpha_dropout contiguous clone to float"
        " half double bfloat16 type type_as detach requires_grad cuda cpu",
        _Recorder._same,
    ),
    (
        "add sub mul div true_divide rsub maximum minimum pow where lerp addcmul masked_fill"
        " abs clamp clamp_min clamp_max exp expm1 log log1p log2 neg square sqrt rsqrt reciprocal"
        " sin cos erf floor ceil round sign nan_to_num prelu eq ne lt le gt ge __eq__ __ne__"
        " __rsub__ __rpow__ __rdiv__ __neg__ logical_not floor_divide remainder fmod atan2",
        _Recorder._elementwise,
    ),
    (" ".join(_ACTIVATIONS), _Recorder._elementwise),
):
    _HANDLERS |= dict.fromkeys(_functions.split(), _handler)


def _is_plain_conv(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
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


def module_spec(module: nn.Conv2d) -> ConvSpec:
    """Return the arguments of a convolution."""
    if isinstance(module, Conv2d):
        return module.spec
    spec = ConvSpec(
        pair(module.kernel_size),
        pair(module.stride),
        symmetric((0, 0)),
        pair(module.dilation),
        module.padding_mode,
    )
    return replace(spec, padding=_padding(module.padding, spec))


def pair(value: Any) -> Pair:
    """Return what PyTorch takes as one number or as (height, width)."""
    if isinstance(value, Sequence):
        height, width = value if len(value) == 2 else (value[0], value[0])
        return int(height), int(width)
    return int(value), int(value)


def size_of(tensor: Tensor) -> str:
    """Return a tensor's shape as text: `(2, 10)`."""
    return str(tuple(tensor.shape))


def _padding(value: Any, spec: ConvSpec) -> Sides:
    return named_padding(value, spec) if isinstance(value, str) else symmetric(pair(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def _shape(tensor: Tensor, dims: str, pixels: Sequence[int] = (1, 1)) -> Shape:
    """Return a tensor's shape as (channels, height, width).

    Args:
        tensor: with the batch.
        dims: letters of its dimensions; see `_Value`.
        pixels: height and width of what has both in one dimension.
    """
    if "?" in dims:
        return tensor.numel() // _BATCH, 1, 1
    by_letter = {
        letter: prod(n for n, one in zip(tensor.shape, dims, strict=True) if one == letter)
        for letter in "CHWP"
    }
    if "P" in dims:
        height, width = pixels
        return by_letter["C"], height, width
    return by_letter["C"], by_letter["H"], by_letter["W"]


def _with_dim(dims: str, dim: int) -> str:
    dim = dim % (len(dims) + 1)
    return f"{dims[:dim]}C{dims[dim:]}"


def _reshaped_dims(
    before: Sequence[int], dims: str, after: Sequence[int], pixels: Pair
) -> str | None:
    """Return the letters of a reshaped tensor's dimensions; None where pixels do not stay apart.

    A dimension stays where one of the same length has as many numbers per step.
    """
    if dims[0] != "N" or not after or after[0] != _BATCH:
        return None
    steps = [prod(before[dim + 1 :]) for dim in range(len(before))]
    new_steps = [prod(after[dim + 1 :]) for dim in range(len(after))]
    letters = ["N", *"C" * (len(after) - 1)]

    def find(length: int, step: int, letters: Sequence[str]) -> int | None:
        dims = range(1, len(after))
        fitting = (dim for dim in dims if (after[dim], new_steps[dim]) == (length, step))
        return next((dim for dim in fitting if letters[dim] == "C"), None)

    kept = [(letter, dim) for dim, letter in enumerate(dims) if letter in "HWP"]
    found = list(letters)
    for letter, dim in kept:
        at_dim = find(before[dim], steps[dim], found)
        if at_dim is None:
            break
        found[at_dim] = letter
    else:
        return "".join(found)
    at = dict(kept)
    if set(at) == {"H", "W"} and at["W"] == at["H"] + 1:
        merged = find(before[at["H"]] * before[at["W"]], steps[at["W"]], letters)
        if merged is not None:
            letters[merged] = "P"
            return "".join(letters)
    if set(at) == {"P"}:
        for down, right in pairwise(range(1, len(after))):
            is_split = (after[down], after[right]) == pixels and new_steps[right] == steps[at["P"]]
            if is_split:
                letters[down], letters[right] = "H", "W"
                return "".join(letters)
    return None


def _macs(call: _Call) -> int:
    """Return the multiply-accumulates of a call, by PyTorch's own counter."""
    # Here: most networks do not need it, and it takes 0.2 s.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call.function(*call.args, **call.kwargs)
    return int(counter.get_total_flops()) // 2
