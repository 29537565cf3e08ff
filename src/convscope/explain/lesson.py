"""What kernel size, stride and padding do in one layer, in words: the sentences of the sample.

The terms are those of Dumoulin and Visin, "A guide to convolution arithmetic for deep learning"
(2016), and of torch.nn.Conv2d's documentation.
"""

from __future__ import annotations

from convscope.explain.phrases import size
from convscope.explain.rules import (
    even_kernel,
    findings,
    padding_only_outputs,
    skipped_pixels,
    unread_border,
)
from convscope.geometry import ConvShape, LayerGeometry, NetworkGeometry, Pair, network_geometry
from convscope.geometry.label import pair_token
from convscope.geometry.sizes import output_size

_ONE_LAYER_RULES = (unread_border, skipped_pixels, padding_only_outputs, even_kernel)


def one_layer(input_size: Pair, conv: ConvShape) -> NetworkGeometry:
    """Geometry of one filter on one channel.

    Raises:
        ImpossibleVariant: the output would be empty.
    """
    return network_geometry((1, *input_size), (conv,), channels=(1,), pool_after=(), classes=1)


def lesson(input_size: Pair, conv: ConvShape) -> list[str]:
    """A sentence each on kernel, stride, padding and size; then what stands out."""
    geometry = one_layer(input_size, conv)
    layer = geometry.layers[0]
    said = findings(geometry)
    notes = [said[rule.__name__] for rule in _ONE_LAYER_RULES if rule.__name__ in said]
    always = [about_kernel(layer), about_stride(layer), about_padding(layer), about_size(layer)]
    return [*always, *notes]


def about_kernel(layer: LayerGeometry) -> str:
    kernel = size(layer.kernel_size)
    return (
        f"The kernel size is the area that the filter sees: with weights 1 and bias 0 each output"
        f" is the sum of a {kernel} window."
    )


def about_stride(layer: LayerGeometry) -> str:
    unit, places = _places(layer, (1, 1)), layer.out_shape[1:]
    if layer.stride == (1, 1):
        return f"Stride 1: the window moves pixel by pixel, over {size(places)} places."
    step = f"A stride above 1 shrinks the output: the window moves {_steps(layer.stride)} at a time"
    if places == unit:
        return f"Stride {pair_token(layer.stride)} changes nothing: there is one place to go to."
    return f"{step}, to {size(places)} places instead of the {size(unit)} at stride 1."


def about_padding(layer: LayerGeometry) -> str:
    inside, outside = layer.in_shape[1:], layer.out_shape[1:]
    padded = _padded(layer)
    if padded == inside:
        if layer.kernel_size == (1, 1):
            return "Without padding: a 1x1 window needs none."
        return (
            "Without padding the window stays inside: at stride 1 the output is"
            f" {_less(layer.kernel_size)} smaller (kernel size - 1), and one window alone reads a"
            " corner pixel."
        )
    if layer.stride == (1, 1) and inside == outside:
        effect = "Padding keeps the size at stride 1"
    elif layer.stride == (1, 1) and min(a - b for a, b in zip(outside, inside, strict=True)) >= 0:
        effect = "Padding beyond half the kernel makes the output larger than the input"
    else:
        effect = "Padding makes room for more windows"
    windows = _corner_windows(layer)
    saved = (
        f"and it saves the edge's information: {windows} windows instead of 1 read a corner pixel"
        if windows > 1
        else "though here no more windows read a corner pixel than without it"
    )
    return f"{effect}: zeros around {size(inside)} make it {size(padded)}, {saved}."


def about_size(layer: LayerGeometry) -> str:
    """The formula of torch.nn.Conv2d, "Shape", with its numbers (dilation 1)."""
    texts = [
        f"floor(({pixels} + {before} + {after} - {kernel}) / {stride}) + 1 = {out}"
        for pixels, (before, after), kernel, stride, out in zip(
            layer.in_shape[1:],
            layer.padding,
            layer.kernel_size,
            layer.stride,
            layer.out_shape[1:],
            strict=True,
        )
    ]
    if texts[0] == texts[1]:
        return f"Height and width: {texts[0]}."
    return f"Height: {texts[0]}; width: {texts[1]}."


def _places(layer: LayerGeometry, stride: Pair) -> Pair:
    height, width = (
        output_size(layer.in_shape[1 + axis], layer.kernel_size[axis], stride[axis], sides)
        for axis, sides in enumerate(layer.padding)
    )
    return height, width


def _padded(layer: LayerGeometry) -> Pair:
    height, width = (
        pixels + sum(sides) for pixels, sides in zip(layer.in_shape[1:], layer.padding, strict=True)
    )
    return height, width


def _steps(stride: Pair) -> str:
    height, width = stride
    if height == width:
        return f"{height} pixels"
    return f"{height} down and {width} across"


def _less(kernel: Pair) -> str:
    height, width = kernel
    return str(height - 1) if height == width else f"{size((height - 1, width - 1))}"


def _corner_windows(layer: LayerGeometry) -> int:
    """Windows that read the input's first pixel."""
    count = 1
    for axis, (before, _) in enumerate(layer.padding):
        kernel, stride = layer.kernel_size[axis], layer.stride[axis]
        count *= sum(
            unit * stride <= before < unit * stride + kernel
            for unit in range(layer.out_shape[1 + axis])
        )
    return count
