"""`padding=same_tf` is TensorFlow's SAME at any stride, as timm's `Conv2dSame` has it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import nn

from convscope.geometry import (
    padding_policy,
    parse_label,
    variant_label,
)
from convscope.modules import build_network

from ..convs import parse_typed, stack_geometry

PAIR = st.tuples(st.integers(1, 7), st.integers(1, 7))


def text(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kernels=st.lists(PAIR, min_size=1, max_size=3),
    strides=st.lists(PAIR, min_size=3, max_size=3),
    pool_after=st.sets(st.integers(1, 3)),
)
def test_outputs_equal_those_of_timms_layers(
    size: tuple[int, int],
    kernels: list[tuple[int, int]],
    strides: list[tuple[int, int]],
    pool_after: set[int],
) -> None:
    layers = len(kernels)
    pools = sorted(number for number in pool_after if number <= layers)
    typed = {
        "kernel_size": [text(kernel) for kernel in kernels],
        "stride": [text(stride) for stride in strides[:layers]],
        "padding": "same_tf",
    }
    convs = parse_typed(typed, layers, size, pools)
    network = build_network(stack_geometry((1, *size), convs, [1] * layers, pools, 10)).features
    ours = theirs = torch.rand(2, 1, *size)
    for number, (kernel, stride) in enumerate(zip(kernels, strides, strict=False), start=1):
        conv = network.get_submodule(f"conv{number}")
        timm = Conv2dSame(1, 1, kernel, stride, bias=False)
        timm.weight = conv.weight
        ours, theirs = conv(ours), timm(theirs)
        torch.testing.assert_close(ours, theirs)
        if number in pools:
            ours, theirs = (nn.MaxPool2d(2, ceil_mode=True)(x) for x in (ours, theirs))


def test_a_layers_pixels_follow_from_its_own_input() -> None:
    # 28 at stride 2: 3 - 1 - 27 % 2 = 1 pixel; the pool gives 7: 2 - 6 % 2 = 2; then 4: 1.
    convs = parse_typed({"kernel_size": 3, "stride": 2, "padding": "same_tf"}, 3, (28, 28), [1])
    assert [conv.padding for conv in convs] == [((0, 1),) * 2, ((1, 1),) * 2, ((0, 1),) * 2]
    assert variant_label(convs) == "k3-s2-p0+1.1.0+1"
    assert padding_policy(convs, [(28, 28), (7, 7), (4, 4)]) == "same_tf"
    assert stack_geometry((1, 28, 28), convs, [4] * 3, [1], 10).padding_policy == "same_tf"


def test_its_label_chooses_it_again() -> None:
    convs = parse_typed({"kernel_size": 3, "stride": 2, "padding": "same_tf"}, 3, (28, 28), [1])
    typed = parse_label("k3-s2-p0+1.1.0+1")
    assert typed == {"kernel_size": 3, "stride": 2, "padding": ["0+1", 1, "0+1"]}
    assert parse_typed(typed, 3) == convs


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_it_never_leaves_an_output_empty(stride: int) -> None:
    convs = parse_typed({"kernel_size": 99, "stride": stride, "padding": "same_tf"}, 2, (5, 3))
    geometry = stack_geometry((1, 5, 3), convs, [1, 1], [], 10)
    assert geometry.layers[0].out_shape[1:] == (-(-5 // stride), -(-3 // stride))
