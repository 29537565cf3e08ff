"""A network as a directed graph of layers, and the arithmetic of each kind of layer.

Plain values, without torch. A stack of conv blocks is the simplest graph; additions and
concatenations join the branches of others.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from itertools import permutations
from math import prod
from typing import Any, Literal

from typing_extensions import override

from convscope.geometry.conv import ConvSpec, GeometryError, Pair
from convscope.text import listed, size, with_article

Shape = tuple[int, int, int]
"""(channels, height, width); a vector of n numbers is (n, 1, 1)."""

IMAGE = "image"
"""Name of the network's input among the inputs of a node."""


@dataclass(frozen=True)
class Field:
    """Image pixels along one axis that the units of a map are computed from.

    Unit 0 covers the pixels `first` to `last`, unit n the same pixels moved by n times `jump`;
    they are not clipped to the image. Araujo, Norris and Sim, "Computing Receptive Fields of
    Convolutional Neural Networks" (Distill, 2019).
    """

    first: int
    last: int
    jump: int

    @property
    def size(self) -> int:
        """The receptive field of a unit, in pixels."""
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        """Centre of unit 0's field, in pixels from the centre of the image's first pixel."""
        return (self.first + self.last) / 2


Fields = tuple[Field, Field]
"""Along the height and along the width."""

IMAGE_FIELDS: Fields = (Field(0, 0, 1), Field(0, 0, 1))


@dataclass(frozen=True)
class Layer:
    """What a node computes. This one keeps the shape of its only input and has no weights."""

    @property
    def kind(self) -> str:
        """What it is, for messages: `a ReLU`."""
        return with_article(type(self).__name__)

    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        """Return why PyTorch refuses these inputs; None where it accepts them.

        Args:
            shapes: of the inputs.
            sources: names of the layers that they come from.
        """
        return None

    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of the output for inputs of these shapes."""
        return shapes[0]

    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        """Return the receptive fields of the output's units; None where each covers the image."""
        return inputs[0]

    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        """Return the pixels of an input that units of the output are computed from.

        Args:
            axis: 0 for height, 1 for width.
            units: indices of the output's units along the axis.
            pixels: of the input along the axis.
        """
        return units

    def on(self, shape: Shape) -> Layer:
        """Return what the layer is for an input of this shape."""
        return self

    def params(self, shape: Shape) -> int:
        """Return the number of trainable parameters for an input of this shape."""
        return 0

    def macs(self, shape: Shape, out: Shape) -> int:
        """Return the multiply-accumulates per sample."""
        return 0


class _Window(Layer):
    """A layer whose units are computed from windows of its input."""

    @property
    def conv(self) -> ConvSpec:
        """Kernel size, stride, padding and dilation of the windows."""
        raise NotImplementedError

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        if inputs[0] is None:
            return None
        height, width = (
            Field(
                field.first - axis.before * field.jump,
                field.last + (axis.extent - 1 - axis.before) * field.jump,
                field.jump * axis.stride,
            )
            for field, axis in zip(inputs[0], self.conv.axes, strict=True)
        )
        return height, width

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        window = self.conv.axis(axis)
        return {pixel for unit in units for pixel in window.pixels(unit, pixels)}


class _WholeImage(Layer):
    """A layer whose every output may depend on its whole input."""

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        return None

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        return range(pixels)


