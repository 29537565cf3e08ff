"""The parser of the `conv` config: from what a user typed to pixels per layer and side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from convscope.geometry.conv import ConvSpec, GeometryError, ImpossibleVariant
from convscope.geometry.factors import (
    FACTORS,
    KEEP,
    PADDING,
    Factor,
    as_typed,
    is_list,
    named_padding,
    pair_fix,
    pair_token,
    symmetric,
)
from convscope.geometry.graph import Graph
from convscope.geometry.label import override, shell_quoted, short_padding, variant_label
from convscope.geometry.layers import IMAGE, Conv, Shape


def parse_conv(conv: Mapping[str, Any], graph: Graph, input_shape: Shape) -> tuple[ConvSpec, ...]:
    """Parse the `conv` config to the pixels of every varied conv layer.

    Args:
        conv: typed values by key: one entry for all layers, or a list with one entry per layer;
            `keep` leaves a layer's own value.
        graph: the network.
        input_shape: (channels, height, width) of the image, on which the pixels of `same_tf`
            depend.

    Raises:
        GeometryError: a value is invalid, or `keep` in a network without values of its own.
        ImpossibleVariant: `same` with a stride other than 1, which PyTorch refuses.
    """
    columns = [_entries(factor, conv.get(factor.key, factor.default), graph) for factor in FACTORS]
    keys = [factor.key for factor in FACTORS]
    entries = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
    convs = _in_pixels(graph, input_shape, entries)
    names = [entry[PADDING.key] for entry in entries]
    refused = [
        name == "same" and conv.stride != (1, 1) for name, conv in zip(names, convs, strict=True)
    ]
    if any(refused):
        raise _strided_same(graph, convs, names, refused)
    return convs


def _entries(factor: Factor, typed: Any, graph: Graph) -> list[Any]:
    """Return one validated entry per varied layer."""
    key, layers = f"conv.{factor.key}", graph.varied
    if not is_list(typed):
        entries = [_entry(factor, key, typed, graph)] * len(layers)
    elif len(typed) == len(layers):
        entries = [
            _entry(factor, f"{key}: {name}", entry, graph)
            for name, entry in zip(layers, typed, strict=True)
        ]
    else:
        what = "conv layers" if graph.own_specs is None else "varied conv layers"
        raise GeometryError(
            f"{key} must have one entry for each of the {len(layers)} {what}, "
            f"got {len(typed)}: {as_typed(typed)}{pair_fix(typed)}"
        )
    own = graph.own_specs or ()
    return [
        getattr(own[number], factor.key) if entry == KEEP else entry
        for number, entry in enumerate(entries)
    ]


def _entry(factor: Factor, name: str, typed: Any, graph: Graph) -> Any:
    if typed != KEEP:
        return factor.read(name, typed)
    if graph.own_specs is None:
        raise GeometryError(
            f"{name}=keep is for a network with values of its own, such as model=resnet20"
        )
    return KEEP


def _in_pixels(
    graph: Graph, input_shape: Shape, entries: Sequence[Mapping[str, Any]]
) -> tuple[ConvSpec, ...]:
    """Return the varied layers with named paddings in pixels.

    A name may depend on the size of the layer's input, so sizes are worked out layer by layer, also
    after a layer that PyTorch would refuse.
    """
    found: dict[str, ConvSpec] = {}
    by_layer = dict(zip(graph.varied, entries, strict=True))
    shapes = {IMAGE: input_shape}
    for node in graph.nodes:
        inputs, layer = [shapes[name] for name in node.inputs], node.layer
        if isinstance(layer, Conv) and node.name in by_layer:
            entry = by_layer[node.name]
            name = entry[PADDING.key]
            if isinstance(name, str):
                unpadded = ConvSpec(**{**entry, PADDING.key: symmetric((0, 0))})
                entry = {**entry, PADDING.key: named_padding(name, unpadded, inputs[0][1:])}
            found[node.name] = ConvSpec(**entry)
            layer = replace(layer, spec=found[node.name])
        shapes[node.name] = layer.out_shape(inputs)
    return tuple(found[name] for name in graph.varied)


def _strided_same(
    graph: Graph, convs: Sequence[ConvSpec], names: Sequence[Any], refused: Sequence[bool]
) -> ImpossibleVariant:
    first = refused.index(True)
    layer = graph.varied[first]
    typed = [name if isinstance(name, str) else PADDING.token(name) for name in names]
    fixed = ["half" if bad else token for bad, token in zip(refused, typed, strict=True)]
    fix = "conv.padding=half" if set(typed) == {"same"} else override("padding", fixed)
    return ImpossibleVariant(
        f"conv.padding=same needs stride 1, as in PyTorch, but {layer} has stride "
        f"{pair_token(convs[first].stride)}; use {shell_quoted(fix)}",
        layer=layer,
        variant=variant_label(
            convs,
            [
                "same" if bad else short_padding(conv)
                for bad, conv in zip(refused, convs, strict=True)
            ],
        ),
        fix=fix,
    )
