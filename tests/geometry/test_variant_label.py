"""The name of a variant and its policy are read off the pixels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.geometry import convs_to_config, padding_policy, variant_label

from ..convs import parse_conv
from .typed_convs import Typed, typed_convs


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ((3, 2, 1), "k3-s2-p1"),
        (([5, 3, 3], [2, 1, 1], [2, 1, 1]), "k5.3.3-s2.1.1-p2.1.1"),
        (("3x5", 1, "1x2"), "k3x5-s1-p1x2"),
        ((["3x5", 3, 3], 1, "half"), "k3x5.3.3-s1-p1x2.1.1"),
        ((4, 1, "same"), "k4-s1-p1+2"),
        (("3x4", 1, "same"), "k3x4-s1-p1+1x1+2"),
        (([4, 2, 6], 1, "same"), "k4.2.6-s1-p1+2.0+1.2+3"),
        (([3, 4, 3], 1, "same"), "k3.4.3-s1-p1.1+2.1"),
        ((["3x3", "3", 3], [1, 1, 1], [0, "valid", "0x0"]), "k3-s1-p0"),
    ],
)
def test_label(typed: tuple[object, ...], label: str) -> None:
    assert variant_label(parse_conv(*typed, 3)) == label


@pytest.mark.parametrize("padding", [1, "1", "1x1", "half", "same", [1, "half", "same"]])
def test_what_was_typed_does_not_matter(padding: object) -> None:
    convs = parse_conv(3, 1, padding, 3)
    assert (variant_label(convs), padding_policy(convs)) == ("k3-s1-p1", "half")
    assert convs == parse_conv("3x3", [1, 1, 1], 1, 3)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.integers(1, 3).flatmap(lambda n: st.tuples(*[typed_convs(layers=n, least_layers=n)] * 2)))
def test_labels_are_equal_exactly_when_the_pixels_are(pair: tuple[Typed, Typed]) -> None:
    one, other = (parse_conv(*typed.typed, **typed.others) for typed in pair)
    assert (variant_label(one) == variant_label(other)) == (one == other)


def test_no_two_small_geometries_share_a_label() -> None:
    entries = [1, 2, 3, "1x2", "2x1", "2x3", "3x2"]
    paddings = ["same", "valid", "half", "full", 0, 1, 2, "0x1", "1x0", "1x2"]
    geometries = {
        parse_conv([first, second], 1, [p, q], 2)
        for first in entries
        for second in entries
        for p in paddings
        for q in paddings
    }
    assert len({variant_label(convs) for convs in geometries}) == len(geometries) > 1000


@pytest.mark.parametrize(
    ("kernel", "padding", "policy"),
    [
        (3, 0, "valid"),
        (3, 1, "half"),
        (3, 2, "full"),
        (3, 3, "other"),
        (4, 2, "half"),
        (4, 1, "other"),
        (4, "same", "other"),
        (5, "same", "half"),
        (1, 0, "valid"),
        (1, "full", "valid"),
        (2, 1, "half"),
        (2, "full", "half"),
        ([1, 3, 3], [0, 1, 1], "half"),
        ([1, 3, 3], [0, 2, 2], "full"),
        ([3, 3, 3], [1, 1, 0], "other"),
        ("3x5", "1x2", "half"),
        ("3x5", 1, "other"),
    ],
)
def test_policy_holds_only_if_all_layers_share_it(
    kernel: object, padding: object, policy: str
) -> None:
    assert padding_policy(parse_conv(kernel, 1, padding, 3)) == policy


def test_config_is_the_pixels_as_plain_lists() -> None:
    assert convs_to_config(parse_conv([4, "3x5"], [1, "1x2"], ["same", "0x1"], 2)) == {
        "kernel_size": [[4, 4], [3, 5]],
        "stride": [[1, 1], [1, 2]],
        "padding": [[[1, 2], [1, 2]], [[0, 0], [1, 1]]],
    }
