"""What may stand under `conv`, and the one line that answers what may not."""

import pickle

import pytest
from omegaconf import OmegaConf

from convscope.geometry import ConvSpec, GeometryError, ImpossibleVariant

from ..convs import parse_conv

SIZE = "an integer or height x width such as 3x5"
PADDING = (
    "an integer, height x width such as 1x2, before+after such as 0+1,"
    " valid, half, full, same or same_tf"
)


def conv(kernel: int, stride: int, padding: int) -> ConvSpec:
    sides = (padding, padding)
    return ConvSpec((kernel, kernel), (stride, stride), (sides, sides))


def test_one_value_serves_every_layer() -> None:
    assert parse_conv(3, 2, 1, 3) == (conv(3, 2, 1),) * 3


def test_a_list_is_one_entry_per_layer() -> None:
    assert parse_conv([5, "3", 3], [2, 1, 1], ["half", 1, "valid"], 3) == (
        conv(5, 2, 2),
        conv(3, 1, 1),
        conv(3, 1, 0),
    )


def test_brackets_mean_layers_even_when_there_are_two() -> None:
    assert parse_conv([3, 5], 1, 0, 2) == (conv(3, 1, 0), conv(5, 1, 0))


def test_height_x_width_alone_and_inside_a_list() -> None:
    tall = ConvSpec((3, 5), (1, 2), ((0, 0), (1, 1)))
    assert parse_conv("3x5", "1x2", "0x1", 1) == (tall,)
    assert parse_conv(["3x5", 3], ["1x2", 1], ["0x1", 0], 2) == (tall, conv(3, 1, 0))


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("valid", ((0, 0), (0, 0))),
        ("half", ((2, 2), (2, 2))),
        ("full", ((3, 3), (4, 4))),
        ("same", ((1, 2), (2, 2))),
    ],
)
def test_padding_names_follow_the_kernel_per_axis(name: str, sides: object) -> None:
    assert parse_conv("4x5", 1, name, 1)[0].padding == sides


def test_lists_may_come_from_omegaconf() -> None:
    config = OmegaConf.create({"kernel_size": [3, "3x5"], "padding": ["half", 0]})
    assert parse_conv(config.kernel_size, 1, config.padding, 2) == parse_conv(
        [3, "3x5"], 1, ["half", 0], 2
    )


BAD_ANYWHERE = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (1.5, "1.5"),
    (2.0, "2.0"),
    ("1.5", "1.5"),
    ("", "''"),
    (" 3", "' 3'"),
    ("abc\nxyz", r"'abc\nxyz'"),
    ("3x", "3x"),
    ("x3", "x3"),
    ("3x5x7", "3x5x7"),
    ("3X5", "3X5"),
    ("3 x 5", "3 x 5"),
    ("03", "03"),
    ("1_0", "1_0"),
    ("+3", "+3"),
    ("\uff13", "\uff13"),
    ("\u0663", "\u0663"),
    ({}, "{}"),
    ({"a": None}, "{a: null}"),
    (b"33", "b'33'"),
]


@pytest.mark.parametrize(("value", "shown"), BAD_ANYWHERE)
@pytest.mark.parametrize(
    ("key", "rule"), [("kernel_size", SIZE), ("stride", SIZE), ("padding", PADDING)]
)
def test_what_is_no_size_is_refused_by_key_rule_and_value(
    key: str, rule: str, value: object, shown: str
) -> None:
    good = {"kernel_size": 3, "stride": 1, "padding": 0}
    assert message(**good | {key: value}) == f"conv.{key} must be {rule}, got {shown}"
    entry = message(**good | {key: [1, value, 1]})
    assert entry == f"conv.{key}: conv2 must be {rule}, got {shown}"


