"""The registry of the convolution arguments that a variant may set.

`conv.*` keys, their help and parsing, labels, a run's identity, the search, the columns, statistics
and figures of a comparison and the lesson's page are derived from `FACTORS`. To add an argument of
`torch.nn.Conv2d`, add an entry here, a field of `ConvSpec`, its arithmetic in `ConvAxis`, and an
argument of the network's layer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import cached_property
from typing import Any, TypeGuard, get_args

from typing_extensions import override

from convscope.errors import on_one_line
from convscope.geometry.conv import (
    LARGEST,
    ConvAxis,
    ConvSpec,
    GeometryError,
    PaddingMode,
    Pair,
    Sides,
)

_NUMBER = r"(-?(?:0|[1-9][0-9]*))"
_PAIR = re.compile(rf"{_NUMBER}(?:x{_NUMBER})?")
_TOKEN = r"(?:0|[1-9][0-9]{0,5})"
_PAIR_TOKEN = rf"{_TOKEN}(?:x{_TOKEN})?"
_SIDES_TOKEN = rf"{_TOKEN}\+{_TOKEN}(?:x{_TOKEN}\+{_TOKEN})?"
_SIDES = re.compile(rf"({_TOKEN})\+({_TOKEN})(?:x({_TOKEN})\+({_TOKEN}))?")

KEEP = "keep"
"""What a user types in place of a value that a network's layer has already."""

Layer = Mapping[str, Any]
"""One layer's validated entries by key; a padding may still be a name."""


@dataclass(frozen=True)
class Factor:
    """One argument of `torch.nn.Conv2d`.

    Attributes:
        key: name of the argument, and of the config key below `conv`.
        title: its name in a sentence.
        letter: prefix of its value in a variant's label.
        meaning: description for `--help`.
        hint: a shorter description for the lesson's page.
        least: smallest accepted number of pixels; None where no number is accepted.
        names: names accepted in place of a number.
        fix_steps: directions in which a change can make an impossible variant possible.
    """

    key: str
    title: str
    letter: str
    meaning: str
    hint: str
    least: int | None = None
    names: tuple[str, ...] = ()
    fix_steps: tuple[int, ...] = ()

    @property
    def token_pattern(self) -> str:
        """Regular expression that matches a layer's value in a label."""
        return "|".join(self.names)

    def read(self, name: str, typed: object) -> Any:
        """Parse the entry that a user typed for one layer.

        Args:
            name: name of the entry in an error message, such as `conv.stride`.
            typed: the entry as Hydra parsed it.

        Raises:
            GeometryError: the entry is invalid.
        """
        raise NotImplementedError

    def token(self, value: Any) -> str:
        """Return a value as written in a label; users may type it in this form too."""
        raise NotImplementedError

    def values(self, convs: Sequence[ConvSpec]) -> list[Any]:
        """Return the factor's value in each layer."""
        return [getattr(conv, self.key) for conv in convs]

    def first(self, value: Any) -> Any:
        """Return the part of a value that a table's column shows: the height's pixels or a name."""
        while isinstance(value, tuple):
            value = value[0]
        return value

    @cached_property
    def default_value(self) -> Any:
        """The default in `ConvSpec`; None where it has none and every preset sets the factor."""
        default = ConvSpec.__dataclass_fields__[self.key].default
        return None if default is MISSING else default

    @cached_property
    def default(self) -> Any:
        """The default as a user would type it; None where there is none."""
        return None if self.default_value is None else as_number(self.token(self.default_value))

    def is_default(self, values: Sequence[Any]) -> bool:
        """Return whether all layers have the default, which labels and identities leave out."""
        return self.default_value is not None and set(values) == {self.default_value}


@dataclass(frozen=True)
class Pixels(Factor):
    """Whole numbers of pixels, per axis: values are pairs (height, width)."""

    token_pattern = _PAIR_TOKEN

    @override
    def read(self, name: str, typed: object) -> Pair:
        pair = _pair(typed)
        if pair is None:
            raise GeometryError(
                f"{name} must be an integer or height x width such as 3x5,"
                f" got {as_typed(typed)}{pair_fix(typed)}"
            )
        check_range(name, typed, pair, self.least)
        return pair

    @override
    def token(self, value: Pair) -> str:
        return pair_token(value)


