"""What padding and positions do to the last map, against loops and scikit-learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from torch import Tensor

from convscope.diagnostics import Subject
from convscope.diagnostics.position import position
from convscope.diagnostics.subject import Measured
from convscope.geometry import NetworkGeometry

from ..convs import parse_conv, stack_geometry
from .subjects import last_maps, set_weights, subject_of


def made(padding: object, image: tuple[int, int] = (14, 14), **conv: object) -> NetworkGeometry:
    return stack_geometry((2, *image), parse_conv(3, 2, padding, 2, **conv), [6, 9], [], 10)


def maps_of(subject: Subject, images: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        return last_maps(subject, images).double().numpy()


@pytest.mark.parametrize("channels", [[16, 32, 64], [3, 5, 7]])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_without_padding_the_bias_is_exactly_0(
    kernel_size: int, stride: int, channels: list[int], memory_format: torch.memory_format
) -> None:
    convs = parse_conv(kernel_size, stride, 0, 3)
    subject = subject_of(stack_geometry((1, 37, 61), convs, channels, [], 10), 2)
    subject.network.to(memory_format=memory_format)
    values, arrays = position(subject)
    assert values["position_bias"] == 0
    assert not arrays["position_map"].any()


@pytest.mark.parametrize("mode", ["replicate", "circular", "reflect"])
def test_padding_that_repeats_the_image_has_no_bias(mode: str) -> None:
    values, _ = position(subject_of(made(1, padding_mode=mode)))
    assert values["position_bias"] == 0


@pytest.mark.parametrize("image", [(14, 14), (11, 23)])
def test_the_bias_against_loops(image: tuple[int, int]) -> None:
    subject = subject_of(made(1, image), 7)
    black = subject.black.expand(1, 2, *image)
    deviations = [np.std(channel) for channel in maps_of(subject, black)[0]]
    spreads = [np.std(channel) for one in maps_of(subject, subject.images) for channel in one]
    expected = math.sqrt(np.mean(np.square(deviations)) / np.mean(np.square(spreads)))
    values, arrays = position(subject)
    assert values["position_bias"] == pytest.approx(expected, rel=1e-6)
    assert arrays["position_map"].shape == subject.geometry.final_map
    assert np.sqrt(np.mean(arrays["position_map"] ** 2)) == pytest.approx(expected, rel=1e-6)


def regression_r2(subject: Subject, axis: int) -> float:
    """By scikit-learn, on units one after the other."""
    maps = maps_of(subject, subject.images)
    units = maps.transpose(0, 2, 3, 1)
    positions = np.broadcast_to(np.indices(maps.shape[2:])[axis], units.shape[:3])
    channels = maps.shape[1]
    fit, test = units[::2].reshape(-1, channels), units[1::2].reshape(-1, channels)
    penalty = 1e-3 * fit.var(axis=0).mean() * len(fit)
    model = Ridge(alpha=penalty).fit(fit, positions[::2].ravel())
    return float(model.score(test, positions[1::2].ravel()))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("image", [(14, 14), (11, 23)])
def test_r2_against_scikit_learn(padding: int, image: tuple[int, int]) -> None:
    subject = subject_of(made(padding, image), 9)
    values, arrays = position(subject)
    expected = [regression_r2(subject, 0), regression_r2(subject, 1)]
    np.testing.assert_allclose(arrays["position_r2"], expected, rtol=1e-6, atol=1e-9)
    assert values["position_r2"] == pytest.approx(np.mean(expected), rel=1e-6, abs=1e-9)


def test_a_map_that_has_the_position_gives_it_away() -> None:
    """Images whose brightness is their row: R2 of the row is 1, and that of the column is 0."""
    geometry = stack_geometry((1, 9, 7), parse_conv(1, 1, 0, 1), [1], [], 10)
    subject = subject_of(geometry, 4)
    set_weights(subject.network, 1.0)
    rows = torch.arange(9.0)[:, None].expand(4, 1, 9, 7) + 1
    values, arrays = position(replace(subject, images=rows))
    np.testing.assert_allclose(arrays["position_r2"], [1.0, 0.0], atol=1e-5)
    assert values["position_r2"] == pytest.approx(0.5, abs=1e-5)


def test_an_axis_of_one_unit_is_left_out() -> None:
    geometry = stack_geometry((1, 3, 12), parse_conv(3, 1, 0, 1), [4], [], 10)
    values, arrays = position(subject_of(geometry))
    assert np.isnan(arrays["position_r2"][0])
    assert values["position_r2"] == arrays["position_r2"][1]


def test_at_most_128_images_are_used_and_batches_make_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = subject_of(made(1), 540, is_sampled=True)
    values, _ = position(subject)
    monkeypatch.setattr("convscope.diagnostics.subject._BATCH_BYTES", 20_000)
    some = subject.images[np.arange(128) * 540 // 128]
    fewer, _ = position(replace(subject, images=some, is_sampled=False))
    assert fewer == pytest.approx(values, rel=1e-6)


def test_a_map_of_one_unit_has_no_positions() -> None:
    geometry = stack_geometry((1, 5, 5), parse_conv(5, 1, 0, 1), [4], [], 10)
    assert position(subject_of(geometry)) == Measured()


@pytest.mark.parametrize("weight", [math.nan, math.inf, -1.0])
def test_diverged_and_dead_networks_are_left_out(weight: float) -> None:
    subject = subject_of(made(1))
    set_weights(subject.network, weight)
    subject = replace(subject, images=subject.images.abs())
    assert position(subject) == Measured()
