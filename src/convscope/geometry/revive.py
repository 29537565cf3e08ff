"""Variants whose arithmetic leaves a layer without output, and the smallest change that helps."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from convscope.geometry.label import (
    override,
    padding_token,
    pair_token,
    shell_quoted,
    variant_label,
)
from convscope.geometry.shapes import (
    LARGEST,
    ConvShape,
    ImpossibleVariant,
    Pair,
    named_padding,
    symmetric,
)
from convscope.geometry.sizes import conv_output, first_empty

_MOST_TRIES = 200_000
"""Layers worked out before `smallest_fix` gives up: a few tenths of a second."""
_Values = list[Pair | None]
"""One key's value per layer; None where padding is `same` with unequal sides, which stays."""


def require_possible(
    input_shape: tuple[int, int, int], convs: Sequence[ConvShape], pool_after: Collection[int]
) -> None:
    """Check that every layer has an output on an input of (channels, height, width).

    Raises:
        ImpossibleVariant: names the first layer that has none, its sizes and the smallest fix.
    """
    empty = first_empty(input_shape[1:], convs, pool_after)
    if empty is None:
        return
    index, (height, width) = empty
    conv = convs[index]
    fix = smallest_fix(input_shape, convs, pool_after)
    raise ImpossibleVariant(
        f"conv{index + 1} would have an empty output: input {height}x{width}, "
        f"kernel_size {pair_token(conv.kernel_size)}, stride {pair_token(conv.stride)}, "
        f"padding {padding_token(conv)}"
        + (f"; {shell_quoted(fix)} would make it possible" if fix else ""),
        layer=f"conv{index + 1}",
        variant=variant_label(convs),
        fix=fix,
    )


def smallest_fix(
    input_shape: tuple[int, int, int], convs: Sequence[ConvShape], pool_after: Collection[int]
) -> str | None:
    """The smallest change of one `conv` key that makes the whole variant possible.

    Tried by rising step: padding up, kernel size down, stride down by 1 pixel, then by 2, … A key
    that differs between layers changes in one layer, from the empty one back to the first, or in
    all, where a step counts once per layer. A height x width changes on the short axis, or on both.

    Returns:
        An override such as `conv.padding=1` or `conv.stride=[2,1,1]`, not quoted. None if the
        variant is possible as it stands, or if no such change within the accepted values helps, or
        none is found among `_MOST_TRIES` (a network of hundreds of layers).
    """
    size = input_shape[1:]
    empty = first_empty(size, convs, pool_after)
    if empty is None:
        return None
    index, reached = empty
    short = [axis for axis, out in enumerate(conv_output(reached, convs[index])) if out == 0]
    tries = 0
    # Padding every layer as wide as the widest kernel always helps: no step need be larger.
    for step in range(1, len(convs) * max(max(conv.kernel_size) for conv in convs) + 1):
        for key, change in (("padding", step), ("kernel_size", -step), ("stride", -step)):
            values = _values(key, convs)
            for changed in _changes(values, change, index, short):
                tries += len(convs)
                if tries > _MOST_TRIES:
                    return None
                if _accepted(key, changed) and _possible(size, convs, key, changed, pool_after):
                    return override(key, [pair_token(v) if v else "same" for v in changed])
    return None


def _values(key: str, convs: Sequence[ConvShape]) -> _Values:
    if key == "kernel_size":
        return [conv.kernel_size for conv in convs]
    if key == "stride":
        return [conv.stride for conv in convs]
    befores = [(conv.padding[0][0], conv.padding[1][0]) for conv in convs]
    return [
        before if symmetric(before) == conv.padding else None
        for before, conv in zip(befores, convs, strict=True)
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


def _accepted(key: str, values: _Values) -> bool:
    least = 0 if key == "padding" else 1
    return all(least <= number <= LARGEST for value in values if value for number in value)


def _possible(
    size: Pair,
    convs: Sequence[ConvShape],
    key: str,
    values: _Values,
    pool_after: Collection[int],
) -> bool:
    changed = [
        conv if value is None else _with(conv, key, value)
        for conv, value in zip(convs, values, strict=True)
    ]
    return first_empty(size, changed, pool_after) is None


def _with(conv: ConvShape, key: str, value: Pair) -> ConvShape:
    if key == "padding":
        return replace(conv, padding=symmetric(value))
    if key == "stride":
        return replace(conv, stride=value)
    # Padding typed by name follows the kernel. The pixels do not tell, so the change must help
    # under the least padding that any reading gives: same <= half <= full <= pixels.
    for name in ("same", "half", "full"):
        if conv.padding == named_padding(name, conv.kernel_size):
            return replace(conv, kernel_size=value, padding=named_padding(name, value))
    return replace(conv, kernel_size=value)
