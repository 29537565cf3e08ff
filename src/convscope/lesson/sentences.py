"""Sentences that explain what kernel size, stride and padding do in one layer.

The terms are those of Dumoulin and Visin, "A guide to convolution arithmetic for deep learning"
(2016), and of torch.nn.Conv2d's documentation.
"""

from __future__ import annotations

from dataclasses import replace

from convscope.geometry import (
    ConvSpec,
    LayerGeometry,
    NetworkGeometry,
    Pair,
    Sides,
    network_geometry,
    pair_token,
)
from convscope.geometry.factors import symmetric
from convscope.geometry.rules import (
    even_kernel,
    padding_only_outputs,
    skipped_pixels,
    uneven_reads,
    unused_border,
)
from convscope.networks.stack import stack
from convscope.text import counted, size

_NO_PADDING = symmetric((0, 0))
_ONE_LAYER_RULES = (unused_border, skipped_pixels, uneven_reads, padding_only_outputs, even_kernel)


def one_layer(input_size: Pair, conv: ConvSpec) -> NetworkGeometry:
    """Return the geometry of one filter on an input of one channel.

    Raises:
        ImpossibleVariant: PyTorch would refuse the layer.
    """
    graph = stack(channels=(1,), pool_after=(), classes=1).with_specs([conv])
    return network_geometry(graph, (1, *input_size))


def lesson(input_size: Pair, conv: ConvSpec) -> list[str]:
    """Return sentences on kernel size, stride, padding and output size, then the findings."""
    geometry = one_layer(input_size, conv)
    layer = geometry.layers[0]
    found = [sentence for rule in _ONE_LAYER_RULES if (sentence := rule(geometry)) is not None]
    return [
        *(about_kernel(layer), about_stride(layer), about_padding(layer), layer.size_formula),
        *found,
    ]


def about_kernel(layer: LayerGeometry) -> str:
    """Return the sentence on the kernel size."""
    kernel = size(layer.conv.kernel_size)
    return (
        "The kernel size is the area of the input that one output is computed from: with weights 1"
        f" and bias 0 each output is the sum of a {kernel} window."
    )


def about_stride(layer: LayerGeometry) -> str:
    """Return the sentence on what the stride does to the number of windows."""
    windows = _outputs(layer, layer.conv.padding)
    at_stride_1 = _outputs(layer, layer.conv.padding, (1, 1))
    if layer.conv.stride == (1, 1):
        return f"Stride 1: the window moves pixel by pixel, over {size(windows)} positions."
    if windows == at_stride_1:
        axes = [axis for axis, stride in enumerate(layer.conv.stride) if stride > 1]
        where = f"in {('height', 'width')[axes[0]]} " if len(axes) == 1 else ""
        stride = pair_token(layer.conv.stride)
        return f"Stride {stride} changes nothing: {where}the window has only one position."
    height, width = layer.conv.stride
    steps = f"{height} pixels" if height == width else f"{height} down and {width} across"
    return (
        f"A stride above 1 shrinks the output: the window moves {steps} at a time, to"
        f" {size(windows)} positions instead of the {size(at_stride_1)} at stride 1."
    )


def about_padding(layer: LayerGeometry) -> str:
    """Return the sentence on what padding does to the output size and to the corner pixels."""
    height, width = (
        pixels + axis.before + axis.after
        for axis, pixels in zip(layer.conv.axes, layer.size, strict=True)
    )
    inside, padded = layer.size, (height, width)
    corners = _corners(layer, layer.conv.padding)
    if padded == inside:
        if layer.conv.kernel_size == (1, 1):
            return "Without padding: a 1x1 kernel needs none."
        less = pair_token([length - 1 for length in layer.conv.kernel_size])
        return (
            "Without padding the window stays inside: at stride 1 the output is"
            f" {less} smaller (kernel size - 1), and {corners}."
        )
    if 0 not in _outputs(layer, _NO_PADDING):
        least, most = _corner_windows(layer, _NO_PADDING)
        before = str(most) if least == most else f"{least} to {most}"
        unchanged = (least, most) == _corner_windows(layer, layer.conv.padding)
        corners += ", as without padding" if unchanged else f" instead of {before}"
    return f"{_padding_effect(layer)}: {size(inside)} becomes {size(padded)}, and {corners}."


def _padding_effect(layer: LayerGeometry) -> str:
    inside, outside, bare = layer.in_shape[1:], layer.out_shape[1:], _outputs(layer, _NO_PADDING)
    if layer.conv.stride == (1, 1) and inside == outside:
        return "Padding keeps the size at stride 1"
    if layer.conv.stride == (1, 1) and all(a >= b for a, b in zip(outside, inside, strict=True)):
        return "Padding above half the kernel makes the output larger than the input"
    if 0 in bare:
        return "Padding makes room for the window, which would not fit without it"
    if bare == outside:
        return "Padding makes no room for another window here"
    return f"Padding makes room for more windows, {size(outside)} instead of {size(bare)}"


def _outputs(layer: LayerGeometry, padding: Sides, stride: Pair | None = None) -> Pair:
    """Return height and width of the output with another padding, or another stride."""
    conv = replace(layer.conv, stride=stride or layer.conv.stride, padding=padding)
    return conv.output_size(layer.size)


def _corners(layer: LayerGeometry, padding: Sides) -> str:
    least, most = _corner_windows(layer, padding)
    if least == most:
        return f"each corner pixel lies in {counted(most, 'window')}"
    return f"the corner pixels lie in {least} to {most} windows"


def _corner_windows(layer: LayerGeometry, padding: Sides) -> Pair:
    """Return the fewest and the most windows that cover a corner pixel of the input."""
    rows, columns = (
        [
            sum(pixel in axis.window(output) for output in range(axis.outputs(pixels)))
            for pixel in (0, pixels - 1)
        ]
        for axis, pixels in zip(replace(layer.conv, padding=padding).axes, layer.size, strict=True)
    )
    counts = [row * column for row in rows for column in columns]
    return min(counts), max(counts)
