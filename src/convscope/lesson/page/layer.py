"""A layer of a network as the page shows it: its arguments, its input and sentences about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from convscope.errors import UserError
from convscope.geometry import ConvSpec, Graph, Pair, Shape
from convscope.geometry.graph import layer_shapes
from convscope.geometry.layers import Blur, Conv, Pool, Window
from convscope.geometry.network import with_room
from convscope.geometry.suggest_fix import require_possible
from convscope.text import near_or_all, size

LARGEST = 64
"""Largest input side, kernel size, stride and padding on the page, in pixels."""
SMALL_INPUT = (5, 5)
"""The tutorial's input."""


@dataclass(frozen=True)
class PageLayer:
    """A conv, pool or blur layer.

    Attributes:
        name: its name in the network.
        conv: its window. Rounding up in a pool is padding after the last pixel.
        size: height and width of its input; 5x5 where it is too large for the page.
        about: the network, the layer's shapes, and how it differs from what the page shows.
        groups: parts of the channels that are convolved separately; None for others.
    """

    name: str
    conv: ConvSpec
    size: Pair
    about: str
    groups: int | None


def page_layer(graph: Graph, input_shape: Shape, name: str, title: str) -> PageLayer:
    """Return a layer of a network.

    Args:
        graph: the network, with the variant's arguments.
        input_shape: (channels, height, width) of the image.
        name: the layer.
        title: the network in words.

    Raises:
        UserError: the network has no such conv, pool or blur layer.
        ImpossibleVariant: the layer is the first impossible one, or comes after it.
    """
    node = graph.by_name.get(name)
    if node is None or not isinstance(node.layer, Window):
        raise UserError(_unknown(graph, name))
    shapes, _ = layer_shapes(graph, input_shape)
    if name not in shapes:
        require_possible(graph, input_shape)
    before, after = shapes[node.inputs[0]], shapes[name]
    axes = [
        with_room(axis, pixels, outputs)
        for axis, pixels, outputs in zip(node.layer.conv.axes, before[1:], after[1:], strict=True)
    ]
    height, width = ((axis.before, axis.after) for axis in axes)
    conv = replace(node.layer.conv, padding=(height, width))
    fits = max(before[1:]) <= LARGEST
    sentences = [
        f"{title}.",
        f"The input of {name} is {size(before)}, its output {size(after)}.",
        *_differences(node.layer, before[0]),
        *(
            []
            if conv == node.layer.conv
            else ["Its output size is rounded up; here, padding after the last pixel does that."]
        ),
        *(
            []
            if fits
            else [f"The page shows at most {LARGEST} pixels, so its input is smaller here."]
        ),
    ]
    return PageLayer(
        name,
        conv,
        before[1:] if fits else SMALL_INPUT,
        " ".join(sentences),
        node.layer.groups if isinstance(node.layer, Conv) else None,
    )


def _differences(layer: Window, channels: int) -> list[str]:
    if isinstance(layer, Blur):
        return [
            "It is a blur: a window is weighted by [1, 2, 1] / 4 along each axis with a stride, in"
            " place of the kernel here."
        ]
    if isinstance(layer, Pool):
        value = {"max": "largest value", "avg": "mean"}[layer.operation]
        return [f"It is a pool: the {value} of a window is its output, in place of the sum here."]
    assert isinstance(layer, Conv)
    if layer.groups > 1:
        part = channels // layer.groups
        return [
            f"It has {layer.groups} groups: each output channel is computed from"
            f" {part} of the {channels} input channels."
        ]
    if channels > 1:
        return [
            f"Each output value is a sum over the windows in all {channels} input channels; of"
            " numbers, one channel is shown."
        ]
    return []


def _unknown(graph: Graph, name: str) -> str:
    if name in graph.by_name:
        return f"--layer must name a conv or pool layer, {name} is {graph.by_name[name].layer.kind}"
    names = [node.name for node in graph.nodes if isinstance(node.layer, Window)]
    hint = near_or_all(name, names)
    return f"--layer names no conv or pool layer of the network: {name}; {hint}"
