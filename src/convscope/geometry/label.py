"""A variant's label and its other written forms, read off its pixels, however it was typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from convscope.geometry.conv import ConvSpec, Pair
from convscope.geometry.factors import (
    FACTORS,
    PADDING,
    Factor,
    as_number,
    from_json,
    named_padding,
    to_json,
)


def joined(tokens: Sequence[str]) -> str:
    """One token where all layers share it, else one per layer: `3`, `5.3.3`."""
    return tokens[0] if len(set(tokens)) == 1 else ".".join(tokens)


def override(key: str, tokens: Sequence[str]) -> str:
    """`conv.<key>=…` from one token per layer: one value where all are equal, else a list."""
    value = tokens[0] if len(set(tokens)) == 1 else f"[{','.join(tokens)}]"
    return f"conv.{key}={value}"


def shell_quoted(text: str) -> str:
    """An override as typed at a prompt, where brackets want quotes."""
    return f"'{text}'" if "[" in text else text


def variant_label(convs: Sequence[ConvSpec], padding: Sequence[str] | None = None) -> str:
    """Name of the variant: `k3-s2-p1`, `k5.3.3-s2.1.1-p2.1.1`, `k3x5-s1-p1x2`, `k4-s1-p1+2`.

    Two geometries of equally many layers share a label only if they are equal.

    Args:
        padding: tokens to stand for the padding's pixels, one per layer.
    """
    parts = []
    for factor in FACTORS:
        if not factor.is_default(factor.of(convs)):
            given = padding if factor is PADDING else None
            parts.append(factor.letter + joined(given or _tokens(factor, convs)))
    return "-".join(parts)


def folder_label(convs: Sequence[ConvSpec]) -> str:
    """The variant in a run's folder name: as its label, but with `psame` for PyTorch's `same`.

    Only where its sides differ. Runs have been named so from the first, and are found by name.
    """
    return variant_label(convs, [short_padding(conv) for conv in convs])


def short_padding(conv: ConvSpec) -> str:
    """Its padding's token; `same` where that is PyTorch's and the sides differ."""
    is_even = all(before == after for before, after in conv.padding)
    is_same = conv.stride == (1, 1) and conv.padding == named_padding("same", conv)
    return "same" if is_same and not is_even else PADDING.token(conv.padding)


def padding_policy(convs: Sequence[ConvSpec], sizes: Sequence[Pair] | None = None) -> str:
    """The first of `valid`, `half`, `full`, `same_tf` that every layer follows, else `other`.

    The order decides where they coincide: kernel 1 without padding is `valid`, kernel 2 with
    padding 1 is `half`.

    Args:
        sizes: height and width of each layer's input; `same_tf` is not recognised without.
    """
    for policy in ("valid", "half", "full", *(["same_tf"] if sizes else [])):
        if all(
            conv.padding == named_padding(policy, conv, size)
            for conv, size in zip(convs, sizes or [(1, 1)] * len(convs), strict=True)
        ):
            return policy
    return "other"


def levels(convs: Sequence[ConvSpec], policy: str) -> dict[str, str]:
    """The level of each factor in an analysis: `{"kernel_size": "5.3.3", "padding": "half"}`.

    A padding is its policy, or its token where no policy fits: `p1`.
    """
    found = {factor.key: joined(_tokens(factor, convs)) for factor in FACTORS}
    of_padding = found[PADDING.key]
    return found | {PADDING.key: f"{PADDING.letter}{of_padding}" if policy == "other" else policy}


def _tokens(factor: Factor, convs: Sequence[ConvSpec]) -> list[str]:
    return [factor.token(value) for value in factor.of(convs)]


def conv_text(conv: ConvSpec) -> str:
    """One layer's arguments: `k3 s2 p1`, `k3x5 s1 p1x2`, `k4 s1 p1+2`."""
    return variant_label([conv]).replace("-", " ")


def typed_conv(convs: Sequence[ConvSpec]) -> dict[str, Any]:
    """Return what to type under `conv` for these pixels: a value per key, or one per layer."""
    return {
        factor.key: _typed(joined(_tokens(factor, convs)).split("."))
        for factor in FACTORS
        if not factor.is_default(factor.of(convs))
    }


def parse_label(label: str) -> dict[str, Any] | None:
    """Return what to type under `conv` for a variant's label; None for what is no label.

    Takes all that `variant_label` writes: `k7-s2-p3`, `k5.3.3-s2.1.1-p2.1.1`, `k4-s1-p1+2`; and
    `psame`, of a folder's name.
    """
    tokens = label_tokens(label)
    return tokens and {key: _typed(of) for key, of in tokens.items()}


def label_tokens(label: str) -> dict[str, list[str]] | None:
    """Return a label's tokens by factor, one per layer that it names; None for what is no label."""
    match = LABEL.fullmatch(label)
    if match is None:
        return None
    return {key: tokens.split(".") for key, tokens in match.groupdict().items() if tokens}


def _pattern(factor: Factor) -> str:
    token = f"(?:{factor.token_pattern})"
    part = rf"{factor.letter}(?P<{factor.key}>{token}(?:\.{token})*)"
    return f"-{part}" if factor.default is None else f"(?:-{part})?"


LABEL = re.compile("".join(map(_pattern, FACTORS)).removeprefix("-"))
"""All that `variant_label` writes, and `psame`; a group per factor."""


def _typed(tokens: Sequence[str]) -> Any:
    values = [as_number(token) for token in tokens]
    return values[0] if len(values) == 1 else values


def convs_to_config(convs: Sequence[ConvSpec]) -> dict[str, list[Any]]:
    """Return the pixels of every layer as lists: the canonical form of `conv` in a run's identity.

    `{"kernel_size": [[3, 3], …], "stride": [[1, 1], …], "padding": [[[1, 1], [1, 1]], …]}`; a
    factor at its default is left out.
    """
    return {
        factor.key: list(map(to_json, values))
        for factor in FACTORS
        if not factor.is_default(values := factor.of(convs))
    }


def convs_from_config(config: Mapping[str, Sequence[Any]]) -> tuple[ConvSpec, ...]:
    """Return the layers that `convs_to_config` wrote down."""
    columns = {factor.key: config[factor.key] for factor in FACTORS if factor.key in config}
    rows = zip(*columns.values(), strict=True)
    return tuple(conv_from_layer(dict(zip(columns, row, strict=True))) for row in rows)


def conv_from_layer(layer: Mapping[str, Any]) -> ConvSpec:
    """Return the convolution of a layer in a record; what is not there has its default."""
    return ConvSpec(
        **{
            factor.key: from_json(layer[factor.key])
            for factor in FACTORS
            if factor.key in layer or factor.default is None
        }
    )


def without_defaults(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed under `conv`, where it has no pixels, less what is the default."""
    return {
        factor.key: typed[factor.key]
        for factor in FACTORS
        if factor.default is None or typed[factor.key] != factor.default
    }
