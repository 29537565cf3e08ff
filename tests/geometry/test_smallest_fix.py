"""The change that revives an impossible variant: exact, true, and the smallest."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.geometry import (
    ConvSpec,
    ImpossibleVariant,
    Shape,
    smallest_fix,
)

from ..convs import parse_conv, stack_geometry, stack_graph
from .typed_convs import Typed, repeatable, typed_convs


@pytest.mark.parametrize(
    ("size", "typed", "fix"),
    [
        ((28, 28), (3, 1, 1), None),
        ((28, 28), (5, 2, 0), "conv.padding=1"),
        # conv1 28 -> 20, pool 10, conv2 10 -> 2: conv3 wants 9. Padding 1: 22, 11, 5, and 5+2 < 9.
        ((28, 28), (9, 1, 0), "conv.padding=2"),
        # Only the width is short: 6 -> 4 with padding 0x1, pool 2, then 2+2 < 5.
        ((28, 6), ("3x5", 1, "0x1"), "conv.padding=0x2"),
        # conv1 28 -> 13, pool 7, conv2 7 -> 3, conv3 3+2*1 < 7.
        ((28, 28), ([3, 3, 7], 2, [0, 0, 1]), "conv.padding=[0,0,2]"),
        # conv1 12 by same, pool 6, conv2 6 -> 3, conv3 3 < 4. `same` stays what it is.
        ((12, 12), (4, 1, ["same", 0, 0]), "conv.padding=[same,0,1]"),
        # conv1 28 -> 12, pool 6, conv2 1; padding 1: 13, 7, 2, and 2+2 < 6; kernel 5: 12, 6, 1.
        ((28, 28), (6, 2, 0), "conv.stride=1"),
        # Kernel 3 and stride 1 are both a step of 3 and both help; the kernel comes first.
        ((28, 28), (6, 4, [0, 1, 1]), "conv.kernel_size=3"),
        # conv3 gets 4 and wants 7; conv2, the layer before, gives 7 at stride 1.
        ((28, 28), (7, [2, 2, 1], ["half", "half", 0]), "conv.stride=[2,1,1]"),
        # 3 pixels in each of 3 layers are a smaller step than 15 in conv2 alone.
        ((14, 14), ([8, 7, 9], 4, [1, 0, 1]), "conv.padding=[4,3,4]"),
        # Kernel 3 would do if conv1 kept its 2 pixels, but half of 3 is 1.
        ((8, 8), (5, [1, 1, 3], ["half", 0, 0]), "conv.padding=[2,3,0]"),
        # Only 1500 pixels of padding in conv1 would do, more than a value may have.
        ((28, 28), ([1, 1000, 1000], [1000, 1000, 1], [1000, 0, 0]), None),
        # half is 4 at kernel 9 and 1 at kernel 2: conv1 28 -> 10 with both, pool 5.
        ((28, 28), (9, 3, ["half", 0, 0]), "conv.kernel_size=2"),
    ],
)
def test_fix(size: tuple[int, int], typed: tuple[object, ...], fix: str | None) -> None:
    assert stack_fix((1, *size), parse_conv(*typed, 3), [1]) == fix


def stack_fix(shape: Shape, convs: tuple[ConvSpec, ...], pool_after: list[int]) -> str | None:
    return smallest_fix(stack_graph(convs, [1] * len(convs), pool_after, 10), shape)


def possible(convs: tuple[ConvSpec, ...], typed: Typed) -> bool:
    try:
        stack_geometry((1, *typed.input_size), convs, [1] * len(convs), typed.pool_after, 10)
    except ImpossibleVariant:
        return False
    return True


def impossible(typed: Typed) -> bool:
    return not possible(parse_conv(*typed.typed, **typed.others), typed)


@settings(repeatable, max_examples=100)
@given(typed_convs(image=(1, 14), layers=3).filter(impossible))
def test_the_fix_makes_what_was_typed_possible(typed: Typed) -> None:
    with pytest.raises(ImpossibleVariant) as error:
        stack_geometry(
            (1, *typed.input_size),
            parse_conv(*typed.typed, **typed.others),
            [1] * len(typed.kernels),
            typed.pool_after,
            10,
        )
    fix = error.value.fix
    if fix is None:
        # Another layer may want more padding than one with reflection can have.
        assert {"reflect", "circular"} & set(typed.padding_modes)
        return
    quoted = f"'{fix}'" if "[" in fix else fix
    assert str(error.value).endswith(f"; {quoted} would make it possible")
    key, value = fix.removeprefix("conv.").split("=")
    changed = {
        "kernel_size": typed.kernel_size,
        "stride": typed.stride,
        "padding": typed.padding,
        **typed.others,
        key: value.strip("[]").split(",") if "[" in value else value,
    }
    assert possible(parse_conv(**changed, layers=len(typed.kernels)), typed)


@settings(repeatable, max_examples=200)
@given(
    size=st.integers(1, 40),
    kernel=st.integers(1, 11),
    stride=st.integers(1, 6),
    padding=st.integers(0, 3),
)
def test_no_smaller_change_of_one_number_would_do(
    size: int, kernel: int, stride: int, padding: int
) -> None:
    def alive(kernel: int, stride: int, padding: int) -> bool:
        height = size
        for pool in (True, False, False):
            height = (height + 2 * padding - kernel) // stride + 1
            if height < 1 or kernel < 1 or stride < 1:
                return False
            height = -(-height // 2) if pool else height
        return True

    tries = (
        (key, value, alive(**{"kernel": kernel, "stride": stride, "padding": padding, key: value}))
        for step in range(1, 12)
        for key, value in (
            ("padding", padding + step),
            ("kernel", kernel - step),
            ("stride", stride - step),
        )
        if value >= 1
    )
    expected = None
    if not alive(kernel, stride, padding):
        key, value = next((key, value) for key, value, lives in tries if lives)
        expected = f"conv.{'kernel_size' if key == 'kernel' else key}={value}"
    assert stack_fix((1, size, size), parse_conv(kernel, stride, padding, 3), [1]) == expected


def test_a_network_of_hundreds_of_layers_is_not_searched_for_long() -> None:
    convs = parse_conv(1_000, 2, 0, 1_000)
    start = time.process_time()
    assert stack_fix((1, 28, 28), convs, []) is None
    assert time.process_time() - start < 5
