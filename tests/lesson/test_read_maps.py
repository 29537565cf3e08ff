"""Heat maps of read counts: which there are, and that any network has a picture."""

import pytest

from convscope.errors import UserError
from convscope.geometry import network_geometry, path_counts
from convscope.lesson.read_maps import MOST_MAPS, read_maps, read_maps_png

from ..convs import parse_conv, resnet20_graph, stack_geometry


def test_a_map_through_all_layers_and_one_for_layers_that_read_alike() -> None:
    geometry = network_geometry(resnet20_graph(), (3, 32, 32))
    first, stem, down, *others = read_maps(geometry)
    assert first.title == "image, through all layers"
    assert first.counts == path_counts(geometry)
    assert (stem.title, stem.others) == ("input of conv1", 6)
    assert (stem.counts[0][0], stem.counts[9][9]) == (4, 9)
    assert down.title == "input of layer2.0.conv1"
    assert (down.counts[0][0], down.counts[1][1]) == (1, 4)
    assert [(drawn.title, drawn.others) for drawn in others] == [
        *(("input of layer2.0.conv2", 4), ("input of layer3.0.conv1", 0)),
        ("input of layer3.0.conv2", 4),
    ]


def test_a_single_layer_has_one_map() -> None:
    (only,) = read_maps(stack_geometry((1, 4, 5), parse_conv(1, 2, 0, 1), (1,), (), 10))
    assert only.counts == [[1, 0, 1, 0, 1], [0] * 5] * 2


@pytest.mark.parametrize(
    ("size", "convs"),
    [
        ((1, 1), parse_conv(1, 1, 0, 1)),
        # Two windows of one pixel each, all on padding.
        ((1, 1), parse_conv(1, 2, 1, 1)),
        # Numbers of 60 digits.
        ((9, 9), parse_conv(9, 1, 4, 39)),
    ],
)
def test_extremes_have_a_picture(size, convs) -> None:
    geometry = stack_geometry((1, *size), convs, [1] * len(convs), (), 10)
    assert read_maps_png(geometry, "a network").startswith(b"\x89PNG")


def test_too_many_maps_are_refused_in_one_line() -> None:
    count = MOST_MAPS + 1
    convs = parse_conv([1, 2] * count, 1, 0, 2 * count)
    geometry = stack_geometry((1, 99, 99), convs, [1] * len(convs), (), 10)
    with pytest.raises(UserError, match=f"^--png draws at most {MOST_MAPS} different maps, got "):
        read_maps_png(geometry, "a network")
