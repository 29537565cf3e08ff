"""The parser of the `conv` config: from what a user typed to pixels per layer and side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from convscope.geometry.conv import ConvSpec, GeometryError, ImpossibleVariant, Pair, pool_output
from convscope.geometry.factors import (
    FACTORS,
    PADDING,
    Factor,
    Layer,
    as_typed,
    is_list,
    named_padding,
    pair_fix,
    pair_token,
    symmetric,
)
from convscope.geometry.label import override, shell_quoted, short_padding, variant_label


def parse_conv(
    conv: Mapping[str, Any],
    layers: int,
    input_size: Pair = (1, 1),
    pool_after: Collection[int] = (),
) -> tuple[ConvSpec, ...]:
    """Parse the `conv` config to the pixels of every conv layer.

    Args:
        conv: typed values by key: one entry for all layers, or a list with one entry per layer.
        layers: number of conv layers.
        input_size: height and width of the image, on which the pixels of `same_tf` depend.
        pool_after: numbers of the layers, from 1, that a max-pool follows.

    Raises:
        GeometryError: a value is invalid.
        ImpossibleVariant: `same` with a stride other than 1, which PyTorch refuses.
    """
    columns = [_entries(factor, conv.get(factor.key, factor.default), layers) for factor in FACTORS]
    keys = [factor.key for factor in FACTORS]
    entries = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
    convs: list[ConvSpec] = []
    size = input_size
    for number, layer in enumerate(entries, start=1):
        name = layer[PADDING.key]
        if isinstance(name, str):
            unpadded = ConvSpec(**{**layer, PADDING.key: symmetric((0, 0))})
            layer = {**layer, PADDING.key: named_padding(name, unpadded, size)}
        convs.append(ConvSpec(**layer))
        size = convs[-1].output_size(size)
        size = pool_output(size) if number in pool_after else size
    refused = [layer[PADDING.key] == "same" and layer["stride"] != (1, 1) for layer in entries]
    if any(refused):
        raise _strided_same(convs, entries, refused)
    return tuple(convs)


def _entries(factor: Factor, typed: Any, layers: int) -> list[Any]:
    """Return one validated entry per layer."""
    key = f"conv.{factor.key}"
    if not is_list(typed):
        return [factor.read(key, typed)] * layers
    if len(typed) != layers:
        raise GeometryError(
            f"{key} must have one entry for each of the {layers} conv layers, "
            f"got {len(typed)}: {as_typed(typed)}{pair_fix(typed)}"
        )
    return [factor.read(f"{key}: conv{n}", entry) for n, entry in enumerate(typed, start=1)]


def _strided_same(
    convs: Sequence[ConvSpec], entries: Sequence[Layer], refused: Sequence[bool]
) -> ImpossibleVariant:
    first = refused.index(True)
    layer = f"conv{first + 1}"
    typed = [
        entry if isinstance(entry := layer_entries[PADDING.key], str) else PADDING.token(entry)
        for layer_entries in entries
    ]
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
