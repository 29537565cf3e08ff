"""What a user typed under `conv`, to pixels per layer and side."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from convscope.errors import on_one_line
from convscope.geometry.label import (
    joined_label,
    override,
    padding_token,
    pair_token,
    shell_quoted,
    variant_label,
)
from convscope.geometry.shapes import (
    LARGEST,
    ConvShape,
    GeometryError,
    ImpossibleVariant,
    Pair,
    named_padding,
    symmetric,
)

_NAMES = ("valid", "half", "full", "same")
_SIZE = "an integer or height x width such as 3x5"
_PADDING = "an integer, height x width such as 1x2, valid, half, full or same"
_NUMBER = r"(-?(?:0|[1-9][0-9]*))"
_ENTRY = re.compile(rf"{_NUMBER}(?:x{_NUMBER})?")
_TOKEN = r"(?:0|[1-9][0-9]{0,5})(?:x(?:0|[1-9][0-9]{0,5}))?"
_PADDED = rf"same|{_TOKEN}|[0-9]{{1,6}}\+[0-9]{{1,6}}(?:x[0-9]{{1,6}}\+[0-9]{{1,6}})?"
_LABEL = re.compile(
    rf"k({_TOKEN}(?:\.{_TOKEN})*)-s({_TOKEN}(?:\.{_TOKEN})*)"
    rf"-p((?:{_PADDED})(?:\.(?:{_PADDED}))*)"
)


def parse_conv(
    kernel_size: object, stride: object, padding: object, layers: int
) -> tuple[ConvShape, ...]:
    """Pixels of every conv layer from `conv.kernel_size`, `conv.stride` and `conv.padding`.

    Each is one entry that serves every layer, or a list with one entry per layer. An entry is an
    int or height x width as text (`3x5`); for padding also `valid`, `half`, `full` or `same`.

    Raises:
        GeometryError: a value that means nothing.
        ImpossibleVariant: `same` with a stride other than 1, which PyTorch refuses.
    """
    kernels = [_size(*entry) for entry in _entries("conv.kernel_size", kernel_size, layers)]
    strides = [_size(*entry) for entry in _entries("conv.stride", stride, layers)]
    paddings = [_padding(*entry) for entry in _entries("conv.padding", padding, layers)]
    convs = tuple(
        ConvShape(k, s, named_padding(p, k) if isinstance(p, str) else symmetric(p))
        for k, s, p in zip(kernels, strides, paddings, strict=True)
    )
    refused = [p == "same" and s != (1, 1) for s, p in zip(strides, paddings, strict=True)]
    if any(refused):
        raise _strided_same(convs, paddings, refused)
    return convs


def conv_of_label(label: str) -> dict[str, object] | None:
    """What to type under `conv` for a variant, from its label; None for what is no label.

    Takes all that `variant_label` writes: `k7-s2-p3`, `k5.3.3-s2.1.1-p2.1.1`, `k4-s1-p1+2`; and
    `psame`, of a folder's name.
    """
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    lists = [tokens.split(".") for tokens in match.groups()]
    kernel_size, stride, padding = map(_typed_values, lists)
    conv = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    if "+" in label:
        # Sides that differ are those of `same`, or cannot be typed.
        try:
            convs = parse_conv(kernel_size, stride, padding, max(map(len, lists)))
        except GeometryError:
            return None
        return conv if variant_label(convs) == label else None
    return conv


def _typed_values(tokens: Sequence[str]) -> object:
    values = [
        int(token) if token.isdecimal() else "same" if "+" in token else token for token in tokens
    ]
    return values[0] if len(values) == 1 else values


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _entries(key: str, value: object, layers: int) -> list[tuple[str, object]]:
    """One (name for messages, value) per layer."""
    if not _is_list(value):
        return [(key, value)] * layers
    if len(value) != layers:
        raise GeometryError(
            f"{key} must have one entry for each of the {layers} conv layers, "
            f"got {len(value)}: {_typed(value)}{_pair_fix(value)}"
        )
    return [(f"{key}: conv{number}", entry) for number, entry in enumerate(value, start=1)]


def _size(name: str, value: object) -> Pair:
    numbers = _numbers(value)
    if numbers is None:
        raise GeometryError(f"{name} must be {_SIZE}, got {_typed(value)}{_pair_fix(value)}")
    return _in_range(name, value, numbers, least=1)


def _padding(name: str, value: object) -> Pair | str:
    if isinstance(value, str) and value in _NAMES:
        return value
    numbers = _numbers(value)
    if numbers is None:
        fix = _name_fix(value) or _pair_fix(value)
        raise GeometryError(f"{name} must be {_PADDING}, got {_typed(value)}{fix}")
    return _in_range(name, value, numbers, least=0)


def _numbers(value: object) -> Pair | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    match = _ENTRY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    # Python refuses to read numbers of thousands of digits; twenty already say "too large".
    height, width = (int(side[:20]) for side in (match[1], match[2] or match[1]))
    return height, width


def _in_range(name: str, value: object, numbers: Pair, *, least: int) -> Pair:
    if min(numbers) < least:
        raise GeometryError(f"{name} must be at least {least}, got {_typed(value)}")
    if max(numbers) > LARGEST:
        raise GeometryError(f"{name} must be at most {LARGEST}, got {_typed(value)}")
    return numbers


def _name_fix(value: object) -> str:
    near = difflib.get_close_matches(value.lower(), _NAMES, n=1) if isinstance(value, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _pair_fix(value: object) -> str:
    if _is_list(value) and len(value) == 2 and all(type(side) is int for side in value):
        return f"; for height x width write {_typed(value[0])}x{_typed(value[1])}"
    return ""


def _typed(value: object) -> str:
    """`value` as one writes it in Hydra: on one line, shortened."""
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = on_one_line(value)
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{_typed(k)}: {_typed(v)}" for k, v in value.items()) + "}"
    elif _is_list(value):
        text = "[" + ", ".join(_typed(entry) for entry in value) + "]"
    elif isinstance(value, int):
        # Python refuses to write numbers of thousands of digits in decimal.
        text = str(value) if value.bit_length() < 1000 else hex(value)
    else:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _strided_same(
    convs: Sequence[ConvShape], paddings: Sequence[Pair | str], refused: Sequence[bool]
) -> ImpossibleVariant:
    first = refused.index(True)
    layer = f"conv{first + 1}"
    typed = [p if isinstance(p, str) else pair_token(p) for p in paddings]
    mended = ["half" if bad else token for bad, token in zip(refused, typed, strict=True)]
    fix = "conv.padding=half" if set(typed) == {"same"} else override("padding", mended)
    return ImpossibleVariant(
        f"conv.padding=same needs stride 1, as in PyTorch, but {layer} has stride "
        f"{pair_token(convs[first].stride)}; use {shell_quoted(fix)}",
        layer=layer,
        variant=joined_label(
            [pair_token(conv.kernel_size) for conv in convs],
            [pair_token(conv.stride) for conv in convs],
            [
                "same" if bad else padding_token(conv)
                for bad, conv in zip(refused, convs, strict=True)
            ],
        ),
        fix=fix,
    )
