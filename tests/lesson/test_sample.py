"""The tutorial's numbers, and 500 random layers against SciPy's correlation."""

import random

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from convscope.errors import UserError
from convscope.geometry import ConvSpec, ImpossibleVariant
from convscope.lesson.sample import constructor, preset_shapes, sample, tutorial
from convscope.lesson.sentences import lesson

from ..convs import parse_conv


def conv(kernel_size: object, stride: object, padding: object) -> ConvSpec:
    (shape,) = parse_conv(kernel_size, stride, padding, 1)
    return shape


def test_the_tutorial_s_numbers() -> None:
    valid, strided, padded = tutorial()
    assert [one.output_shape for one in (valid, strided, padded)] == [
        (1, 1, 3, 3),
        (1, 1, 2, 2),
        (1, 1, 5, 5),
    ]
    assert valid.output == [[54, 63, 72], [99, 108, 117], [144, 153, 162]]
    assert strided.output == [[54, 72], [144, 162]]
    assert padded.output == [
        [12, 21, 27, 33, 24],
        [33, 54, 63, 72, 51],
        [63, 99, 108, 117, 81],
        [93, 144, 153, 162, 111],
        [72, 111, 117, 123, 84],
    ]


def test_the_tutorial_s_lessons() -> None:
    valid, strided, padded = (one.sentences for one in tutorial())
    assert valid == [
        "The kernel size is the area of the input that one output is computed from: with weights 1"
        " and bias 0 each output is the sum of a 3x3 window.",
        "Height and width: floor((5 + 0 + 0 - 3) / 1) + 1 = 3.",
    ]
    assert strided == [
        "A stride above 1 shrinks the output: the window moves 2 pixels at a time, to 2x2 positions"
        " instead of the 3x3 at stride 1.",
        "Height and width: floor((5 + 0 + 0 - 3) / 2) + 1 = 2.",
    ]
    assert padded == [
        "Padding keeps the size at stride 1: 5x5 becomes 7x7, and each corner pixel"
        " lies in 4 windows instead of 1.",
        "Height and width: floor((5 + 1 + 1 - 3) / 1) + 1 = 5.",
    ]


def test_the_tutorial_s_constructors() -> None:
    assert preset_shapes(conv(3, 1, 0)) == ("nn.Conv2d(1, 10, 3)", (1, 10, 26, 26))
    assert preset_shapes(conv(5, 2, 0)) == ("nn.Conv2d(1, 10, 5, stride=2)", (1, 10, 12, 12))
    assert preset_shapes(conv(3, 1, 1)) == ("nn.Conv2d(1, 10, 3, padding=1)", (1, 10, 28, 28))
    assert constructor(conv("3x4", 1, "same"), 1, 1) == 'nn.Conv2d(1, 1, (3, 4), padding="same")'
    assert constructor(conv(3, "1x2", "0x1"), 1, 1) == (
        "nn.Conv2d(1, 1, 3, stride=(1, 2), padding=(0, 1))"
    )


def padded_by_hand(size: tuple[int, int], shape: ConvSpec) -> np.ndarray:
    numbers = np.arange(size[0] * size[1]).reshape(size)
    return np.pad(numbers, shape.padding)


# A warning of torch's is nothing that the sample's reader can do anything about.
@pytest.mark.filterwarnings("error")
def test_500_random_layers_equal_scipy_s_correlation() -> None:
    draw = random.Random(0)
    tried = impossible = 0
    while tried < 500:
        size = draw.randint(1, 16), draw.randint(1, 16)
        kernel = f"{draw.randint(1, 7)}x{draw.randint(1, 7)}"
        stride: object = f"{draw.randint(1, 5)}x{draw.randint(1, 5)}"
        padding = draw.choice(["valid", "half", "full", "same", 1, "2x0", "0x3"])
        if padding == "same":
            stride = 1
        shape = conv(kernel, stride, padding)
        numbers = padded_by_hand(size, shape)
        window = np.ones(shape.kernel_size, dtype=int)
        if any(k > n for k, n in zip(window.shape, numbers.shape, strict=True)):
            with pytest.raises(ImpossibleVariant, match="conv1 would have an empty output"):
                sample(size, shape)
            impossible += 1
            continue
        expected = correlate2d(numbers, window, mode="valid")
        shown = sample(size, shape)
        rows, columns = shape.stride
        assert shown.output == expected[::rows, ::columns].tolist()
        assert shown.output_shape[2:] == expected[::rows, ::columns].shape
        if shown.first_sum:
            terms, total = shown.first_sum.split(" = ")
            assert int(total) == shown.output[0][0] == sum(map(int, terms.split(" + ")))
        tried += 1
    assert impossible > 20


def test_sums_are_exact_far_beyond_float32() -> None:
    shown = sample((999, 1000), conv(14, 999, 0))
    first = sum(1000 * row + column for row in range(14) for column in range(14))
    assert shown.output == [[first]]
    (corner,) = sample((999, 1000), conv("1x1000", 998, 0)).output[1]
    assert corner == sum(range(998_000, 999_000))


def test_a_sample_that_would_take_long_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--input must leave at most 200,000,000 multiply-"):
        sample((1000, 1000), conv(100, 1, 0))


