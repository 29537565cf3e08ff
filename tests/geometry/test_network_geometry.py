"""Layers of the network against numbers worked out by hand and windows marked one by one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.geometry import (
    Border,
    GeometryError,
    ImpossibleVariant,
    NetworkGeometry,
    central_field,
    receptive_pixels,
)
from convscope.geometry.conv import ConvAxis

from ..convs import parse_conv, stack_geometry

MNIST = (1, 28, 28)


def default_network(kernel_size: object, stride: object, padding: object) -> NetworkGeometry:
    convs = parse_conv(kernel_size, stride, padding, 3)
    return stack_geometry(MNIST, convs, channels=[16, 32, 64], pool_after=[1], classes=10)


def rows(network: NetworkGeometry, *fields: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(layer, field) for field in fields) for layer in network.layers]


def test_default_network_k3_s1_p1() -> None:
    network = default_network(3, 1, 1)
    assert rows(network, "name", "kind", "in_shape", "out_shape") == [
        ("conv1", "conv", (1, 28, 28), (16, 28, 28)),
        ("pool1", "pool", (16, 28, 28), (16, 14, 14)),
        ("conv2", "conv", (16, 14, 14), (32, 14, 14)),
        ("conv3", "conv", (32, 14, 14), (64, 14, 14)),
    ]
    assert rows(network, "receptive_field", "jump", "start") == [
        ((3, 3), (1, 1), (0.0, 0.0)),
        ((4, 4), (2, 2), (0.5, 0.5)),
        ((8, 8), (2, 2), (0.5, 0.5)),
        ((12, 12), (2, 2), (0.5, 0.5)),
    ]
    # 28*28*9*1*16, 0, 14*14*9*16*32, 14*14*9*32*64; 4 bytes a value.
    assert rows(network, "macs", "params", "activation_bytes") == [
        (112_896, 144, 50_176),
        (0, 0, 12_544),
        (903_168, 4_608, 25_088),
        (3_612_672, 18_432, 50_176),
    ]
    # All but the inner 26x26 of 28x28 and 12x12 of 14x14 touch padding.
    assert rows(network, "padding_share") == [
        (pytest.approx(1 - 26**2 / 28**2),),
        (0.0,),
        (pytest.approx(1 - 12**2 / 14**2),),
        (pytest.approx(1 - 12**2 / 14**2),),
    ]
    # Convs 23184, batch norm 2*(16+32+64), head 64*10+10; head MACs 640.
    assert (network.params, network.macs) == (24_058, 4_629_376)
    assert (network.final_map, network.variant, network.padding_policy) == (
        (14, 14),
        "k3-s1-p1",
        "half",
    )


def test_default_network_k3_s2_p1() -> None:
    network = default_network(3, 2, 1)
    nothing, one_padding = Border(image=0, padding=0), Border(image=0, padding=1)
    assert rows(network, "name", "out_shape", "receptive_field", "jump", "start") == [
        ("conv1", (16, 14, 14), (3, 3), (2, 2), (0.0, 0.0)),
        ("pool1", (16, 7, 7), (5, 5), (4, 4), (1.0, 1.0)),
        ("conv2", (32, 4, 4), (13, 13), (8, 8), (1.0, 1.0)),
        ("conv3", (64, 2, 2), (29, 29), (16, 16), (1.0, 1.0)),
    ]
    # (28+2-3) % 2 = 1, (7+2-3) % 2 = 0, (4+2-3) % 2 = 1: what is left over is padding.
    assert rows(network, "unused_border") == [
        ((one_padding, one_padding),),
        ((nothing, nothing),),
        ((nothing, nothing),),
        ((one_padding, one_padding),),
    ]
    # Unread padding at the end is touched by nobody: 13x13 of 14x14 and 1x1 of 2x2 are clear.
    assert rows(network, "padding_share") == [
        (pytest.approx(1 - 13**2 / 14**2),),
        (0.0,),
        (pytest.approx(1 - 2**2 / 4**2),),
        (pytest.approx(1 - 1 / 4),),
    ]
    # 14*14*144 + 4*4*4608 + 2*2*18432 + 640
    assert (network.params, network.macs, network.final_map) == (24_058, 176_320, (2, 2))


def test_default_network_k5_s2_p0_dies_in_conv3() -> None:
    with pytest.raises(ImpossibleVariant) as error:
        default_network(5, 2, 0)
    assert str(error.value) == (
        "conv3 would have an empty output: input 1x1, kernel_size 5, stride 2, padding 0; "
        "conv.padding=1 would make it possible"
    )
    assert (error.value.layer, error.value.variant) == ("conv3", "k5-s2-p0")


def test_one_unit_sees_the_image_less_padding_and_gaps() -> None:
    network = default_network(3, 2, 1)
    # conv3 unit 0 spans -13..15 of the image, unit 1 spans 3..31.
    assert receptive_pixels(network, "conv3", 0, axis=0) == tuple(range(16))
    assert receptive_pixels(network, "conv3", 1, axis=1) == tuple(range(3, 28))
    assert receptive_pixels(network, "conv1", 13, axis=0) == (25, 26, 27)
    gaps = stack_geometry((1, 9, 9), parse_conv([1, 2], [3, 1], 0, 2), [1, 1], [], 10)
    assert receptive_pixels(gaps, "conv2", 0, axis=0) == (0, 3)
    lost = stack_geometry((1, 9, 9), parse_conv(3, 1, 4, 1), [1], [], 10)
    assert receptive_pixels(lost, "conv1", 0, axis=0) == ()


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"),
    [(3, 1, 1), (3, 2, 1), ("3x5", 1, 0), (3, 3, 1), (4, 1, 2)],
)
def test_the_central_field_is_that_of_the_middle_unit(
    kernel_size: object, stride: object, padding: object
) -> None:
    network = default_network(kernel_size, stride, padding)
    for axis, pixels in enumerate(central_field(network)):
        unit = network.final_map[axis] // 2
        assert tuple(pixels) == receptive_pixels(network, network.final, unit, axis)


@pytest.mark.parametrize("unit", [-1, 2])
def test_a_unit_that_is_not_there_has_no_interval(unit: int) -> None:
    with pytest.raises(IndexError, match=f"conv3 has no unit {unit} along axis 1"):
        receptive_pixels(default_network(3, 2, 1), "conv3", unit, axis=1)


def test_records_are_what_json_gives_back() -> None:
    records = default_network(3, 2, 1).as_records()
    assert json.loads(json.dumps(records)) == records
    assert records[0] == {
        "name": "conv1",
        "kind": "conv",
        "in_shape": [1, 28, 28],
        "out_shape": [16, 14, 14],
        "kernel_size": [3, 3],
        "stride": [2, 2],
        "padding": [[1, 1], [1, 1]],
        "receptive_field": [3, 3],
        "jump": [2, 2],
        "start": [0.0, 0.0],
        "macs": 28_224,
        "params": 144,
        "activation_bytes": 12_544,
        "unread_border": [{"image": 0, "padding": 1}, {"image": 0, "padding": 1}],
        "skipped": [0, 0],
        "padding_share": pytest.approx(1 - 13**2 / 14**2),
    }


@pytest.mark.parametrize("block", [0, 4, -1])
def test_a_pool_after_no_block_is_refused(block: int) -> None:
    with pytest.raises(
        GeometryError, match=f"^model.pool_after must name blocks 1 to 3, got {block}$"
    ):
        stack_geometry(MNIST, parse_conv(3, 1, 1, 3), [16, 32, 64], [1, block], 10)


def test_channels_and_convs_must_agree() -> None:
    with pytest.raises(ValueError, match="3 convolutions for 2 varied layers"):
        stack_geometry(MNIST, parse_conv(3, 1, 1, 3), [16, 32], [1], 10)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.one_of(
        st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from(["full", "same"])
    ),
)
def test_border_skipped_and_padding_share_equal_windows_marked_one_by_one(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
) -> None:
    if padding == "same":
        stride = (1, 1)
    typed = padding if isinstance(padding, str) else f"{padding[0]}x{padding[1]}"
    convs = parse_conv(f"{kernel[0]}x{kernel[1]}", f"{stride[0]}x{stride[1]}", typed, 1)
    try:
        [layer] = stack_geometry((1, *size), convs, [1], [], 10).layers
    except ImpossibleVariant:
        return
    touches: list[list[bool]] = []
    for axis in (0, 1):
        before, after = convs[0].padding[axis]
        line = ["padding"] * before + ["image"] * size[axis] + ["padding"] * after
        starts = range(0, len(line) - kernel[axis] + 1, stride[axis])
        windows = [range(start, start + kernel[axis]) for start in starts]
        read = {position for window in windows for position in window}
        unread = [i for i in range(len(line)) if i not in read]
        end = [line[i] for i in unread if i > max(read)]
        border = Border(image=end.count("image"), padding=end.count("padding"))
        assert layer.unused_border[axis] == border
        assert layer.skipped[axis] == [line[i] for i in unread if i < max(read)].count("image")
        touches.append([any(line[i] == "padding" for i in window) for window in windows])
    outputs = [row or column for row in touches[0] for column in touches[1]]
    assert layer.padding_share == pytest.approx(sum(outputs) / len(outputs), abs=1e-12)


def test_skipped_pixels_of_a_line_of_any_length_are_counted_at_once() -> None:
    # By hand: windows of 2 every 5 on 10**15 pixels, 3 skipped after each but the last.
    assert ConvAxis(2, 5, 0, 0, 1, "zeros").skipped(10**15) == 3 * (10**15 // 5 - 1)
