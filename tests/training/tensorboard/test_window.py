"""The picture of the walking window: what its shades mean, and that it can be drawn at all."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from convscope.geometry import LayerGeometry
from convscope.training.tensorboard.window import (
    COVERED,
    PADDING,
    SKIPPED,
    UNUSED,
    UNUSED_PADDING,
    shades,
    window_picture,
)

from ...convs import parse_conv, stack_geometry


def layer(
    kernel_size: object, stride: object, padding: object, image: tuple[int, int]
) -> LayerGeometry:
    convs = parse_conv(kernel_size, stride, padding, 1)
    return stack_geometry((1, *image), convs, (1,), (), 1).layers[0]


def drawn(one: LayerGeometry) -> list[str]:
    letters = {COVERED: "r", PADDING: "p", SKIPPED: "s", UNUSED: "u", UNUSED_PADDING: "n"}
    return ["".join(letters[shade] for shade in row) for row in shades(one).tolist()]


def test_shades_by_hand() -> None:
    # windows at rows 0-2, 2-4 of 6; columns 0-1, 3-4 of 7
    assert drawn(layer("3x2", "2x3", "1x0", (4, 7))) == [
        "pppppnn",
        "rrsrruu",
        "rrsrruu",
        "rrsrruu",
        "rrsrruu",
        "nnnnnnn",
    ]


def test_padding_of_same_is_wider_after() -> None:
    assert drawn(layer("1x4", 1, "same", (1, 3))) == ["prrrpp"]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(0, 5),
)
def test_shades_count_what_the_geometry_counts(
    image: tuple[int, int], kernel: int, stride: int, padding: int
) -> None:
    if kernel > min(image) + 2 * padding:
        return
    one = layer(kernel, stride, padding, image)
    pixels = shades(one)
    assert pixels.shape == tuple(size + 2 * padding for size in image)
    assert np.isin(pixels, (COVERED, SKIPPED, UNUSED)).sum() == prod(image)
    assert (pixels == COVERED).sum() == prod(one.covered_pixels(axis) for axis in (0, 1))
    covered = np.zeros(pixels.shape, dtype=bool)
    for row in range(one.out_shape[1]):
        for column in range(one.out_shape[2]):
            covered[
                row * stride : row * stride + kernel, column * stride : column * stride + kernel
            ] = True
    inside = np.zeros_like(covered)
    inside[padding : padding + image[0], padding : padding + image[1]] = True
    assert np.array_equal(pixels == COVERED, covered & inside)


@pytest.mark.parametrize(
    "one",
    [
        layer(2, 3, 0, (28, 28)),
        layer("3x4", 1, "same", (28, 28)),
        layer(7, 2, 3, (224, 224)),
        layer(60, 60, 0, (100, 100)),
        layer(1, 1, 0, (1, 1)),
    ],
    ids=["gaps", "same", "large", "large kernel", "one pixel"],
)
def test_the_picture_names_what_it_shows(one: LayerGeometry) -> None:
    figure = window_picture(one)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert len(np.unique(np.asarray(canvas.buffer_rgba()).reshape(-1, 4), axis=0)) > 5
    legend = figure.axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert ("padding" in labels) == (PADDING in shades(one))
    assert ("skipped: between windows" in labels) == (SKIPPED in shades(one))
    assert ("unused border, input" in labels) == (UNUSED in shades(one))
    assert ("last window" in labels) == (one.out_shape[1:] not in ((1, 1),))
    height, width = one.out_shape[1:]
    assert figure.get_suptitle().endswith(f"to {height}x{width}")