@pytest.mark.parametrize(
    ("typed", "size", "sentence"),
    [
        ((3, 1, 0), (5, 5), "Stride 1: the window moves pixel by pixel, over 3x3 positions."),
        (
            (5, 2, 0),
            (5, 5),
            "Stride 2 changes nothing: the window has only one position.",
        ),
        (
            (2, "3x2", 0),
            (8, 8),
            "A stride above 1 shrinks the output: the window moves 3 down and 2 across at a time,"
            " to 3x4 positions instead of the 7x7 at stride 1.",
        ),
        ((1, 1, 0), (5, 5), "Without padding: a 1x1 kernel needs none."),
        (
            ("3x5", 1, 0),
            (9, 9),
            "Without padding the window stays inside: at stride 1 the output is 2x4 smaller (kernel"
            " size - 1), and each corner pixel lies in 1 window.",
        ),
        (
            (3, 1, "full"),
            (5, 5),
            "Padding above half the kernel makes the output larger than the input: 5x5 becomes 9x9,"
            " and each corner pixel lies in 9 windows instead of 1.",
        ),
        (
            (2, 3, 1),
            (7, 9),
            "Padding makes room for more windows, 3x4 instead of 2x3: 7x9 becomes 9x11,"
            " and each corner pixel lies in 1 window instead of 0 to 1.",
        ),
        # height: one place at any stride; width at stride 1
        (
            ("5x3", "2x1", 0),
            (5, 5),
            "Stride 2x1 changes nothing: in height the window has only one position.",
        ),
        # windows at 0-2 and 3-5: a 7th row would be the start of the next
        (
            (3, 3, 1),
            (6, 6),
            "Padding makes no room for another window here: 6x6 becomes 8x8, and the"
            " corner pixels lie in 0 to 1 windows instead of 1.",
        ),
        (
            (7, 2, 2),
            (5, 5),
            "Padding makes room for the window, which would not fit without it: 5x5 becomes"
            " 9x9, and each corner pixel lies in 4 windows.",
        ),
        # one pixel of padding before, two after: 2 windows cover the first row, 3 the last
        (
            (4, 1, "same"),
            (5, 5),
            "Padding keeps the size at stride 1: 5x5 becomes 8x8, and the corner"
            " pixels lie in 4 to 9 windows instead of 1.",
        ),
        # the last row and column are left over
        (
            (3, 2, 0),
            (6, 6),
            "Without padding the window stays inside: at stride 1 the output is 2 smaller (kernel"
            " size - 1), and the corner pixels lie in 0 to 1 windows.",
        ),
        (
            (2, 3, 1),
            (7, 9),
            "Height: floor((7 + 1 + 1 - 2) / 3) + 1 = 3; width: floor((9 + 1 + 1 - 2) / 3) + 1"
            " = 4.",
        ),
        (
            (4, 1, "same"),
            (5, 5),
            "Height and width: floor((5 + 1 + 2 - 4) / 1) + 1 = 5.",
        ),
    ],
)
def test_a_layer_in_words(
    typed: tuple[object, object, object], size: tuple[int, int], sentence: str
) -> None:
    assert sentence in lesson(size, conv(*typed))


def windows_over_corners(size: tuple[int, int], shape: ConvSpec, padding: object) -> list[float]:
    """How often torch's own convolution reads each corner pixel: the gradient of ones."""
    image = torch.zeros(1, 1, *size, requires_grad=True)
    if any(k > n + sum(p) for k, n, p in zip(shape.kernel_size, size, padding, strict=True)):
        return []
    (top, bottom), (left, right) = padding
    padded = torch.nn.functional.pad(image, (left, right, top, bottom))
    kernel = torch.ones(1, 1, *shape.kernel_size)
    torch.nn.functional.conv2d(padded, kernel, stride=shape.stride).sum().backward()
    assert image.grad is not None
    corners: list[float] = image.grad[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist()
    return corners


def test_the_windows_over_corner_pixels_are_those_of_torch() -> None:
    draw = random.Random(1)
    seen = set()
    for _ in range(300):
        size = draw.randint(1, 9), draw.randint(1, 9)
        stride = f"{draw.randint(1, 4)}x{draw.randint(1, 4)}"
        padding = draw.choice(["valid", "half", "full", "1x0", "0x2", "same"])
        kernel = f"{draw.randint(1, 5)}x{draw.randint(1, 5)}"
        shape = conv(kernel, 1 if padding == "same" else stride, padding)
        counts = windows_over_corners(size, shape, shape.padding)
        if not counts:
            continue
        sentence = lesson(size, shape)[2]
        if sentence == "Without padding: a 1x1 kernel needs none.":
            continue
        with_padding = told_range(counts)
        noun = "window" if with_padding == "1" else "windows"
        subject = "corner pixel lies" if "to" not in with_padding else "corner pixels lie"
        bare = windows_over_corners(size, shape, ((0, 0), (0, 0)))
        if shape.padding == ((0, 0), (0, 0)) or not bare:
            end = ""
        elif bare == counts or told_range(bare) == with_padding:
            end = ", as without padding"
        else:
            end = f" instead of {told_range(bare)}"
        assert sentence.endswith(f"{subject} in {with_padding} {noun}{end}."), (size, shape)
        seen.add((subject, end[:6]))
    assert len(seen) == 6


def told_range(counts: list[float]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"


def test_what_stands_out_follows_the_lesson() -> None:
    notes = lesson((8, 8), conv(2, 4, 0))[4:]
    assert [note.split(" ")[0] for note in notes] == ["conv1", "conv1's", "the"]
    assert notes[0].startswith("conv1 leaves an unused border of 2 image rows and 2 image c")
