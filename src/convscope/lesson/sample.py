"""The tutorial's sample: the numbers 0, 1, 2, … convolved by `torch.nn.Conv2d` with weights 1."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import nn

from convscope.errors import UserError
from convscope.geometry import FACTORS, ConvSpec, Pair, pair_token, read_counts
from convscope.geometry.factors import symmetric
from convscope.geometry.label import short_padding
from convscope.geometry.layers import Conv
from convscope.lesson.sentences import about_kernel, about_padding, about_stride, lesson, one_layer

TUTORIAL_INPUT = (5, 5)
TUTORIAL = (
    (ConvSpec((3, 3), (1, 1), symmetric((0, 0))), about_kernel),
    (ConvSpec((3, 3), (2, 2), symmetric((0, 0))), about_stride),
    (ConvSpec((3, 3), (1, 1), symmetric((1, 1))), about_padding),
)
"""The tutorial's three convolutions, each with the function that explains it."""
PRESET_CHANNELS = (1, 10)
PRESET_INPUT = (28, 28)

_MOST_MACS = 200_000_000
_MOST_TERMS = 16
_PADS = {
    "zeros": nn.ZeroPad2d,
    "reflect": nn.ReflectionPad2d,
    "replicate": nn.ReplicationPad2d,
    "circular": nn.CircularPad2d,
}
"""The padding layer of each padding mode."""


@dataclass(frozen=True)
class Sample:
    """A convolution of the numbers 0, 1, 2, …, row by row.

    Attributes:
        constructor: the layer as written in Python.
        input: rows of the input (height, width).
        output_shape: (batch, channels, height, width).
        output: rows of the output (height, width).
        reads: how often the windows read each pixel of the input (height, width).
        first_sum: the sum that gives the first output; "" for a window of more than 16 values.
        sentences: explanations of the output.
    """

    constructor: str
    input: list[list[int]]
    output_shape: tuple[int, ...]
    output: list[list[int]]
    reads: list[list[int]]
    first_sum: str
    sentences: list[str]


def tutorial() -> list[Sample]:
    """Return the tutorial's three convolutions, each with the sentence that explains it."""
    samples = []
    for conv, about in TUTORIAL:
        layer = one_layer(TUTORIAL_INPUT, conv).layers[0]
        samples.append(_sample(TUTORIAL_INPUT, conv, [about(layer), layer.size_formula]))
    return samples


def sample(input_size: Pair, conv: ConvSpec) -> Sample:
    """Return a convolution with all sentences that explain it.

    Args:
        input_size: height and width of the input.
        conv: the convolution.

    Raises:
        ImpossibleVariant: PyTorch would refuse the layer.
        UserError: the computation would take long.
    """
    macs = one_layer(input_size, conv).layers[0].macs
    if macs > _MOST_MACS:
        raise UserError(
            f"--input must leave at most {_MOST_MACS:,} multiply-accumulates,"
            f" got {pair_token(input_size)} with {macs:,}; take a smaller input or kernel"
        )
    return _sample(input_size, conv, lesson(input_size, conv))


def preset_shapes(conv: ConvSpec) -> tuple[str, tuple[int, ...]]:
    """Return constructor and output shape of 10 filters on one 28x28 image of one channel."""
    with torch.no_grad():
        output = _layers(conv, *PRESET_CHANNELS)(torch.zeros(1, 1, *PRESET_INPUT))
    return constructor(conv, *PRESET_CHANNELS), tuple(output.shape)


def constructor(conv: ConvSpec, in_channels: int, out_channels: int) -> str:
    """Return the layer's Python code without defaults: `nn.Conv2d(1, 10, 5, stride=2)`.

    A padding layer comes first if the sides of the padding differ, which `nn.Conv2d` cannot do.
    """
    pad = _PADS[conv.padding_mode].__name__
    first, conv = _padded_first(conv)
    defaults = inspect.signature(nn.Conv2d).parameters
    values = _arguments(conv)
    kernel = values.pop("kernel_size")
    arguments = [str(in_channels), str(out_channels), str(kernel)]
    for key, value in values.items():
        if value != defaults[key].default:
            arguments.append(f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}")
    layer = f"nn.Conv2d({', '.join(arguments)})"
    return f"nn.{pad}({first}), {layer}" if any(first) else layer


def _layers(conv: ConvSpec, in_channels: int, out_channels: int) -> nn.Sequential:
    """Return the layers whose code `constructor` returns."""
    pad = _PADS[conv.padding_mode]
    first, conv = _padded_first(conv)
    layer = nn.Conv2d(in_channels, out_channels, **_arguments(conv))
    return nn.Sequential(pad(first), layer) if any(first) else nn.Sequential(layer)


def _padded_first(conv: ConvSpec) -> tuple[tuple[int, int, int, int], ConvSpec]:
    """Return the pixels (left, right, top, bottom) of the padding layer, and the conv after it."""
    (top, bottom), (left, right) = conv.padding
    if short_padding(conv) == "same" or (top == bottom and left == right):
        return (0, 0, 0, 0), conv
    rest = replace(conv, padding=symmetric((0, 0)), padding_mode="zeros")
    return (left, right, top, bottom), rest


def _arguments(conv: ConvSpec) -> dict[str, Any]:
    """Return the conv's arguments for `torch.nn.Conv2d`."""
    values = {factor.key: _argument(getattr(conv, factor.key)) for factor in FACTORS}
    return values | ({"padding": "same"} if short_padding(conv) == "same" else {})


def _argument(value: Any) -> Any:
    """Return a pair, or a padding with equal sides, as one number if both axes agree."""
    if not isinstance(value, tuple):
        return value
    height, width = (side[0] if isinstance(side, tuple) else side for side in value)
    return height if height == width else (height, width)


def _sample(input_size: Pair, conv: ConvSpec, sentences: Sequence[str]) -> Sample:
    # float64 represents every sum exactly.
    numbers = torch.arange(prod(input_size), dtype=torch.float64).reshape(1, 1, *input_size)
    layer = _layers(conv, 1, 1).double()
    nn.init.ones_(layer[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(layer[-1].bias)  # type: ignore[arg-type]
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch warns that it copies the input for `same` with an even kernel.
        warnings.simplefilter("ignore", UserWarning)
        output = layer(numbers)
    rows, columns = read_counts(Conv(1, conv), input_size, tuple(output.shape[2:]))
    return Sample(
        constructor=constructor(conv, 1, 1),
        input=numbers[0, 0].long().tolist(),
        output_shape=tuple(output.shape),
        output=output[0, 0].long().tolist(),
        reads=[[row * column for column in columns] for row in rows],
        first_sum=_first_sum(input_size, conv, int(output[0, 0, 0, 0])),
        sentences=list(sentences),
    )


def _first_sum(input_size: Pair, conv: ConvSpec, total: int) -> str:
    rows, columns = (
        [axis.pixel_at(position, size) for position in axis.window(0)]
        for axis, size in zip(conv.axes, input_size, strict=True)
    )
    if len(rows) * len(columns) > _MOST_TERMS:
        return ""
    terms = [
        0 if row is None or column is None else row * input_size[1] + column
        for row in rows
        for column in columns
    ]
    return f"{' + '.join(map(str, terms))} = {total}"
