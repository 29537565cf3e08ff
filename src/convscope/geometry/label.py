"""A variant's label and other text forms; they depend on its pixels, not on how it was typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from convscope.geometry.conv import ConvSpec, Pair
from convscope.geometry.factors import (
    FACTORS,
    KEEP,
    PADDING,
    Factor,
    as_number,
    from_json,
    named_padding,
    to_json,
)


def join_tokens(tokens: Sequence[str]) -> str:
    """Return one token where all layers share it, else one per layer: `3`, `5.3.3`."""
    return tokens[0] if len(set(tokens)) == 1 else ".".join(tokens)


def override(key: str, tokens: Sequence[str]) -> str:
    """Return `conv.<key>=…` from a token per layer: one value where all are equal, else a list."""
    value = tokens[0] if len(set(tokens)) == 1 else f"[{','.join(tokens)}]"
    return f"conv.{key}={value}"


def shell_quoted(text: str) -> str:
    """Return an override as typed in a shell: in quotes where it has brackets."""
    return f"'{text}'" if "[" in text else text


def variant_label(
    convs: Sequence[ConvSpec],
    padding: Sequence[str] | None = None,
    own: Sequence[ConvSpec] | None = None,
) -> str:
    """Return the variant's name: `k3-s2-p1`, `k5.3.3-s2.1.1-p2.1.1`, `k3x5-s1-p1x2`, `k4-s1-p1+2`.

    Two geometries with the same number of layers share a label only if they are equal. What differs
    between layers and is the network's own is written `keep`: `k5-skeep-p2`.

    Args:
        convs: the conv layers in order.
        padding: tokens to write in place of the padding's pixels, one per layer.
        own: the layers' arguments in a network that has its own.
    """
    parts = []
    for factor in FACTORS:
        values = factor.values(convs)
        if factor.is_default(values):
            continue
        given = padding if factor is PADDING else None
        token = join_tokens(given or _tokens(factor, convs))
        is_own = own is not None and values == factor.values(own)
        parts.append(factor.letter + (KEEP if is_own and "." in token else token))
    return "-".join(parts)


def folder_label(convs: Sequence[ConvSpec], own: Sequence[ConvSpec] | None = None) -> str:
    """Return the variant's name in a run's folder: its label, with `psame` for PyTorch's `same`.

    `psame` only where the sides of the padding differ. Existing runs are named so, and are found
    by their name.
    """
    return variant_label(convs, [short_padding(conv) for conv in convs], own)


def short_padding(conv: ConvSpec) -> str:
    """Return a layer's padding as a token; `same` where it is PyTorch's and its sides differ."""
    is_even = all(before == after for before, after in conv.padding)
    is_same = conv.stride == (1, 1) and conv.padding == named_padding("same", conv)
    return "same" if is_same and not is_even else PADDING.token(conv.padding)


def padding_policy(convs: Sequence[ConvSpec], sizes: Sequence[Pair] | None = None) -> str:
    """Return the first of `valid`, `half`, `full`, `same_tf` that every layer follows, or `other`.

    The order decides where two coincide: kernel 1 without padding is `valid`, kernel 2 with
    padding 1 is `half`.

    Args:
        convs: the conv layers in order.
        sizes: height and width of each layer's input; without them `same_tf` is not recognised.
    """
    for policy in ("valid", "half", "full", *(["same_tf"] if sizes else [])):
        if all(
            conv.padding == named_padding(policy, conv, size)
            for conv, size in zip(convs, sizes or [(1, 1)] * len(convs), strict=True)
        ):
            return policy
    return "other"


def levels(convs: Sequence[ConvSpec], policy: str) -> dict[str, str]:
    """Return each factor's level for the statistics: `{"kernel_size": "5.3.3", "padding": "half"}`.

    The level of a padding is its policy, or its token, such as `p1`, where no policy fits.
    """
    tokens = {factor.key: join_tokens(_tokens(factor, convs)) for factor in FACTORS}
    padding = PADDING.letter + tokens[PADDING.key] if policy == "other" else policy
    return tokens | {PADDING.key: padding}


def _tokens(factor: Factor, convs: Sequence[ConvSpec]) -> list[str]:
    return [factor.token(value) for value in factor.values(convs)]


def conv_text(conv: ConvSpec) -> str:
    """Return one layer's arguments: `k3 s2 p1`, `k3x5 s1 p1x2`, `k4 s1 p1+2`."""
    return variant_label([conv]).replace("-", " ")


def conv_config(convs: Sequence[ConvSpec]) -> dict[str, Any]:
    """Return the `conv` config that gives these pixels: per key one value, or a list per layer."""
    return {
        factor.key: _config_value(join_tokens(_tokens(factor, convs)).split("."))
        for factor in FACTORS
        if not factor.is_default(factor.values(convs))
    }


def parse_label(label: str) -> dict[str, Any] | None:
    """Return the `conv` config for a variant's label; None for text that is not a label.

    Parses everything that `variant_label` writes, such as `k7-s2-p3`, `k5.3.3-s2.1.1-p2.1.1` and
    `k4-s1-p1+2`, and the `psame` of folder names.
    """
    tokens = label_tokens(label)
    return tokens and {key: _config_value(entries) for key, entries in tokens.items()}


def label_tokens(label: str) -> dict[str, list[str]] | None:
    """Return a label's tokens by factor, one per layer it names; None for text that is no label."""
    match = LABEL.fullmatch(label)
    if match is None:
        return None
    return {key: tokens.split(".") for key, tokens in match.groupdict().items() if tokens}


def _pattern(factor: Factor) -> str:
    token = f"(?:{factor.token_pattern})"
    part = rf"{factor.letter}(?P<{factor.key}>{KEEP}|{token}(?:\.{token})*)"
    return f"-{part}" if factor.default is None else f"(?:-{part})?"


LABEL = re.compile("".join(map(_pattern, FACTORS)).removeprefix("-"))
"""Matches everything that `variant_label` writes, and `psame`; one group per factor."""


def _config_value(tokens: Sequence[str]) -> Any:
    values = [as_number(token) for token in tokens]
    return values[0] if len(values) == 1 else values


def convs_to_config(convs: Sequence[ConvSpec]) -> dict[str, list[Any]]:
    """Return every layer's pixels as lists: the canonical form of `conv` in a run's identity.

    `{"kernel_size": [[3, 3], …], "stride": [[1, 1], …], "padding": [[[1, 1], [1, 1]], …]}`; a
    factor at its default is left out.
    """
    return {
        factor.key: list(map(to_json, values))
        for factor in FACTORS
        if not factor.is_default(values := factor.values(convs))
    }


def convs_from_config(config: Mapping[str, Sequence[Any]]) -> tuple[ConvSpec, ...]:
    """Return the layers from the output of `convs_to_config`."""
    columns = {factor.key: config[factor.key] for factor in FACTORS if factor.key in config}
    rows = zip(*columns.values(), strict=True)
    return tuple(conv_from_layer(dict(zip(columns, row, strict=True))) for row in rows)


def conv_from_layer(layer: Mapping[str, Any]) -> ConvSpec:
    """Return the convolution of a record's layer; arguments that are missing have their default."""
    return ConvSpec(
        **{
            factor.key: from_json(layer[factor.key])
            for factor in FACTORS
            if factor.key in layer or factor.default is None
        }
    )


def without_defaults(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `conv` config without the keys at their default, for variants without pixels."""
    return {
        factor.key: typed[factor.key]
        for factor in FACTORS
        if factor.default is None or typed[factor.key] != factor.default
    }
