"""The kinds of layers in a network's graph, and the arithmetic of each.

Plain values, without torch: the shape of the output, why PyTorch would refuse the inputs, receptive
fields, parameters and multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from typing_extensions import override

from convscope.geometry.conv import ConvSpec, Pair
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

        A pixel that a single unit reads several times, as through reflected padding, is returned as
        often; so is one with a fixed weight above 1, as in the middle of a blur.

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


class Window(Layer):
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
        return [pixel for unit in units for pixel in window.reads(unit, pixels)]


class WholeImage(Layer):
    """A layer whose every output may depend on its whole input."""

    @override
    def fields(self, inputs: Sequence[Fields | None]) -> Fields | None:
        return None

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        return range(pixels)


@dataclass(frozen=True)
class Conv(Window):
    """`torch.nn.Conv2d`.

    Attributes:
        channels: output channels.
        spec: kernel size, stride, padding, dilation and padding mode; None in a network that
            leaves them to the variant.
        groups: parts of the channels that are convolved separately.
        bias: whether each output channel has a bias.
        is_fixed: whether no variant can change it, because it is not a `torch.nn.Conv2d` module.
        is_dense: whether it is computed at stride 1, because a `Blur` behind it has its stride.
    """

    channels: int
    spec: ConvSpec | None = None
    groups: int = 1
    bias: bool = False
    is_fixed: bool = False
    is_dense: bool = False

    @property
    @override
    def kind(self) -> str:
        return "a convolution but no plain torch.nn.Conv2d" if self.is_fixed else "a Conv2d"

    @property
    def arguments(self) -> ConvSpec:
        """The arguments, once a variant has set them."""
        if self.spec is None:
            raise ValueError("a variant must set this convolution first")
        return self.spec

    @property
    @override
    def conv(self) -> ConvSpec:
        return replace(self.arguments, stride=(1, 1)) if self.is_dense else self.arguments

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
class Pool(Window):
    """`torch.nn.MaxPool2d` or `AvgPool2d`.

    Attributes:
        window: its kernel size, stride, padding and dilation.
        ceil_mode: whether the output size is rounded up, so that the last window may reach beyond
            the edge; it must start inside the input or the padding before it.
        operation: what makes one value of a window's.
        is_dense: whether the windows between those of its stride are computed too, because a `Blur`
            behind it has the stride.
    """

    window: ConvSpec
    ceil_mode: bool = False
    operation: Literal["max", "avg"] = "max"
    is_dense: bool = False

    @property
    @override
    def conv(self) -> ConvSpec:
        return replace(self.window, stride=(1, 1)) if self.is_dense else self.window

    @property
    def pads_too_much(self) -> bool:
        """Whether its padding is more than half its kernel, which PyTorch refuses."""
        return any(2 * axis.before > axis.extent for axis in self.window.axes)

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        if self.pads_too_much:
            return "would pad more than half its kernel"
        return None if min(self.out_shape(shapes)) > 0 else "would have an empty output"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        channels, *pixels = shapes[0]
        height, width = (self._outputs(axis, length) for axis, length in enumerate(pixels))
        return channels, height, width

    def _outputs(self, axis: int, pixels: int) -> int:
        """Return the outputs along an axis, as torch.nn.MaxPool2d, "Shape"."""
        window = self.window.axis(axis)
        room = pixels + window.before + window.after - window.extent
        outputs = max(0, room // window.stride + 1)
        if self.ceil_mode:
            outputs = -(-room // window.stride) + 1
            starts_inside = (outputs - 1) * window.stride < pixels + window.before
            outputs = max(0, outputs if starts_inside else outputs - 1)
        if not self.is_dense or outputs == 0:
            return outputs
        return max(room, (outputs - 1) * window.stride) + 1


@dataclass(frozen=True)
class Blur(Window):
    """The fixed filter [1, 2, 1] / 4 along each axis that has a stride, at that stride.

    "BlurPool" of Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019), with a filter
    of 3 pixels and an edge reflected by 1 pixel: the output has as many pixels as every stride-th
    pixel of the input, at the same positions. An axis with stride 1 is not blurred.

    It has no weights to train. Its multiply-accumulates are those of a convolution of each channel
    by itself, 9 per output value where both axes have a stride.

    Attributes:
        stride: pixels from one output to the next, (down, right).
    """

    stride: Pair

    @property
    @override
    def conv(self) -> ConvSpec:
        height, width = (1 if stride > 1 else 0 for stride in self.stride)
        return ConvSpec(
            (1 + 2 * height, 1 + 2 * width),
            self.stride,
            ((height, height), (width, width)),
            padding_mode="reflect",
        )

    @override
    def refusal(self, shapes: Sequence[Shape], sources: Sequence[str]) -> str | None:
        axes = zip(self.conv.axes, shapes[0][1:], strict=True)
        return next(filter(None, (axis.refusal(pixels) for axis, pixels in axes)), None)

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (shapes[0][0], *self.conv.output_size(shapes[0][1:]))

    @override
    def macs(self, shape: Shape, out: Shape) -> int:
        return prod(self.conv.kernel_size) * prod(out)

    @override
    def reads(self, axis: int, units: Collection[int], pixels: int) -> Collection[int]:
        stride = self.stride[axis]
        middles = [unit * stride for unit in units] if stride > 1 else []
        return [*super().reads(axis, units, pixels), *middles]


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
class GlobalPool(WholeImage):
    """The mean or the largest value of each channel's whole map."""

    operation: Literal["max", "avg"] = "avg"

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0][0], 1, 1


@dataclass(frozen=True)
class AdaptivePool(WholeImage):
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
class Flatten(WholeImage):
    """All values of a map as one vector."""

    @override
    def out_shape(self, shapes: Sequence[Shape]) -> Shape:
        return prod(shapes[0]), 1, 1


@dataclass(frozen=True)
class Linear(WholeImage):
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
class Mixing(WholeImage):
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


def jump_of(fields: Fields | None) -> Pair | None:
    """Return the jump along height and width; None where each unit covers the image."""
    return fields and (fields[0].jump, fields[1].jump)


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
    if len(known) < len(inputs) or len({jump_of(fields) for fields in known}) > 1:
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
