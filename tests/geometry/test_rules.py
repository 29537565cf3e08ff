"""Each rule's sentence once true and once absent; the numbers are worked out by hand."""

import pytest

from convscope.geometry import ConvSpec, Graph, NetworkGeometry, network_geometry
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Node
from convscope.geometry.layers import Conv, Flatten, GlobalPool, Linear, Merge, Mixing
from convscope.geometry.rules import RULES, findings
from convscope.networks.stack import chain

from ..convs import parse_conv, stack_geometry

FLOORS = (
    ": the stride does not divide evenly, and PyTorch rounds the size down, where some visualisers"
    " call it invalid."
)


def network(
    kernel_size: object,
    stride: object,
    padding: object,
    image: tuple[int, int],
    channels: tuple[int, ...] = (1,),
    pool_after: tuple[int, ...] = (),
) -> NetworkGeometry:
    convs = parse_conv(kernel_size, stride, padding, len(channels))
    return stack_geometry((1, *image), convs, channels, pool_after, classes=10)


def mixed(cost: int, shape: tuple[int, int, int] = (1, 3, 3)) -> NetworkGeometry:
    """A convolution, another order of its positions, attention, a convolution."""
    conv = Conv(1, ConvSpec((3, 3), (1, 1), symmetric((1, 1))))
    layers = [
        ("conv1", conv),
        ("view", Mixing("view", (shape,), shape)),
        ("attend", Mixing("MultiheadAttention", (shape,), shape, cost=cost)),
        ("conv2", conv),
        ("mean", GlobalPool()),
        ("head", Linear(10)),
    ]
    return network_geometry(Graph(chain(layers), ("conv1",)), shape)


TRUE = {
    # (28 + 2 - 3) % 2 = 1, and 1 padding pixel lies at the end
    "unused_border": (
        network(3, 2, 1, (28, 28)),
        "conv1 leaves an unused border of 1 padding row and 1 padding column, no image pixel"
        + FLOORS,
    ),
    # windows 0-1, 3-4, 6-7 of 8: pixels 2 and 5 are left out, 6 x 6 read
    "skipped_pixels": (
        network(2, 3, 0, (8, 8)),
        "conv1's stride 3 skips 1 of every 3 rows and columns: 36 of 64 pixels are used.",
    ),
    # Windows 0-2, 2-4, 4-6 of 7: pixels 2 and 4 are read twice per axis.
    "uneven_reads": (
        network(3, 2, 0, (7, 7)),
        "conv1 reads interior pixels 1, 2 or 4 times: stride 2 does not divide kernel size 3.",
    ),
    # 7 windows an axis, the first and the last on the 2 pixels of padding: 49 - 25
    "padding_only_outputs": (
        network(2, 1, 2, (4, 4)),
        "24 of conv1's 49 outputs read nothing but padding.",
    ),
    # 2 of 4 columns, every row: just the threshold
    "touches_padding": (
        network("1x3", 1, "0x1", (4, 4)),
        "50 % of conv1's outputs touch padding.",
    ),
    "grown_output": (
        network(3, 1, 2, (5, 5)),
        "conv1 grows from 5x5 to 7x7: padding adds more than the kernel takes.",
    ),
    "even_kernel": (
        network(4, 1, "same", (9, 9)),
        "the 4x4 kernel of conv1 has no centre pixel: its outputs lie half a pixel off the input's"
        " pixels.",
    ),
    "pointwise_kernel": (
        network(1, 1, 0, (9, 9)),
        "conv1 is 1x1: it mixes the channels of a pixel without its neighbours.",
    ),
    "patches": (
        network(2, 2, 0, (4, 4)),
        "conv1 cuts its input into 2x2 patches: windows neither overlap nor leave gaps.",
    ),
    "field_below_image": (
        network(3, 1, 1, (28, 28), (1, 1)),
        "the receptive field of a conv2 unit holds at most 5 of 28 pixels per axis.",
    ),
    "whole_image": (
        mixed(cost=81),
        "the receptive field counts as the whole image after attend (a MultiheadAttention), which"
        " mixes all positions.",
    ),
    # 7 >= 2 * 3
    "field_beyond_image": (
        network(7, 1, 3, (3, 3)),
        "the receptive field of a conv1 unit spans 7x7 pixels, the image has 3x3: beyond its edge"
        " there is only padding.",
    ),
    # conv1 has 3 pixels, conv2 5: all of the image
    "unproductive_layers": (
        network(3, 1, 1, (5, 5), (1, 1, 1)),
        "conv3 is unproductive: the receptive field of its input spans the whole image already.",
    ),
    # 10 x 10 pixels: 100 and 900 in the conv layers, 90 in the head; 900 / 1090
    "macs_in_one_layer": (
        network(1, 1, 0, (10, 10), (1, 9)),
        "83 % of the MACs are in conv2.",
    ),
    "small_final_map": (
        network(5, 1, 0, (5, 5)),
        "conv1's map is 1x1: global average pooling has nothing to average.",
    ),
}
ABSENT = {
    "unused_border": network(3, 2, 1, (27, 27)),
    "skipped_pixels": network(3, 3, 0, (9, 9)),
    # Read twice, and once or not at all.
    "uneven_reads": network([4, 1], [2, 3], 0, (12, 12), (1, 1)),
    "padding_only_outputs": network(2, 1, 1, (4, 4)),
    "touches_padding": network("1x3", 1, "0x1", (4, 5)),
    "grown_output": network(3, 1, 1, (5, 5)),
    "even_kernel": network("3x5", 1, 0, (9, 9)),
    "pointwise_kernel": network("1x3", 1, 0, (9, 9)),
    "patches": network(3, 2, 0, (9, 9)),
    "field_below_image": network(3, 1, 1, (5, 5), (1, 1)),
    "whole_image": network(3, 1, 1, (3, 3), (1, 1)),
    "field_beyond_image": network(7, 1, 3, (4, 4)),
    "unproductive_layers": network(3, 1, 1, (6, 5), (1, 1, 1)),
    # 100 and 100 in the conv layers, 10 in the head
    "macs_in_one_layer": network(1, 1, 0, (10, 10), (1, 1)),
    "small_final_map": network(4, 1, 0, (5, 5)),
}


