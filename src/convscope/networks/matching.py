"""Channels that give a variant the multiply-accumulates of a reference network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, islice, product
from math import lcm
from typing import Any

from convscope.geometry import ConvSpec, Graph, ImpossibleVariant, Shape, variant_label
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import layer_shapes
from convscope.networks import own_graph
from convscope.text import count, percent

TOLERANCE = 0.05
"""Largest relative difference of MACs that are called equal."""
MOST_TIMES = 16
"""Largest factor on the channels: a wider network has other limits than its convolutions."""
_MOST_CHANGES = 1_000
"""Most ways to change single layers that are tried; all of up to 6 layers."""
_STACK = ConvSpec(kernel_size=(3, 3), stride=(1, 1), padding=symmetric((1, 1)))
"""The convolutions of configs/conv/k3-s1-p1.yaml, which a stack has by default."""


def reference_specs(graph: Graph) -> tuple[ConvSpec, ...]:
    """Return the convolutions that a network has where no key of `conv` is set.

    Args:
        graph: the network before a variant sets its convolutions.
    """
    return (_STACK,) * len(graph.varied) if graph.own_specs is None else graph.own_specs


@lru_cache(maxsize=1_000)
def graph_macs(graph: Graph, input_shape: Shape) -> int | None:
    """Return the multiply-accumulates per image; None of a network that PyTorch refuses.

    Args:
        graph: the network, with all conv arguments set.
        input_shape: (channels, height, width) of the image.
    """
    shapes, refused = layer_shapes(graph, input_shape)
    if refused is not None:
        return None
    return sum(node.layer.macs(shapes[node.inputs[0]], shapes[node.name]) for node in graph.nodes)


def unscaled(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a `model` config with the channels before `match=macs` scaled them."""
    others = {key: value for key, value in model.items() if key != "matched_from"}
    return others | ({"channels": base} if (base := model.get("matched_from")) else {})


def reference_macs(model: Mapping[str, Any], classes: int, input_shape: Shape) -> int | None:
    """Return the multiply-accumulates of the reference: the network with no key of `conv` set.

    Args:
        model: values of the `model` config, whose channels may be scaled.
        classes: outputs of the head.
        input_shape: (channels, height, width) of the image.

    Returns:
        None where the reference is impossible.
    """
    graph = own_graph(unscaled(model), classes)
    return graph_macs(graph.with_specs(reference_specs(graph)), input_shape)


def are_equal(macs: int, reference: int) -> bool:
    """Return whether two numbers of MACs are equal within 5 % of the second."""
    return abs(macs - reference) <= TOLERANCE * reference


def matched_channels(
    model: Mapping[str, Any], classes: int, input_shape: Shape, convs: Sequence[ConvSpec]
) -> list[int]:
    """Return the channels with which a variant has the MACs of the reference, within 5 %.

    All channels are multiplied by one factor, at most `MOST_TIMES`, and rounded to whole numbers,
    at least 1. The factor that comes nearest is taken; if that is not within 5 %, single layers get
    one channel more or less. They are unchanged where the MACs are equal within 5 % already.

    Args:
        model: values of the `model` config, with the channels before any scaling.
        classes: outputs of the head.
        input_shape: (channels, height, width) of the image.
        convs: the variant's convolutions; the variant is possible.

    Raises:
        ImpossibleVariant: the reference is impossible, or no channels give its MACs.
    """
    base: list[int] = list(model["channels"])
    graph = own_graph(model, classes)
    specs = reference_specs(graph)
    name, label = (variant_label(one, own=graph.own_specs) for one in (specs, convs))
    reference = graph_macs(graph.with_specs(specs), input_shape)
    if reference is None:
        raise ImpossibleVariant(
            f"match=macs has no reference: {name} is impossible with these images", variant=label
        )

    def macs(channels: Sequence[int]) -> int:
        scaled = own_graph({**model, "channels": list(channels)}, classes)
        return graph_macs(scaled.with_specs(convs), input_shape) or 0

    def error(channels: Sequence[int]) -> float:
        return abs(macs(channels) / reference - 1)

    if error(base) <= TOLERANCE:
        return base
    best = min(_around(base, macs, reference), key=error)
    if error(best) > TOLERANCE:
        best = min(islice(_by_one(best, base), _MOST_CHANGES), key=error)
    if error(best) > TOLERANCE:
        raise ImpossibleVariant(
            f"match=macs: no channels up to {MOST_TIMES} times {'-'.join(map(str, base))} give it"
            f" the {count(reference)} MACs of {name} within {percent(TOLERANCE)}; the nearest,"
            f" {'-'.join(map(str, best))}, give {count(macs(best))}",
            variant=label,
        )
    return best


def _around(
    base: Sequence[int], macs: Callable[[Sequence[int]], int], wanted: int
) -> Iterator[list[int]]:
    """Yield the scaled channels with the most MACs below `wanted`, and those with the next more.

    The factors are the multiples of 1 / (2 lcm(base)): at these, and at no others, the rounded
    number of a layer's channels changes.
    """
    step = lcm(*base)

    def scaled(factor: int) -> list[int]:
        return [max(1, (factor * width + step) // (2 * step)) for width in base]

    low, high = 0, MOST_TIMES * 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if macs(scaled(middle)) < wanted else (low, middle)
    yield from (scaled(low), scaled(high))


def _by_one(channels: Sequence[int], base: Sequence[int]) -> Iterator[list[int]]:
    """Yield the channels, then those with one channel more or less in one layer, in two, …."""
    for number in range(len(channels) + 1):
        for layers in combinations(range(len(channels)), number):
            for steps in product((-1, 1), repeat=number):
                changed = list(channels)
                for layer, step in zip(layers, steps, strict=True):
                    changed[layer] += step
                if all(1 <= n <= MOST_TIMES * m for n, m in zip(changed, base, strict=True)):
                    yield changed