@dataclass(frozen=True)
class Conv(_Window):
    """`torch.nn.Conv2d`.

    Attributes:
        channels: output channels.
        spec: kernel size, stride, padding, dilation and padding mode; None in a network that
            leaves them to the variant.
        groups: parts of the channels that are convolved separately.
        bias: whether each output channel has a bias.
        is_fixed: whether no variant can change it, as it is not a `torch.nn.Conv2d` module.
    """

    channels: int
    spec: ConvSpec | None = None
    groups: int = 1
    bias: bool = False
    is_fixed: bool = False

    @property
    @override
    def kind(self) -> str:
        return "a convolution but no plain torch.nn.Conv2d" if self.is_fixed else "a Conv2d"

    @property
    @override
    def conv(self) -> ConvSpec:
        """The arguments, once a variant has set them."""
        if self.spec is None:
            raise ValueError("a variant must set this convolution first")
        return self.spec

    @property
    def is_pointwise(self) -> bool:
        """Whether its kernel is 1x1."""
        return self.spec is not None and self.spec.kernel_size == (1, 1)

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        channels, *pixels = shapes[0]
        if channels % self.groups or self.channels % self.groups:
            return f"cannot divide {channels} to {self.channels} channels into {self.groups} groups"
        axes = zip(self.conv.axes, pixels, strict=True)
        return next(filter(None, (axis.refusal(length) for axis, length in axes)), None)

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (self.channels, *self.conv.output_size(shapes[0][1:]))

    @override
    def params(self, shape: Shape) -> int:
        weights = shape[0] // self.groups * self.channels * prod(self.conv.kernel_size)
        return weights + self.bias * self.channels

    @override
    def macs(self, shape: Shape, out: Shape) -> int:
        return shape[0] // self.groups * prod(self.conv.kernel_size) * prod(out)