def test_every_rule_is_tried_both_ways() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(names) == sorted(TRUE) == sorted(ABSENT)


@pytest.mark.parametrize("rule", TRUE)
def test_the_sentence_where_the_threshold_is_reached(rule: str) -> None:
    geometry, sentence = TRUE[rule]
    assert findings(geometry)[rule] == sentence


@pytest.mark.parametrize("rule", ABSENT)
def test_silence_where_it_is_not(rule: str) -> None:
    assert rule not in findings(ABSENT[rule])


@pytest.mark.parametrize(
    ("kernel", "stride", "times"),
    [
        ("3x4", 2, "2 or 4 times: in height, stride 2 does not divide kernel size 3"),
        (5, 2, "4, 6 or 9 times: stride 2 does not divide kernel size 5"),
        ("3x5", "2x3", "1, 2 or 4 times: stride 2x3 does not divide kernel size 3x5"),
    ],
)
def test_reads_of_other_strides(kernel: object, stride: object, times: str) -> None:
    found = findings(network(kernel, stride, 0, (20, 20)))["uneven_reads"]
    assert found == f"conv1 reads interior pixels {times}."


def test_uneven_reads_multiply_through_layers() -> None:
    # Along an axis, the paths from pixels 4 to 7 of 13 are 1, 3, 2 and 3: see test_read_counts.
    assert findings(network(3, 2, 1, (13, 13), (1, 1)))["uneven_reads"] == (
        "conv1 and conv2 read interior pixels 1, 2 or 4 times: stride 2 does not divide kernel size"
        " 3; through all layers, the most read of the 4x4 pixels at the image's centre is read 9"
        " times as often as the least read."
    )


def test_several_unproductive_layers_are_counted() -> None:
    assert said("unproductive_layers", network(3, 1, 1, (5, 5), (1, 1, 1, 1))) == (
        "2 conv layers from conv3 on are unproductive: the receptive field of their input spans the"
        " whole image already."
    )


def test_a_1x1_kernel_makes_no_patches() -> None:
    assert "patches" not in findings(network(1, 1, 0, (4, 4)))


def said(rule: str, geometry: NetworkGeometry) -> str:
    return findings(geometry)[rule]


def test_unused_pixels_of_image_and_padding_by_axis_and_layer() -> None:
    rule = "unused_border"
    # width: (27 + 2 - 3) % 2 = 0
    only_rows = said(rule, network(3, 2, 1, (28, 27)))
    assert only_rows == "conv1 leaves an unused border of 1 padding row, no image pixel" + FLOORS
    # (28 - 5) % 2 = 1, without padding
    image = said(rule, network(5, 2, 0, (28, 28)))
    assert image == "conv1 leaves an unused border of 1 image row and 1 image column" + FLOORS
    # (6 + 2 - 1) % 4 = 3: 1 of padding, 2 of the image
    both = said(rule, network(1, 4, 1, (6, 6)))
    assert both == (
        "conv1 leaves an unused border of 2 image rows, 2 image columns, 1 padding row and"
        " 1 padding column" + FLOORS
    )
    # conv1 28 -> 14; conv2 (14 + 2 - 3) % 2 = 1; conv3 7 -> 4 leaves nothing
    deeper = said(rule, network(3, 2, 1, (28, 28), (1, 1, 1)))
    assert deeper == (
        "conv1 leaves an unused border of 1 padding row and 1 padding column, no image pixel; conv2"
        " leaves an unused border of 1 padding row and 1 padding column, no input pixel" + FLOORS
    )