@dataclass(frozen=True)
class Padding(Factor):
    """Pixels on each side of the input, or a name for them: values are `Sides`."""

    token_pattern = rf"same|{_SIDES_TOKEN}|{_PAIR_TOKEN}"

    @override
    def read(self, name: str, typed: object) -> Sides | str:
        if isinstance(typed, str) and typed in self.names:
            return typed
        sides = _SIDES.fullmatch(typed) if isinstance(typed, str) else None
        if sides is not None:
            top, bottom, left, right = (int(side or 0) for side in sides.groups())
            if sides[3] is None:
                left, right = top, bottom
            check_range(name, typed, (max(top, bottom), max(left, right)), self.least)
            return (top, bottom), (left, right)
        pair = _pair(typed)
        if pair is None:
            fix = _name_fix(typed, self.names) or pair_fix(typed)
            raise GeometryError(
                f"{name} must be an integer, height x width such as 1x2, before+after such as 0+1,"
                f" {', '.join(self.names[:-1])} or {self.names[-1]}, got {as_typed(typed)}{fix}"
            )
        check_range(name, typed, pair, self.least)
        return symmetric(pair)

    @override
    def token(self, value: Sides) -> str:
        (top, bottom), (left, right) = value
        if top == bottom and left == right:
            return pair_token((top, left))
        return f"{top}+{bottom}" if value[0] == value[1] else f"{top}+{bottom}x{left}+{right}"


@dataclass(frozen=True)
class Choice(Factor):
    """One of several names: values are text."""

    @override
    def read(self, name: str, typed: object) -> str:
        if isinstance(typed, str) and typed in self.names:
            return typed
        raise GeometryError(
            f"{name} must be {', '.join(self.names[:-1])} or {self.names[-1]},"
            f" got {as_typed(typed)}{_name_fix(typed, self.names)}"
        )

    @override
    def token(self, value: str) -> str:
        return value


KERNEL_SIZE = Pixels(
    key="kernel_size",
    title="kernel size",
    letter="k",
    meaning="Height and width of the area that one output is computed from: pixels, height x width"
    " as 3x5, or a list, one entry per layer.",
    hint="height and width of the window",
    least=1,
    fix_steps=(-1,),
)
STRIDE = Pixels(
    key="stride",
    title="stride",
    letter="s",
    meaning="Step from one window to the next in pixels, written like kernel_size; above 1 it"
    " shrinks the output.",
    hint="pixels the window moves at a time",
    least=1,
    fix_steps=(-1,),
)
PADDING = Padding(
    key="padding",
    title="padding",
    letter="p",
    meaning="Pixels around the input: a number, before+after as 0+1, or valid, half, full, same"
    " (stride 1 only), same_tf (TensorFlow's SAME, at any stride).",
    hint="pixels around the input, on each side",
    least=0,
    names=("valid", "half", "full", "same", "same_tf"),
    fix_steps=(1, -1),
)
DILATION = Pixels(
    key="dilation",
    title="dilation",
    letter="d",
    meaning="Step from one pixel of a window to the next, written like kernel_size; above 1 the"
    " window has gaps.",
    hint="pixels from one weight to the next",
    least=1,
    fix_steps=(-1,),
)
PADDING_MODE = Choice(
    key="padding_mode",
    title="padding mode",
    letter="",
    meaning="What padding is filled with: zeros, or the input's own pixels: reflect, replicate,"
    " circular.",
    hint="what padding is filled with",
    names=get_args(PaddingMode),
)

FACTORS: tuple[Factor, ...] = (KERNEL_SIZE, STRIDE, PADDING, DILATION, PADDING_MODE)
"""All factors, in the order of a label."""