@dataclass(frozen=True)
class Pool(_Window):
    """`torch.nn.MaxPool2d` or `AvgPool2d`.

    Attributes:
        window: its kernel size, stride, padding and dilation.
        ceil_mode: whether the output size is rounded up, so that the last window may reach beyond
            the edge; it must start inside the input or the padding before it.
        operation: what makes one value of a window's.
    """

    window: ConvSpec
    ceil_mode: bool = False
    operation: Literal["max", "avg"] = "max"

    @property
    @override
    def conv(self) -> ConvSpec:
        return self.window

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        return None if min(self.out_shape(shapes)) > 0 else "would have an empty output"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        channels, *pixels = shapes[0]
        height, width = (self._outputs(axis, length) for axis, length in enumerate(pixels))
        return channels, height, width

    def _outputs(self, axis: int, pixels: int) -> int:
        """Return the outputs along an axis, as torch.nn.MaxPool2d, "Shape"."""
        window = self.conv.axis(axis)
        room = pixels + window.before + window.after - window.extent
        if not self.ceil_mode:
            return max(0, room // window.stride + 1)
        outputs = -(-room // window.stride) + 1
        starts_inside = (outputs - 1) * window.stride < pixels + window.before
        return max(0, outputs if starts_inside else outputs - 1)


@dataclass(frozen=True)
class Pad(Layer):
    """`torch.nn.functional.pad`: pixels around a map, negative ones are cut off.

    Attributes:
        sides: pixels on each side, ((top, bottom), (left, right)).
    """

    sides: tuple[Pair, Pair]

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        return None if min(self.out_shape(shapes)) > 0 else "would have an empty output"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        channels, *pixels = shapes[0]
        height, width = (n + sum(side) for n, side in zip(pixels, self.sides, strict=True))
        return channels, height, width

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        if inputs[0] is None:
            return None
        height, width = (
            Field(field.first - before * field.jump, field.last - before * field.jump, field.jump)
            for field, (before, _) in zip(inputs[0], self.sides, strict=True)
        )
        return height, width

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        before, _ = self.sides[axis]
        return {unit - before for unit in units if 0 <= unit - before < pixels}


@dataclass(frozen=True)
class Slice(Pad):
    """Every stride-th pixel of a map, after pixels around it are cut off: `maps[..., 1::2, 1::2]`.

    Attributes:
        stride: pixels from one to the next, (down, right).
    """

    stride: Pair = (1, 1)

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        channels, *pixels = super().out_shape(shapes)
        height, width = (-(-n // stride) for n, stride in zip(pixels, self.stride, strict=True))
        return channels, height, width

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        return _strided(super().fields(inputs), self.stride)

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        return super().reads(axis, {unit * self.stride[axis] for unit in units}, pixels)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """`torch.nn.BatchNorm2d`.

    Attributes:
        affine: whether each channel has a weight and a bias.
    """

    affine: bool = True

    @override
    def params(self, shape: Shape) -> int:
        return 2 * shape[0] * self.affine


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity without weights.

    Attributes:
        name: that of its class in `torch.nn`.
    """

    name: str = "ReLU"

    @property
    @override
    def kind(self) -> str:
        return with_article(self.name)


@dataclass(frozen=True)
class Pointwise(Layer):
    """Any other layer that computes each pixel of its output from the same pixel of its input.

    Normalisations count as such, also those by statistics of whole maps, such as GroupNorm.

    Attributes:
        channels: output channels; None keeps those of the input.
        weights: trainable parameters.
        macs_per_pixel: multiply-accumulates per pixel of the output.
    """

    channels: int | None = None
    weights: int = 0
    macs_per_pixel: int = 0

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        channels, height, width = shapes[0]
        return self.channels or channels, height, width

    @override
    def params(self, shape: Shape) -> int:
        return self.weights

    @override
    def macs(self, shape: Shape, out: Shape) -> int:
        return self.macs_per_pixel * prod(out[1:])


@dataclass(frozen=True)
class Shortcut(Layer):
    """The shortcut of He et al. (2016), option A, which has no weights.

    Every stride-th pixel, and zeros for the channels that are added.
    """

    channels: int
    stride: Pair = (1, 1)

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        _, *pixels = shapes[0]
        height, width = (-(-n // stride) for n, stride in zip(pixels, self.stride, strict=True))
        return self.channels, height, width

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        return _strided(inputs[0], self.stride)

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        return {unit * self.stride[axis] for unit in units}


@dataclass(frozen=True)
class Merge(Layer):
    """An elementwise operation on several maps of the same size.

    A map of 1x1 pixels or of one channel serves all pixels or channels, as PyTorch broadcasts it.

    Attributes:
        verb: what it does with them, for messages: `add`, `multiply`.
    """

    verb: str = "add"

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        if all(
            len({length for length in lengths if length != 1}) < 2 for lengths in _by_dim(shapes)
        ):
            return None
        return f"cannot {self.verb} {_maps(shapes, sources)}"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        channels, height, width = map(max, _by_dim(shapes))
        return channels, height, width

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        return _joined(inputs)

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        return units if pixels > 1 else {0}


@dataclass(frozen=True)
class Concat(Layer):
    """Maps of the same size, one after the other along the channels."""

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        if len({shape[1:] for shape in shapes}) == 1:
            return None
        return f"cannot concatenate {_maps(shapes, sources)}"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        return _joined(inputs)


@dataclass(frozen=True)
class GlobalPool(_WholeImage):
    """The mean or the largest value of each channel's whole map."""

    operation: Literal["max", "avg"] = "avg"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0][0], 1, 1


@dataclass(frozen=True)
class AdaptivePool(_WholeImage):
    """`torch.nn.AdaptiveAvgPool2d` or `AdaptiveMaxPool2d` to more than one pixel.

    Attributes:
        output_size: (height, width) of the output, whatever the input's.
    """

    output_size: Pair

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (shapes[0][0], *self.output_size)

    @override
    def on(self, shape: Shape) -> Layer:
        if any(whole % part for whole, part in zip(shape[1:], self.output_size, strict=True)):
            return self
        height, width = (a // b for a, b in zip(shape[1:], self.output_size, strict=True))
        return Pool(ConvSpec((height, width), (height, width), ((0, 0), (0, 0))))

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        outputs = self.output_size[axis]
        return {
            pixel
            for unit in units
            for pixel in range(unit * pixels // outputs, -(-(unit + 1) * pixels // outputs))
        }


@dataclass(frozen=True)
class Flatten(_WholeImage):
    """All values of a map as one vector."""

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return prod(shapes[0]), 1, 1


@dataclass(frozen=True)
class Linear(_WholeImage):
    """`torch.nn.Linear` of a vector.

    Attributes:
        outputs: length of the output.
        inputs: length of the input that its weights have been made for; None takes any.
        bias: whether each output has a bias.
    """

    outputs: int
    inputs: int | None = None
    bias: bool = True

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        features = prod(shapes[0])
        if self.inputs in (None, features):
            return None
        return f"takes {self.inputs:,} values and would get {features:,}"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return self.outputs, 1, 1

    @override
    def params(self, shape: Shape) -> int:
        return (prod(shape) + self.bias) * self.outputs

    @override
    def macs(self, shape: Shape, out: Shape) -> int:
        return prod(shape) * self.outputs


@dataclass(frozen=True)
class Mixing(_WholeImage):
    """A layer that is not one of the others: each output may depend on the whole input.

    Attributes:
        name: of its class or function.
        takes: shapes of its inputs when the network was traced, the only ones that it is known for.
        gives: shape of its output then.
        weights: trainable parameters.
        cost: multiply-accumulates per sample.
    """

    name: str
    takes: tuple[Shape, ...]
    gives: Shape
    weights: int = 0
    cost: int = 0

    @property
    @override
    def kind(self) -> str:
        return with_article(self.name)

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        if tuple(shapes) == self.takes:
            return None
        return (
            f"is known for inputs of {listed(list(map(size, self.takes)))} only and would get "
            + (listed(list(map(size, shapes))))
        )

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return self.gives

    @override
    def params(self, shape: Shape) -> int:
        return self.weights

    @override
    def macs(self, shape: Shape, out: Shape) -> int:
        return self.cost


@dataclass(frozen=True)
class Node:
    """A layer in its place.

    Attributes:
        name: path of its module, such as `layer2.0.conv1`; unique in the graph.
        layer: what it computes.
        inputs: names of the nodes that it takes, or `IMAGE`.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Factory:
    """How a network that consists of PyTorch modules is constructed.

    Attributes:
        network: `torchvision` or `custom`.
        name: of torchvision's network, or the target of a custom one, `package.module:make_net`.
        in_channels: channels of the image.
        classes: length of the output.
        drop: paths of modules that the identity replaces.
        pool: kernel size, stride and padding of its pools; None keeps their own.
        folder: on Python's path when a custom one is imported.
        convs: paths of its convolutions in order of construction; "" for one that is not in the
            network.
        readers: paths of those whose input channels follow the image's.
        source: hash of the file that a custom one is defined in.
    """

    network: str
    name: str
    in_channels: int
    classes: int
    drop: tuple[str, ...] = ()
    pool: tuple[int | None, ...] = (None, None, None)
    folder: str = ""
    convs: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        nodes: in an order of computation; the last one gives the class scores.
        varied: names of the conv layers whose arguments a variant sets, in order of computation.
        other_params: trainable parameters that belong to no node.
        own_specs: arguments that the varied layers had before a variant set them; None in a
            network that leaves them to the variant.
        factory: of a network that consists of PyTorch modules.
    """

    nodes: tuple[Node, ...]
    varied: tuple[str, ...]
    other_params: int = 0
    own_specs: tuple[ConvSpec, ...] | None = None
    factory: Factory | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the layers, and of the file that a custom network is defined in.

        16 digits of the layers, then those of the file: an edited file is another network, though
        its layers may be the same.
        """
        nodes = [(node.name, _plain(node.layer), node.inputs) for node in self.nodes]
        layers = hashlib.sha256(repr(nodes).encode()).hexdigest()[:16]
        source = self.factory.source[:16] if self.factory else ""
        return f"{layers}-{source}" if source else layers

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Each node by its name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def convs(self) -> Mapping[str, Conv]:
        """All conv layers that can be varied, by name, in order of computation."""
        return {
            node.name: node.layer
            for node in self.nodes
            if isinstance(node.layer, Conv) and not node.layer.is_fixed
        }

    @property
    def specs(self) -> tuple[ConvSpec, ...]:
        """The arguments of the varied conv layers."""
        return tuple(self.convs[name].conv for name in self.varied)

    def varying(self, vary: str | Sequence[str]) -> Graph:
        """Return the network with other varied layers, whose present arguments become `own_specs`.

        Args:
            vary: `stem`, the conv layers that read the image; `all` that are not 1x1; or names,
                where `*` stands for any text.

        Raises:
            GeometryError: the network has no conv layer, or a name matches none.
        """
        if not self.convs:
            raise GeometryError("the network has no torch.nn.Conv2d to vary")
        match vary:
            case "stem":
                names = self._stem
                for node in self.nodes:
                    if isinstance(node.layer, Conv) and self.reads_image(node.name):
                        self._matching([node.name])
            case "all":
                names = self._larger_than_1x1
            case _:
                names = self._matching([vary] if isinstance(vary, str) else vary)
        if not names:
            raise GeometryError(f"model.vary={vary} names no conv layer: all of them are 1x1")
        chosen = replace(self, varied=names)
        return replace(chosen, own_specs=chosen.specs)

    @property
    def vary(self) -> str | list[str]:
        """What `varying` takes for the varied layers; the same however they were named."""
        for word, names in (("stem", self._stem), ("all", self._larger_than_1x1)):
            if self.varied == names:
                return word
        return list(self.varied)

    @property
    def _stem(self) -> tuple[str, ...]:
        readers = tuple(name for name in self.convs if self.reads_image(name))
        return readers or tuple(self.convs)[:1]

    @property
    def _larger_than_1x1(self) -> tuple[str, ...]:
        own = dict(zip(self.varied, self.own_specs or (), strict=False))
        return tuple(
            name
            for name, conv in self.convs.items()
            if own.get(name, conv.conv).kernel_size != (1, 1)
        )

    def reads_image(self, name: str) -> bool:
        """Return whether a layer's input is the image, or pointwise layers of it."""
        return self.source(self.by_name[name].inputs[0]) == IMAGE

    def _matching(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the conv layers that a pattern matches, in order of computation."""
        matching: set[str] = set()
        for pattern in patterns:
            found = fnmatch.filter(self.convs, pattern)
            if not found:
                raise GeometryError(self._unmatched(pattern))
            matching.update(found)
        return tuple(name for name in self.convs if name in matching)

    def _unmatched(self, pattern: str) -> str:
        others = fnmatch.filter(self.by_name, pattern)
        if others:
            what = self.by_name[others[0]].layer.kind
            return f"model.vary must name 2-d convolutions, {others[0]} is {what}"
        near = difflib.get_close_matches(pattern, self.convs, n=3, cutoff=0.4)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"they are {listed(list(self.convs))}"
        )
        return f"model.vary names no conv layer: {pattern}; {hint}"

    def with_specs(self, specs: Sequence[ConvSpec]) -> Graph:
        """Return the network with other arguments of the varied conv layers.

        The stride of a residual block's 1x1 or weightless shortcut follows the other branch.
        """
        if len(specs) != len(self.varied):
            raise ValueError(f"{len(specs)} convolutions for {len(self.varied)} varied layers")
        chosen = dict(zip(self.varied, specs, strict=True))
        nodes = [
            replace(node, layer=replace(self.convs[node.name], spec=chosen[node.name]))
            if node.name in chosen
            else node
            for node in self.nodes
        ]
        if any(isinstance(node.layer, Merge) for node in nodes):
            nodes = _with_shortcuts(nodes, self.varied)
        return replace(self, nodes=tuple(nodes))

    def without(self, paths: Collection[str]) -> Graph:
        """Return the network without the layers at these paths, or below them.

        Raises:
            GeometryError: a path names no layer, what gives several outputs or takes several, or
                what makes another number of channels, or a vector.
        """
        graph = self
        for path in paths:
            graph = graph._without(path)
        return graph

    def _without(self, path: str) -> Graph:
        inside = {one.name for one in self.nodes if f"{one.name}.".startswith(f"{path}.")}
        if not inside:
            raise GeometryError(f"model.drop names no layer: {path}")
        outside = [node for node in self.nodes if node.name not in inside]
        taken = {name for one in inside for name in self.by_name[one].inputs} - inside
        given = {name for node in outside for name in node.inputs} & inside
        if len(taken) != 1 or len(given) != 1:
            raise GeometryError(
                f"model.drop must name what has one input and one output, got {path}"
            )
        (source,), (replaced,) = taken, given
        if any(isinstance(self.by_name[name].layer, _WholeImage) for name in inside):
            raise GeometryError(f"model.drop must not name what makes a vector of maps, got {path}")
        before, after = self._channels(source), self._channels(replaced)
        if before != after:
            raise GeometryError(
                f"model.drop must name what keeps the number of channels, {path} makes {after} of"
                f" {before or 'the image'}"
            )
        nodes = tuple(
            replace(
                node, inputs=tuple(source if name == replaced else name for name in node.inputs)
            )
            for node in outside
        )
        varied = tuple(name for name in self.varied if name not in inside)
        return replace(self, nodes=nodes, varied=varied)

    def _channels(self, name: str) -> int | None:
        """Return the channels of a layer's output; None for those of the image."""
        if name == IMAGE:
            return None
        node = self.by_name[name]
        if isinstance(node.layer, Concat):
            return sum(self._channels(source) or 0 for source in node.inputs)
        return getattr(node.layer, "channels", None) or self._channels(node.inputs[0])

    def without_pointwise(self) -> Graph:
        """Return the network without layers that keep every shape: all sizes stay the same."""
        kept = {node.name for node in self.nodes if not _keeps_shape(node.layer)}

        def source(name: str) -> str:
            while name != IMAGE and name not in kept:
                name = self.by_name[name].inputs[0]
            return name

        nodes = tuple(
            replace(node, inputs=tuple(map(source, node.inputs)))
            for node in self.nodes
            if node.name in kept
        )
        return replace(self, nodes=nodes)

    def activation_after(self, name: str) -> str:
        """Return the activation that follows a layer, with pointwise layers between; or itself."""
        taking = {source: node for node in self.nodes for source in node.inputs}
        following = taking.get(name)
        while following is not None and isinstance(following.layer, _KEEP_PIXELS):
            if isinstance(following.layer, Activation):
                return following.name
            following = taking.get(following.name)
        return name

    def source(self, name: str) -> str:
        """Return the last layer at or before a node that is more than pointwise; or `IMAGE`."""
        while name != IMAGE and isinstance(self.by_name[name].layer, _KEEP_PIXELS):
            name = self.by_name[name].inputs[0]
        return name


_KEEP_PIXELS = BatchNorm, Activation, Pointwise


@dataclass(frozen=True)
class Refused:
    """The first layer that PyTorch refuses, with the shapes of its inputs and the reason."""

    node: Node
    shapes: tuple[Shape, ...]
    reason: str


def layer_shapes(graph: Graph, input_shape: Shape) -> tuple[dict[str, Shape], Refused | None]:
    """Return the shape of the image and of each node's output, by name and in order.

    Where PyTorch refuses a layer, the shapes end before it and the refusal is the second value.
    """
    shapes = {IMAGE: input_shape}
    for node in graph.nodes:
        inputs = tuple(shapes[name] for name in node.inputs)
        sources = [graph.source(name) for name in node.inputs] if len(inputs) > 1 else ()
        reason = node.layer.refusal(inputs, sources)
        if reason is not None:
            return shapes, Refused(node, inputs, reason)
        shapes[node.name] = node.layer.out_shape(inputs)
    return shapes, None


def _plain(value: Any) -> Any:
    """Return a layer as plain values, without its defaults: arguments may be added to a class."""
    if is_dataclass(value):
        given = {one.name: getattr(value, one.name) for one in fields(value)}
        own = {one.name: given[one.name] for one in fields(value) if given[one.name] != one.default}
        return type(value).__name__, {key: _plain(own[key]) for key in sorted(own)}
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def _keeps_shape(layer: Layer) -> bool:
    return isinstance(layer, _KEEP_PIXELS) and getattr(layer, "channels", None) is None


def _with_shortcuts(nodes: list[Node], varied: Collection[str]) -> list[Node]:
    """Return the nodes with strides of shortcuts such that both branches have the same jump."""
    index = {node.name: number for number, node in enumerate(nodes)}
    jumps: dict[str, Pair | None] = {IMAGE: (1, 1)}

    def ancestors(name: str) -> set[str]:
        """Return a node and all those that its output is computed from."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += nodes[index[name]].inputs if name != IMAGE else ()
        return found

    def shortcut(name: str, other: str) -> int | None:
        """Return the index of the shortcut from a layer of the other branch to this node."""
        while name != IMAGE and isinstance(nodes[index[name]].layer, _KEEP_PIXELS):
            (name,) = nodes[index[name]].inputs
        if name == IMAGE or name in varied:
            return None
        node = nodes[index[name]]
        can_follow = isinstance(node.layer, Shortcut) or (
            isinstance(node.layer, Conv) and node.layer.is_pointwise and not node.layer.is_fixed
        )
        return index[name] if can_follow and node.inputs[0] in ancestors(other) else None

    for number, node in enumerate(nodes):
        if isinstance(node.layer, Merge):
            for name, other in permutations(node.inputs, 2):
                jump, wanted = jumps[name], jumps[other]
                if jump is None or wanted is None or jump == wanted:
                    continue
                if (found := shortcut(name, other)) is not None:
                    nodes[found] = _at_jump(nodes[found], jump, wanted)
                    for one in nodes[found:number]:
                        jumps[one.name] = _jump_after(one.layer, [jumps[i] for i in one.inputs])
        jumps[node.name] = _jump_after(node.layer, [jumps[name] for name in node.inputs])
    return nodes


def _jump_after(layer: Layer, inputs: Sequence[Pair | None]) -> Pair | None:
    """Return the image pixels from one unit of a layer's output to the next.

    None for a vector. A map that is multiplied by one keeps its own, though each of its units is
    computed from the whole image then.
    """
    known = next((jump for jump in inputs if jump is not None), None)
    match layer:
        case _WholeImage():
            return None
        case _Window(conv=ConvSpec(stride=stride)) | Shortcut(stride=stride) | Slice(stride=stride):
            return known and (known[0] * stride[0], known[1] * stride[1])
    return known


def _jump(fields: Fields | None) -> Pair | None:
    return fields and (fields[0].jump, fields[1].jump)


def _at_jump(node: Node, jump: Pair, wanted: Pair) -> Node:
    """Return a shortcut with another stride; unchanged where no whole stride gives that jump."""
    layer = node.layer
    assert isinstance(layer, Conv | Shortcut)
    strides = layer.conv.stride if isinstance(layer, Conv) else layer.stride
    scaled = [s * new / old for s, new, old in zip(strides, wanted, jump, strict=True)]
    if not all(stride.is_integer() for stride in scaled):
        return node
    stride = int(scaled[0]), int(scaled[1])
    if isinstance(layer, Conv):
        return replace(node, layer=replace(layer, spec=replace(layer.conv, stride=stride)))
    return replace(node, layer=replace(layer, stride=stride))


def _strided(fields: Fields | None, stride: Pair) -> Fields | None:
    """Return the fields of every stride-th unit."""
    if fields is None:
        return None
    height, width = (
        replace(field, jump=field.jump * step) for field, step in zip(fields, stride, strict=True)
    )
    return height, width


def _joined(inputs: Sequence[Fields | None]) -> Fields | None:
    """Return the smallest fields that contain those of all inputs.

    Fields with different jumps drift apart from unit to unit: they count as the whole image.
    """
    known = [fields for fields in inputs if fields is not None]
    if len(known) < len(inputs) or len({_jump(fields) for fields in known}) > 1:
        return None
    height, width = (
        Field(min(f.first for f in along), max(f.last for f in along), along[0].jump)
        for along in zip(*known, strict=True)
    )
    return height, width


def _by_dim(shapes: Sequence[Shape]) -> list[tuple[int, ...]]:
    return list(zip(*shapes, strict=True))


def _maps(shapes: Sequence[Shape], sources: Sequence[str]) -> str:
    """Return maps by size and origin: `14x14 of conv1 and 12x12 of conv2`."""
    # Channels are named where the pixels agree.
    first = int(len({shape[1:] for shape in shapes}) > 1)
    return listed(
        [f"{size(shape[first:])} of {name}" for shape, name in zip(shapes, sources, strict=True)]
    )
