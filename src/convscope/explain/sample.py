"""The tutorial's sample: numbers 0, 1, 2, … convolved by `torch.nn.Conv2d` with weights 1."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from convscope.errors import UserError
from convscope.explain.lesson import (
    about_kernel,
    about_padding,
    about_size,
    about_stride,
    lesson,
    one_layer,
)
from convscope.geometry import ConvShape, Pair
from convscope.geometry.label import pair_token
from convscope.geometry.shapes import symmetric

if TYPE_CHECKING:
    from torch import Tensor, nn

TUTORIAL_INPUT = (5, 5)
TUTORIAL = (
    (ConvShape((3, 3), (1, 1), symmetric((0, 0))), about_kernel),
    (ConvShape((3, 3), (2, 2), symmetric((0, 0))), about_stride),
    (ConvShape((3, 3), (1, 1), symmetric((1, 1))), about_padding),
)
"""The three convolutions, each with the sentence on what it shows."""

PRESETS = ("k3-s1-p0", "k5-s2-p0", "k3-s1-p1")
"""The tutorial's three constructor examples, as files of `configs/conv`."""

PRESET_CHANNELS = (1, 10)
PRESET_INPUT = (28, 28)

_MOST_MACS = 200_000_000
_MOST_TERMS = 16


@dataclass(frozen=True)
class Sample:
    """One convolution of the numbers 0, 1, 2, …, row by row.

    Attributes:
        constructor: the layer as written in Python.
        output: height rows of width values.
        first_sum: the first output as a sum of its window; "" where the window is large.
        sentences: what changed and why.
    """

    constructor: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output: list[list[int]]
    first_sum: str
    sentences: list[str]


def tutorial() -> list[Sample]:
    """The tutorial's three convolutions of a 5x5 input."""
    samples = []
    for conv, about in TUTORIAL:
        layer = one_layer(TUTORIAL_INPUT, conv).layers[0]
        samples.append(_sample(TUTORIAL_INPUT, conv, [about(layer), about_size(layer)]))
    return samples


def sample(input_size: Pair, conv: ConvShape) -> Sample:
    """The same for any geometry and input (height, width).

    Raises:
        ImpossibleVariant: the output would be empty.
        UserError: so large that it would take long.
    """
    macs = one_layer(input_size, conv).layers[0].macs
    if macs > _MOST_MACS:
        raise UserError(
            f"--input must leave at most {_MOST_MACS:,} multiply-accumulates,"
            f" got {pair_token(input_size)} with {macs:,}; take a smaller input or kernel"
        )
    return _sample(input_size, conv, lesson(input_size, conv))


def preset_shapes(conv: ConvShape) -> tuple[str, tuple[int, ...]]:
    """Constructor and output shape of a preset with 10 filters, on one grey 28x28 image."""
    import torch

    with torch.no_grad():
        output = _conv2d(conv, *PRESET_CHANNELS)(torch.zeros(1, 1, *PRESET_INPUT))
    return constructor(conv, *PRESET_CHANNELS), tuple(output.shape)


def input_numbers(input_size: Pair) -> Tensor:
    """0, 1, 2, … row by row as (1, 1, height, width); float64, which holds every sum exactly."""
    import torch

    return torch.arange(prod(input_size), dtype=torch.float64).reshape(1, 1, *input_size)


def constructor(conv: ConvShape, in_channels: int, out_channels: int) -> str:
    """`nn.Conv2d(1, 10, 5, stride=2)`: what equals torch's default is left out."""
    words = [str(in_channels), str(out_channels), _argument(conv.kernel_size)]
    if conv.stride != (1, 1):
        words.append(f"stride={_argument(conv.stride)}")
    padding = _padding(conv)
    if padding != (0, 0):
        words.append(f"padding={_argument(padding)}")
    return f"nn.Conv2d({', '.join(words)})"


def _sample(input_size: Pair, conv: ConvShape, sentences: Sequence[str]) -> Sample:
    import torch
    from torch import nn

    numbers = input_numbers(input_size)
    layer = _conv2d(conv, 1, 1).double()
    nn.init.ones_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    with torch.no_grad(), warnings.catch_warnings():
        # Torch warns that it copies the input for `same` with an even kernel.
        warnings.simplefilter("ignore", UserWarning)
        output = layer(numbers)
    return Sample(
        constructor=constructor(conv, 1, 1),
        input_shape=tuple(numbers.shape),
        output_shape=tuple(output.shape),
        output=output[0, 0].long().tolist(),
        first_sum=_first_sum(input_size, conv, int(output[0, 0, 0, 0])),
        sentences=list(sentences),
    )


def _conv2d(conv: ConvShape, in_channels: int, out_channels: int) -> nn.Conv2d:
    from torch import nn

    return nn.Conv2d(in_channels, out_channels, conv.kernel_size, conv.stride, _padding(conv))


def _padding(conv: ConvShape) -> Pair | str:
    """As torch takes it: `same` where the two sides of an axis differ."""
    (top, bottom), (left, right) = conv.padding
    return (top, left) if (top, left) == (bottom, right) else "same"


def _argument(value: Pair | str) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value[0]) if value[0] == value[1] else str(value)


def _first_sum(input_size: Pair, conv: ConvShape, total: int) -> str:
    kernel_height, kernel_width = conv.kernel_size
    if kernel_height * kernel_width > _MOST_TERMS:
        return ""
    (top, _), (left, _) = conv.padding
    height, width = input_size
    terms = [
        row * width + column if 0 <= row < height and 0 <= column < width else 0
        for row in range(-top, kernel_height - top)
        for column in range(-left, kernel_width - left)
    ]
    return f"{' + '.join(map(str, terms))} = {total}"
