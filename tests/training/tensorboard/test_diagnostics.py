"""Pictures of diagnostics: boxes at the right pixels, shades and numbers of what was measured."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from convscope.geometry import NetworkGeometry
from convscope.training.tensorboard.diagnostics import diagnostic_pictures

from ...convs import parse_conv, stack_geometry


def arrays_of(contributions: np.ndarray, half: float) -> dict[str, np.ndarray]:
    shares = np.array([0.2, 0.3, 0.5, 0.99])
    return {"erf": contributions, "erf_t": shares, "erf_sides": np.array([1.0, 1.0, half, 9.0])}


def field_picture(contributions: np.ndarray, half: float, geometry: NetworkGeometry) -> Figure:
    pictures = diagnostic_pictures(arrays_of(contributions, half), geometry)
    assert list(pictures) == ["diagnostics/effective_receptive_field"]
    return pictures["diagnostics/effective_receptive_field"]


def boxes(figure: Figure) -> list[tuple[float, ...]]:
    """Left, top, right, bottom of each box, in the image's pixels."""
    axes = figure.axes[0]
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [
        (*patch.get_xy(), *np.add(patch.get_xy(), (patch.get_width(), patch.get_height())))
        for patch in found
    ]


def test_boxes_of_an_effective_receptive_field() -> None:
    # A unit's field is 5 pixels; that of unit (4, 3) of 9x6 starts at row and column 2 and 1.
    geometry = stack_geometry((1, 9, 6), parse_conv(3, 1, 1, 2), [4, 6], [], 10)
    contributions = np.zeros((9, 6), dtype=np.float32)
    contributions[4, 3], contributions[2, 1] = 4, 1
    figure = field_picture(contributions, 3, geometry)
    np.testing.assert_allclose(boxes(figure), [(1, 2, 6, 7), (2, 3, 5, 6)], atol=1e-9)
    shades = figure.axes[0].images[0]
    assert shades.get_extent() == [0, 6, 9, 0]
    assert shades.get_array()[2, 1] == 0.25
    assert shades.norm(0.25) == pytest.approx(0.5)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["theoretical: 5x5", "half of all contributions: 3x3"]


def test_boxes_are_clipped_to_the_image() -> None:
    geometry = stack_geometry((1, 4, 4), parse_conv(5, 1, 2, 2), [4, 6], [], 10)
    figure = field_picture(np.ones((4, 4)), 5, geometry)
    assert figure.legends[0].get_texts()[0].get_text() == "theoretical: 9x9, within the image 4x4"
    np.testing.assert_allclose(boxes(figure), [(0, 0, 4, 4), (0, 0, 4, 4)], atol=1e-9)


@pytest.mark.parametrize("image", [(8, 8), (200, 200), (20, 200), (1, 1)])
def test_fields_of_all_sizes_are_drawn(image: tuple[int, int]) -> None:
    geometry = stack_geometry((1, *image), parse_conv(1, 1, 0, 1), [4], [], 10)
    figure = field_picture(np.random.default_rng(0).random(image), 1, geometry)
    FigureCanvasAgg(figure).draw()


def test_accuracies_over_shifts() -> None:
    geometry = stack_geometry((1, 8, 8), parse_conv(3, 1, 0, 1), [4], [], 10)
    accuracy = np.linspace(0.1, 0.9, 9).reshape(3, 3)
    pictures = diagnostic_pictures({"shift_accuracy": accuracy}, geometry)
    assert list(pictures) == ["diagnostics/accuracy_over_shifts"]
    axes = pictures["diagnostics/accuracy_over_shifts"].axes[0]
    texts = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    # (pixels to the right, pixels down)
    assert texts[-1, -1] == "10.0"
    assert texts[1, -1] == "30.0"
    assert texts[0, 0] == "50.0"
    assert texts[1, 1] == "90.0"
    assert axes.images[0].get_extent() == [-1.5, 1.5, 1.5, -1.5]
    assert axes.images[0].get_clim() == (0, 100)


def test_many_shifts_are_shaded_and_not_numbered() -> None:
    geometry = stack_geometry((1, 8, 8), parse_conv(3, 1, 0, 1), [4], [], 10)
    pictures = diagnostic_pictures({"shift_accuracy": np.ones((51, 51))}, geometry)
    (figure,) = pictures.values()
    assert not figure.axes[0].texts
    FigureCanvasAgg(figure).draw()
