"""A PyTorch module as a graph of layers, recorded from one forward pass without data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_map
from typing_extensions import override

from convscope.errors import UserError, on_one_line
from convscope.geometry import Graph, Shape
from convscope.modules.graph_net import BlurPool2d, DenseMaxPool2d, evaluating
from convscope.modules.operations import MULTIPLIES, OPERATIONS, READS_SHAPES, READS_VALUES
from convscope.modules.tape import BATCH, Call, Disagreement, Tape, is_plain_conv, tensors_in


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
    recorder = _Recorder(network, torch.empty(BATCH, *input_shape, device="meta"))
    with evaluating(network), torch.no_grad():
        output = recorder.run()
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != BATCH:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(
            f"the network must return class scores (batch, classes), got {came} for a batch of"
            f" {BATCH}"
        )
    if not recorder.tape.is_known(output):
        raise UserError("the network's output does not depend on the image")
    return _graph(recorder.tape, output, network)


def node_outputs(network: nn.Module, names: Collection[str], images: Tensor) -> dict[str, Tensor]:
    """Return the outputs of a network's nodes, also of those that are no modules.

    Args:
        network: on the device of the images, in evaluation mode.
        names: of nodes in the network's graph.
        images: (batch, channels, height, width).
    """
    several = images if len(images) >= BATCH else images.expand(BATCH, -1, -1, -1)
    recorder = _Recorder(network, several, names)
    recorder.run()
    return {name: recorder.tape.outputs[name][: len(images)] for name in names}


def _graph(tape: Tape, output: Tensor, network: nn.Module) -> Graph:
    """Return what was recorded, without layers that the output does not depend on."""
    needed = {tape.whole(output).node}
    for node in reversed(tape.nodes.values()):
        needed.update(node.inputs if node.name in needed else ())
    nodes = tuple(node for node in tape.nodes.values() if node.name in needed)
    trainable = sum(one.numel() for one in network.parameters() if one.requires_grad)
    in_nodes = sum(node.layer.params(tape.shapes[node.inputs[0]]) for node in nodes)
    return Graph(nodes, varied=(), other_params=trainable - in_nodes)


def _on_one_device(arguments: Any) -> Any:
    """Return nested arguments with constants on the meta device, if one of them is there."""
    places = {one.is_meta for one in tensors_in(arguments)}
    if len(places) < 2:
        return arguments
    return tree_map(
        lambda one: one.to("meta") if isinstance(one, Tensor) and not one.is_meta else one,
        arguments,
    )


class _Recorder(TorchFunctionMode):
    """Records what is called on tensors that depend on the image."""

    def __init__(self, network: nn.Module, images: Tensor, wanted: Collection[str] = ()) -> None:
        super().__init__()
        self.tape = Tape(network, images, wanted)
        self._network = network
        self._images = images
        self._is_paused = False
        self._shared_macs = 0
        """Of what does not depend on the image and no layer has counted yet."""

    def run(self) -> Any:
        """Run the network, and return its output.

        Raises:
            CannotRun: the network's own code, or PyTorch, refuses the image.
        """
        hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave),
        ]
        try:
            with self:
                # Not by a call: a compiled network would run other code.
                return nn.Module._call_impl(self._network, self._images)  # type: ignore[no-untyped-call]
        except (UserError, Disagreement):
            raise
        except Exception as error:
            raise CannotRun(f"{self._where} fails: {on_one_line(str(error))}") from error
        finally:
            for hook in hooks:
                hook.remove()

    @property
    def _where(self) -> str:
        return self.tape.path or "the network"

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note that a module's forward pass begins."""
        if self._is_paused:
            return
        if is_plain_conv(module) or isinstance(module, DenseMaxPool2d | BlurPool2d):
            for tensor in self.tape.known(inputs):
                self.tape.maps(tensor)
        self.tape.modules.append(module)

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Note that a module's forward pass ends.

        What it made of the image in a way that cannot be followed counts as one layer.
        """
        if self._is_paused:
            return
        given = self.tape.known(inputs)
        if given and not all(map(self.tape.is_known, tensors_in(output))):
            call = Call(type(module).__name__, module.forward, inputs, {}, output, given)
            weights = self.tape.count(module.parameters())
            self.tape.mix(call, weights, self._macs(call), self.tape.path)
        self.tape.modules.pop()

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if self._is_paused:
            return func(*args, **named)
        given = self.tape.known((args, named))
        name = (resolve_name(func) or getattr(func, "__name__", "")).removesuffix(".__get__")
        name = name.rsplit(".", 1)[-1]
        if given and name in READS_VALUES:
            raise UserError(
                f"{self._where} decides by the values of an image ({name}), so its layers are not"
                " the same for every image"
            )
        if self._images.is_meta:
            args, named = _on_one_device((args, named))
        output = func(*args, **named)
        call = Call(name.strip("_"), func, args, named, output, given)
        if not given:
            if call.name in MULTIPLIES:
                self._shared_macs += self._macs(call)
        elif name not in READS_SHAPES:
            # An assignment to a part of a tensor returns nothing.
            self._record(replace(call, output=args[0]) if name == "__setitem__" else call)
        return output

    def _record(self, call: Call) -> None:
        if not any(True for _ in tensors_in(call.output)):
            return
        module = self.tape.modules[-1]
        own = module.layer if isinstance(module, DenseMaxPool2d | BlurPool2d) else None
        if (own or is_plain_conv(module)) and call.name not in ("conv2d", "max_pool2d"):
            # It pads or takes every n-th pixel, as part of the layer.
            self.tape.alias(call.output, *self.tape.value(call.given[0]))
            return
        if own:
            source = self.tape.value(call.given[0]).node
            self.tape.add(own, (source,), call.output, "NCHW", self.tape.path)
            return
        operation = OPERATIONS.get(call.name)
        if operation is None or not operation(self.tape, call):
            cost = self._macs(call) if call.name in MULTIPLIES else 0
            cost, self._shared_macs = cost + self._shared_macs, 0
            self.tape.mix(call, self.tape.count(call.parameters), cost, self.tape.name(call.name))

    def _macs(self, call: Call) -> int:
        """Return a call's multiply-accumulates per image, by PyTorch's own counter."""
        if not self._images.is_meta:
            return 0
        # Here: most networks do not need it, and it takes 0.2 s.
        from torch.utils.flop_counter import FlopCounterMode

        self._is_paused = True
        with FlopCounterMode(display=False) as counter:
            call.function(*call.args, **call.kwargs)
        self._is_paused = False
        has_batch = call.given or len(call.output) == self.tape.batch
        return int(counter.get_total_flops()) // (2 * self.tape.batch if has_batch else 2)