def message(kernel_size: object, stride: object, padding: object) -> str:
    with pytest.raises(GeometryError) as error:
        parse_conv(kernel_size, stride, padding, 3)
    assert not isinstance(error.value, ImpossibleVariant)
    return str(error.value)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ((3, 0, 0), "conv.stride must be at least 1, got 0"),
        ((3, -1, 0), "conv.stride must be at least 1, got -1"),
        ((3, "-1", 0), "conv.stride must be at least 1, got -1"),
        ((0, 1, 0), "conv.kernel_size must be at least 1, got 0"),
        (("3x0", 1, 0), "conv.kernel_size must be at least 1, got 3x0"),
        ((3, 1, -1), "conv.padding must be at least 0, got -1"),
        ((3, 1, "1x-1"), "conv.padding must be at least 0, got 1x-1"),
        ((3, [1, 0, 1], 0), "conv.stride: conv2 must be at least 1, got 0"),
        ((1_001, 1, 0), "conv.kernel_size must be at most 1000, got 1001"),
        ((3, 1, "1x1001"), "conv.padding must be at most 1000, got 1x1001"),
        (
            (3, "9" * 5000, 0),
            f"conv.stride must be at most 1000, got {'9' * 57}...",
        ),
        (
            (3, 16**5000, 0),
            f"conv.stride must be at most 1000, got 0x1{'0' * 54}...",
        ),
        (("half", 1, 0), f"conv.kernel_size must be {SIZE}, got half"),
        ((3, 1, "sane"), f"conv.padding must be {PADDING}, got sane; did you mean same?"),
        ((3, 1, "HALF"), f"conv.padding must be {PADDING}, got HALF; did you mean half?"),
        (
            (3, 1, ["vaild", 0, 0]),
            f"conv.padding: conv1 must be {PADDING}, got vaild; did you mean valid?",
        ),
        ((3, 1, "abc"), f"conv.padding must be {PADDING}, got abc"),
        (
            (3, [2, 1, 1, 1], 0),
            "conv.stride must have one entry for each of the 3 conv layers, got 4: [2, 1, 1, 1]",
        ),
        (
            ([], 1, 0),
            "conv.kernel_size must have one entry for each of the 3 conv layers, got 0: []",
        ),
        (
            ([3, 5], 1, 0),
            "conv.kernel_size must have one entry for each of the 3 conv layers, got 2: [3, 5]; "
            "for height x width write 3x5",
        ),
        (
            ([[3, 5], 3, 3], 1, 0),
            f"conv.kernel_size: conv1 must be {SIZE}, got [3, 5]; for height x width write 3x5",
        ),
        (
            (3, 1, [0, 0, (1, 2)]),
            f"conv.padding: conv3 must be {PADDING}, got [1, 2]; for height x width write 1x2",
        ),
        ((3, [[1], 1, 1], 0), f"conv.stride: conv1 must be {SIZE}, got [1]"),
    ],
)
def test_bad_value_is_answered_with_one_line(typed: tuple[object, ...], line: str) -> None:
    assert message(*typed) == line


@pytest.mark.parametrize(
    ("typed", "line", "variant", "fix"),
    [
        (
            (3, 2, "same"),
            "conv.padding=same needs stride 1, as in PyTorch, but conv1 has stride 2; "
            "use conv.padding=half",
            "k3-s2-psame",
            "conv.padding=half",
        ),
        (
            (4, [1, "1x2", 1], "same"),
            "conv.padding=same needs stride 1, as in PyTorch, but conv2 has stride 1x2; "
            "use conv.padding=half",
            "k4-s1.1x2.1-psame",
            "conv.padding=half",
        ),
        (
            (3, [2, 1, 2], [0, "same", "same"]),
            "conv.padding=same needs stride 1, as in PyTorch, but conv3 has stride 2; "
            "use 'conv.padding=[0,same,half]'",
            "k3-s2.1.2-p0.1.same",
            "conv.padding=[0,same,half]",
        ),
    ],
)
def test_same_with_a_stride_is_impossible_and_half_is_named(
    typed: tuple[object, ...], line: str, variant: str, fix: str
) -> None:
    with pytest.raises(ImpossibleVariant) as error:
        parse_conv(*typed, 3)
    assert (str(error.value), error.value.variant, error.value.fix) == (line, variant, fix)


def test_an_impossible_variant_travels_between_processes() -> None:
    with pytest.raises(ImpossibleVariant) as error:
        parse_conv(3, 2, "same", 1)
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), vars(copy)) == (str(error.value), vars(error.value))


@pytest.mark.parametrize(
    ("typed", "sides"),
    [
        ("0+1", ((0, 1), (0, 1))),
        ("2+1", ((2, 1), (2, 1))),
        ("0+1x2+0", ((0, 1), (2, 0))),
        ("1+1", ((1, 1), (1, 1))),
    ],
)
def test_the_two_sides_of_a_padding_may_differ_at_any_stride(typed: str, sides: object) -> None:
    assert parse_conv(3, 2, typed, 1)[0].padding == sides


@pytest.mark.parametrize("typed", ["0+", "+1", "0+1+2", "0 + 1", "-1+0", "0+1x2", "0+1x"])
def test_what_is_no_pair_of_sides(typed: str) -> None:
    with pytest.raises(GeometryError, match=r"before\+after such as 0\+1"):
        parse_conv(3, 1, typed, 1)


def test_the_larger_side_is_bounded_too() -> None:
    with pytest.raises(GeometryError, match=r"conv.padding must be at most 1000, got 0\+1001"):
        parse_conv(3, 1, "0+1001", 1)
