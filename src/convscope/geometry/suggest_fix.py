"""The check for variants that PyTorch refuses, and the smallest change that makes one possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from convscope.geometry.conv import LARGEST, ConvSpec, ImpossibleVariant, Pair
from convscope.geometry.factors import (
    FACTORS,
    PADDING,
    Factor,
    named_padding,
    pair_token,
    symmetric,
)
from convscope.geometry.graph import Graph, layer_shapes
from convscope.geometry.label import override, shell_quoted, short_padding, variant_label
from convscope.geometry.layers import Conv, Pool, Shape, Window
from convscope.text import size

_MOST_TRIES = 200_000
"""Layers computed before `smallest_fix` gives up: a few tenths of a second."""
_Values = list[Pair | None]
"""One factor's value per layer; None for a padding whose sides differ, which is not changed."""
_DIRECTIONS = sorted(
    ((factor, step) for factor in FACTORS for step in factor.fix_steps), key=lambda pair: -pair[1]
)
"""Factors and the directions to change them in; increases are tried before decreases."""


def require_possible(graph: Graph, input_shape: Shape) -> dict[str, Shape]:
    """Check that PyTorch accepts every layer, and return the shapes of `layer_shapes`.

    Args:
        graph: the network, with all conv arguments set.
        input_shape: (channels, height, width) of the image.

    Raises:
        ImpossibleVariant: names the first refused layer, its sizes and the smallest fix.
    """
    shapes, refused = layer_shapes(graph, input_shape)
    if refused is None:
        return shapes
    name, layer = refused.node.name, refused.node.layer
    given = ""
    if isinstance(layer, Window):
        arguments = [
            f"{factor.key} {factor.token(value)}"
            for factor in FACTORS
            if not factor.is_default([value := getattr(layer.conv, factor.key)])
        ]
        given = f": {', '.join([f'input {size(refused.shapes[0][1:])}', *arguments])}"
    fix = smallest_fix(graph, input_shape)
    raise ImpossibleVariant(
        f"{name} {refused.reason}{given}"
        + (f"; {shell_quoted(fix)} would make it possible" if fix else ""),
        layer=name,
        variant=variant_label(graph.specs, own=graph.own_specs),
        fix=fix,
    )


def smallest_fix(graph: Graph, input_shape: Shape) -> str | None:
    """Find the smallest change of one `conv` key that makes the whole variant possible.

    Changes are tried by size: padding up, kernel size down, stride down by 1 pixel, then by 2, …
    A key that differs between layers is changed in one layer, from the refused one back to the
    first, or in all, where the size of the change is summed over the layers. A height x width is
    changed on the refused axis, or on both.

    Args:
        graph: the network, with all conv arguments set.
        input_shape: (channels, height, width) of the image.

    Returns:
        An override such as `conv.padding=1` or `conv.stride=[2,1,1]`, not quoted; of pools that pad
        too much `model.pool_padding`. None if the variant is possible already, if no such change
        within the accepted values helps, or if none is found within `_MOST_TRIES` (a network of
        hundreds of layers).
    """
    graph = graph.without_pointwise()
    convs = graph.specs
    _, refused = layer_shapes(graph, input_shape)
    if refused is None or not convs:
        return None
    if isinstance(refused.node.layer, Pool) and refused.node.layer.pads_too_much:
        return _less_pool_padding(graph, input_shape)
    upto = [node.name for node in graph.nodes].index(refused.node.name) + 1
    earlier = {node.name for node in graph.nodes[:upto]}
    index = max(sum(name in earlier for name in graph.varied) - 1, 0)
    short: list[int] = [0, 1]
    if isinstance(refused.node.layer, Conv):
        axes = zip(refused.node.layer.conv.axes, refused.shapes[0][1:], strict=True)
        short = [number for number, (axis, pixels) in enumerate(axes) if axis.refusal(pixels)]
    tries = 0
    # Padding every layer by the largest window's extent always helps, so no larger step is needed.
    for step in range(1, len(convs) * max(a.extent for conv in convs for a in conv.axes) + 1):
        for factor, direction in _DIRECTIONS:
            values = _values(factor, convs)
            for changed in _changes(values, direction * step, index, short):
                tries += len(graph.nodes)
                if tries > _MOST_TRIES:
                    return None
                if _is_possible(graph, input_shape, factor, changed):
                    tokens = [
                        pair_token(value) if value else short_padding(conv)
                        for value, conv in zip(changed, convs, strict=True)
                    ]
                    return override(factor.key, tokens)
    return None


def _less_pool_padding(graph: Graph, input_shape: Shape) -> str | None:
    """Return the largest padding that all pools can have, as an override."""
    pools = [node.layer for node in graph.nodes if isinstance(node.layer, Pool)]
    most = min(axis.extent // 2 for pool in pools for axis in pool.window.axes)
    nodes = tuple(
        replace(
            node,
            layer=replace(
                node.layer, window=replace(node.layer.window, padding=symmetric((most, most)))
            ),
        )
        if isinstance(node.layer, Pool)
        else node
        for node in graph.nodes
    )
    _, refused = layer_shapes(replace(graph, nodes=nodes), input_shape)
    return None if refused else f"model.pool_padding={most}"


def _values(factor: Factor, convs: Sequence[ConvSpec]) -> _Values:
    if factor is not PADDING:
        return factor.values(convs)
    return [
        (top, left) if (top, left) == (bottom, right) else None
        for (top, bottom), (left, right) in PADDING.values(convs)
    ]


def _changes(values: _Values, change: int, empty: int, short: Sequence[int]) -> Iterator[_Values]:
    for axes in (short, (0, 1)):
        if len(set(values)) == 1:
            yield [_moved(value, change, axes) for value in values]
            continue
        for layer in range(empty, -1, -1):
            yield [
                _moved(value, change, axes) if index == layer else value
                for index, value in enumerate(values)
            ]
        if change % len(values) == 0:
            yield [_moved(value, change // len(values), axes) for value in values]


def _moved(value: Pair | None, change: int, axes: Sequence[int]) -> Pair | None:
    if value is None:
        return None
    height, width = value
    if height == width:
        return height + change, width + change
    return height + change * (0 in axes), width + change * (1 in axes)


def _is_possible(graph: Graph, input_shape: Shape, factor: Factor, values: _Values) -> bool:
    least = factor.least or 0
    if not all(least <= number <= LARGEST for value in values if value for number in value):
        return False
    readings = [
        (conv, conv) if value is None else _with(conv, factor, value)
        for conv, value in zip(graph.specs, values, strict=True)
    ]
    return all(
        layer_shapes(graph.with_specs(changed), input_shape)[1] is None
        for changed in zip(*readings, strict=True)
    )


def _with(conv: ConvSpec, factor: Factor, value: Pair) -> tuple[ConvSpec, ConvSpec]:
    """Return the layer with another value, once with named and once with numeric padding.

    A padding typed by name changes with the kernel, and the pixels do not show whether it was. So
    the change must help with the least and with the most padding, same <= half <= full <= pixels.
    """
    if factor is PADDING:
        changed = replace(conv, padding=symmetric(value))
        return changed, changed
    changed = ConvSpec(**{**vars(conv), factor.key: value})
    for name in ("same", "half", "full"):
        if conv.padding == named_padding(name, conv):
            return replace(changed, padding=named_padding(name, changed)), changed
    return changed, changed