def named_padding(name: str, conv: ConvSpec, size: Pair = (1, 1)) -> Sides:
    """Return the pixels that a named padding adds on each side.

    `valid`, `half` and `full` are those of Dumoulin and Visin, "A guide to convolution arithmetic
    for deep learning" (2016), section 2; `same` is `torch.nn.Conv2d(padding="same")`, which takes
    stride 1; `same_tf` is TensorFlow's `SAME`. The last two put the odd pixel after.

    Args:
        name: one of `PADDING.names`.
        conv: the layer; its own padding is ignored.
        size: height and width of its input, which only `same_tf` depends on.
    """

    def sides(axis: ConvAxis, pixels: int) -> Pair:
        match name:
            case "valid":
                return 0, 0
            case "half":
                return axis.extent // 2, axis.extent // 2
            case "full":
                return axis.extent - 1, axis.extent - 1
        total = axis.extent - 1
        if name == "same_tf":
            total = max(0, total - (pixels - 1) % axis.stride)
        return total // 2, total - total // 2

    height, width = conv.axes
    return sides(height, size[0]), sides(width, size[1])


def symmetric(padding: Pair) -> Sides:
    """Return a padding with the same pixels before and after, per axis."""
    height, width = padding
    return (height, height), (width, width)


def to_json(value: Any) -> Any:
    """Return a factor's value for JSON: lists in place of tuples."""
    return [to_json(entry) for entry in value] if isinstance(value, tuple) else value


def from_json(value: Any) -> Any:
    """Return a factor's value from JSON: tuples in place of lists."""
    return tuple(map(from_json, value)) if isinstance(value, list | tuple) else value


def as_number(token: str) -> int | str:
    """Return a token as a config value: `1` as a number, `3x5` as text."""
    return int(token) if token.isdecimal() else token


def pair_token(pair: Sequence[int]) -> str:
    """Return a pair as text: `3`, or `3x5` where height and width differ."""
    height, width = pair
    return str(height) if height == width else f"{height}x{width}"


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether a typed value is a list with an entry per layer."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def check_range(name: str, typed: object, pair: Pair, least: int | None) -> None:
    """Check that both numbers are within the accepted range.

    Args:
        name: name of the entry in the message.
        typed: the entry as the user typed it, for the message.
        pair: the parsed pixels (height, width).
        least: smallest accepted number; None for no limit.

    Raises:
        GeometryError: a number is below `least` or above `LARGEST`.
    """
    if least is not None and min(pair) < least:
        raise GeometryError(f"{name} must be at least {least}, got {as_typed(typed)}")
    if max(pair) > LARGEST:
        raise GeometryError(f"{name} must be at most {LARGEST}, got {as_typed(typed)}")


def _pair(value: object) -> Pair | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    match = _PAIR.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    # Python refuses to parse numbers of thousands of digits; twenty are already out of range.
    height, width = (int(side[:20]) for side in (match[1], match[2] or match[1]))
    return height, width


def _name_fix(typed: object, names: Sequence[str]) -> str:
    """Return the end of a message that suggests the closest valid name; "" where none is close."""
    near = difflib.get_close_matches(str(typed).lower(), names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def pair_fix(value: object) -> str:
    """Return the end of a message for a list of two numbers: `; for height x width write 3x5`.

    "" for other values.
    """
    if is_list(value) and len(value) == 2 and all(type(side) is int for side in value):
        return f"; for height x width write {as_typed(value[0])}x{as_typed(value[1])}"
    return ""


def as_typed(value: object) -> str:
    """Return a value as a user would type it for Hydra: on one line, at most 60 characters."""
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = on_one_line(value)
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{as_typed(k)}: {as_typed(v)}" for k, v in value.items()) + "}"
    elif is_list(value):
        text = "[" + ", ".join(as_typed(entry) for entry in value) + "]"
    elif isinstance(value, int):
        # Python refuses to print numbers of thousands of digits in decimal.
        text = str(value) if value.bit_length() < 1000 else hex(value)
    else:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