def test_skipped_pixels_of_one_axis_and_of_unequal_axes() -> None:
    rule = "skipped_pixels"
    assert said(rule, network("2x3", 3, 0, (8, 9))) == (
        "conv1's stride 3 skips 1 of every 3 rows: 54 of 72 pixels are used."
    )
    # columns 0 and 4 of 5 are read; rows 0-1, 3-4
    assert said(rule, network("2x1", "3x4", 0, (5, 5))) == (
        "conv1's stride 3x4 skips 1 of every 3 rows and 3 of every 4 columns: 8 of 25 pixels are"
        " used."
    )


def test_the_field_counts_pixels_that_are_read_not_the_span() -> None:
    # conv1 reads pixels 0, 2, 4, …; two of them make a unit of conv2, which spans 3
    geometry = network([1, 2], [2, 1], 0, (8, 8), (1, 1))
    assert geometry.layers[-1].receptive_field == (3, 3)
    assert said("field_below_image", geometry) == (
        "the receptive field of a conv2 unit holds at most 2 of 8 pixels per axis."
    )
    uneven = network("3x5", 1, 0, (9, 9))
    assert said("field_below_image", uneven) == (
        "the receptive field of a conv1 unit holds at most 3x5 of 9x9 pixels."
    )


def test_what_holds_along_one_axis_is_said_of_that_axis() -> None:
    # height 5 + 2 * 2 - 3 + 1 = 7, width 5 - 3 + 1 = 3
    assert said("grown_output", network(3, 1, "2x0", (5, 5))) == (
        "conv1 grows in height from 5 to 7: padding adds more than the kernel takes."
    )
    # 7 >= 2 * 3, but 7 < 2 * 4
    assert said("field_beyond_image", network(7, 1, 3, (4, 3))) == (
        "the receptive field of a conv1 unit spans 7 pixels in width, the image has 3: beyond its"
        " edge there is only padding."
    )


def test_layers_that_share_a_fact_share_a_clause() -> None:
    geometry = network([4, 2, 4], 1, 0, (12, 12), (1, 1, 1))
    assert said("even_kernel", geometry) == (
        "the 4x4 kernel of conv1 and conv3 has no centre pixel: its outputs lie half a pixel off"
        " the input's pixels; the 2x2 kernel of conv2 has no centre pixel: its outputs lie half a"
        " pixel off the input's pixels."
    )
    assert said("even_kernel", network("3x4", 1, 0, (9, 9))) == (
        "the 3x4 kernel of conv1 has no centre column: its outputs lie half a pixel off the input's"
        " columns."
    )
    # 4x4 and 2x2 outputs: 1 - 4 / 16, and all
    padded = network(3, [1, 2, 1], 1, (4, 4), (1, 1, 1))
    assert said("touches_padding", padded) == (
        "75 % of conv1's and conv2's and 100 % of conv3's outputs touch padding."
    )
    ones = network(1, 1, 0, (4, 4), (1, 1, 1))
    assert said("pointwise_kernel", ones) == (
        "conv1, conv2 and conv3 are 1x1: they mix the channels of a pixel without its neighbours."
    )


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    # head 10 of 1,000,000 + 10
    geometry = network([1000, 1], 1, 0, (1000, 1000), (1, 1))
    assert said("macs_in_one_layer", geometry) == "over 99 % of the MACs are in conv1."


def test_what_stands_out_in_the_default_network() -> None:
    geometry = network(3, 1, 1, (28, 28), (16, 32, 64), (1,))
    assert list(findings(geometry).values()) == [
        "the receptive field of a conv3 unit holds at most 12 of 28 pixels per axis.",
        "78 % of the MACs are in conv3.",
    ]


def long_network(*layers: Node) -> NetworkGeometry:
    """Thirteen 3x3 layers of one channel, a.0 to a.12 on 40x40, then these."""
    thirteen = [(f"a.{number}", conv(3, 1, 1)) for number in range(13)]
    nodes = (*chain(thirteen), *layers)
    return network_geometry(Graph(nodes, varied=()), (1, 40, 40))


def conv(kernel: int, stride: int, padding: int) -> Conv:
    return Conv(1, ConvSpec((kernel, kernel), (stride, stride), symmetric((padding, padding))))


