"""The name of a variant, read off its pixels: what was typed does not matter."""

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.geometry.shapes import ConvShape, Pair, named_padding


def pair_token(pair: Sequence[int]) -> str:
    """`3`, or `3x5` where height and width differ."""
    height, width = pair
    return str(height) if height == width else f"{height}x{width}"


def padding_token(conv: ConvShape) -> str:
    """Padding as a user would type it: `1`, `1x2`, or `same` where the two sides differ."""
    (top, bottom), (left, right) = conv.padding
    return pair_token((top, left)) if (top, left) == (bottom, right) else "same"


def padding_pixels(padding: Sequence[Sequence[int]]) -> str:
    """Padding in pixels: `1`, `1x2`, or `1+2` where one pixel more lies after than before."""
    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return pair_token((top, left))
    return f"{top}+{bottom}" if (top, bottom) == (left, right) else f"{top}+{bottom}x{left}+{right}"


def override(key: str, tokens: Sequence[str]) -> str:
    """`conv.<key>=…` from one token per layer: one value where all are equal, else a list."""
    value = tokens[0] if len(set(tokens)) == 1 else f"[{','.join(tokens)}]"
    return f"conv.{key}={value}"


def shell_quoted(text: str) -> str:
    """An override as typed at a prompt, where brackets want quotes."""
    return f"'{text}'" if "[" in text else text


def joined_label(kernels: Sequence[str], strides: Sequence[str], paddings: Sequence[str]) -> str:
    """`k…-s…-p…` from one token per layer; one token where all layers share it."""
    parts = (("k", kernels), ("s", strides), ("p", paddings))
    return "-".join(
        letter + (tokens[0] if len(set(tokens)) == 1 else ".".join(tokens))
        for letter, tokens in parts
    )


def variant_label(convs: Sequence[ConvShape]) -> str:
    """Name of the variant: `k3-s2-p1`, `k5.3.3-s2.1.1-p2.1.1`, `k3x5-s1-p1x2`, `k4-s1-p1+2`.

    Two geometries of equally many layers share a label only if they are equal.
    """
    return joined_label(
        [pair_token(conv.kernel_size) for conv in convs],
        [pair_token(conv.stride) for conv in convs],
        [padding_pixels(conv.padding) for conv in convs],
    )


def folder_label(convs: Sequence[ConvShape]) -> str:
    """The variant in a run's folder name: as its label, but with `psame` where sides differ.

    Runs have been named so from the first, and are found again by their folder.
    """
    return joined_label(
        [pair_token(conv.kernel_size) for conv in convs],
        [pair_token(conv.stride) for conv in convs],
        [padding_token(conv) for conv in convs],
    )


def padding_policy(convs: Sequence[ConvShape]) -> str:
    """The first of `valid`, `half` and `full` that every layer's pixels follow, else `other`.

    The order decides where they coincide: kernel 1 without padding is `valid`, kernel 2 with
    padding 1 is `half`.
    """
    for policy in ("valid", "half", "full"):
        if all(conv.padding == named_padding(policy, conv.kernel_size) for conv in convs):
            return policy
    return "other"


def conv_config(convs: Sequence[ConvShape]) -> dict[str, list[object]]:
    """The pixels of every layer as plain lists: the canonical form of `conv` in a run's identity.

    `{"kernel_size": [[3, 3], …], "stride": [[1, 1], …], "padding": [[[1, 1], [1, 1]], …]}`
    """
    return {
        "kernel_size": [list(conv.kernel_size) for conv in convs],
        "stride": [list(conv.stride) for conv in convs],
        "padding": [[list(sides) for sides in conv.padding] for conv in convs],
    }


def convs_from(config: Mapping[str, Sequence[Any]]) -> tuple[ConvShape, ...]:
    """The layers that `conv_config` wrote down."""
    return tuple(
        ConvShape((kernel[0], kernel[1]), (stride[0], stride[1]), (_pair(rows), _pair(columns)))
        for kernel, stride, (rows, columns) in zip(
            config["kernel_size"], config["stride"], config["padding"], strict=True
        )
    )


def _pair(sides: Sequence[int]) -> Pair:
    before, after = sides
    return before, after