def test_a_long_network_s_layers_are_counted() -> None:
    tail = chain(
        [
            *((f"b.{number}", conv(1, 2, 0)) for number in range(2)),  # 40 to 20 to 10
            ("b.2", conv(3, 1, 1)),
            *((f"b.{number}", conv(1, 1, 0)) for number in (3, 4)),
            *((f"c.{number}", conv(4, 1, 2)) for number in range(4)),  # 10 to 14
            *((f"d.{number}", conv(2, 1, 0)) for number in range(13)),  # 14 to 1
            ("mean", GlobalPool()),
            ("head", Linear(10)),
        ],
        "a.12",
    )
    found = findings(long_network(*tail))
    assert found["pointwise_kernel"] == (
        "4 of the 5 conv layers from b.0 to b.4 are 1x1: they mix the channels of a pixel without"
        " its neighbours."
    )
    assert found["skipped_pixels"] == ("b.0 and b.1 skip 1 of every 2 rows and columns (stride 2).")
    assert found["even_kernel"] == (
        "the 4x4 kernel of 4 conv layers from c.0 to c.3 has no centre pixel: its outputs lie half"
        " a pixel off the input's pixels; the 2x2 kernel of 13 conv layers from d.0 to d.12 has no"
        " centre pixel: its outputs lie half a pixel off the input's pixels."
    )
    # 10 to 11 to 12 to 13 to 14: each another fact.
    assert found["grown_output"] == (
        "c.0 grows from 10x10 to 11x11; c.1 grows from 11x11 to 12x12; c.2 grows from 12x12 to"
        " 13x13; similarly 1 other conv layer: padding adds more than the kernel takes."
    )
    # Outputs clear of padding: 7 of 11, 8 of 12, 9 of 13 and 10 of 14 an axis. 1 - (7 / 11)^2
    assert found["touches_padding"] == (
        "60 % of c.0's, 56 % of c.1's and 52 % of c.2's outputs touch padding."
    )
    # 27 pixels after a.12 at jump 1, 35 after b.2 at jump 4, then + 12 a layer of c: 47.
    assert found["unproductive_layers"].startswith("16 conv layers from c.1 on are unproductive:")
    assert found["small_final_map"].startswith("d.12's map is 1x1:")


def test_a_network_without_global_pooling_has_nothing_to_average() -> None:
    tail = chain([("b.0", conv(40, 1, 0)), ("flat", Flatten()), ("head", Linear(10))], "a.12")
    assert "small_final_map" not in findings(long_network(*tail))


def test_many_layers_whose_outputs_touch_padding() -> None:
    tail = chain(
        [
            ("b.0", conv(3, 5, 1)),  # 40 to 8
            *((f"c.{number}", conv(3, 1, 1)) for number in range(2)),
            ("d.0", conv(3, 2, 1)),  # 8 to 4
            *((f"e.{number}", conv(3, 1, 1)) for number in range(3)),
            ("f", conv(3, 2, 1)),  # 4 to 2
            ("g", conv(3, 1, 1)),
        ],
        "a.12",
    )
    # 1 - (2 / 4)^2 in e; all in g; in f 1 of 2 windows an axis is clear: 1 - (1 / 2)^2.
    assert findings(long_network(*tail))["touches_padding"] == (
        "at least 50 % of the outputs touch padding in 5 conv layers from e.0 to g, most in g:"
        " 100 %."
    )
    only_e = findings(long_network(*tail[:-2], *chain([("e.3", conv(3, 1, 1))], "e.2")))
    assert only_e["touches_padding"] == (
        "75 % of the outputs touch padding in 4 conv layers from e.0 to e.3."
    )


def test_branches_that_do_not_reach_the_whole_image_are_not_counted() -> None:
    # After 13 layers of 3x3 a unit has 27 of 40 pixels; `wide` adds 14, `narrow` nothing.
    branches = (
        Node("b.wide", conv(15, 1, 7), ("a.12",)),
        Node("b.narrow", conv(1, 1, 0), ("a.12",)),
        Node("b.after_wide", conv(3, 1, 1), ("b.wide",)),
        Node("b.after_narrow", conv(3, 1, 1), ("b.narrow",)),
        Node("b.add", Merge(), ("b.after_wide", "b.after_narrow")),
        Node("c", conv(3, 1, 1), ("b.add",)),
    )
    found = findings(long_network(*branches))
    assert found["unproductive_layers"] == (
        "2 of the 3 conv layers from b.after_wide on are unproductive: the receptive field of"
        " their input spans the whole image already."
    )


def test_what_only_rearranges_is_named_where_nothing_else_mixes() -> None:
    assert said("whole_image", mixed(cost=0)).startswith(
        "the receptive field counts as the whole image after view (a view),"
    )
