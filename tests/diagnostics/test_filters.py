"""Asymmetry of filters, by hand and by a loop."""

import math

import numpy as np
import pytest
import torch

from convscope.diagnostics.filters import filter_asymmetry
from convscope.geometry import NetworkGeometry, network_geometry

from ..convs import parse_conv, resnet20_graph, stack_geometry
from .subjects import set_weights, subject_of


def made(kernel_size: object, stride: object = 1, padding: object = 0) -> NetworkGeometry:
    convs = parse_conv(kernel_size, stride, padding, 2)
    return stack_geometry((1, 14, 14), convs, [4, 6], [], 10)


def test_symmetric_filters_have_none() -> None:
    subject = subject_of(made(3))
    set_weights(subject.network, torch.tensor([[1.0, 2.0, 1.0], [0.0, -5.0, 0.0], [1.0, 2.0, 1.0]]))
    values, arrays = filter_asymmetry(subject)
    assert values == {"filter_asymmetry": 0.0}
    assert arrays["filter_asymmetry"].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_an_edge_detector_is_antisymmetric_along_one_axis() -> None:
    subject = subject_of(made(3))
    set_weights(subject.network, torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1, -2, -1]]))
    values, arrays = filter_asymmetry(subject)
    np.testing.assert_allclose(arrays["filter_asymmetry"], [[2.0, 0.0], [2.0, 0.0]])
    assert values["filter_asymmetry"] == pytest.approx(1.0)


def test_random_filters_against_loops() -> None:
    geometry = made("2x5", 2)
    subject = subject_of(geometry)
    arrays = filter_asymmetry(subject).arrays
    assert arrays["filter_layers"].tolist() == ["conv1", "conv2"]
    for number, name in enumerate(["conv1", "conv2"]):
        weight = subject.network.features.get_submodule(name).weight.detach().numpy()
        for axis in (0, 1):
            change = total = 0.0
            for at, value in np.ndenumerate(weight):
                other = list(at)
                other[2 + axis] = weight.shape[2 + axis] - 1 - at[2 + axis]
                change += float(value - weight[tuple(other)]) ** 2
                total += float(value) ** 2
            expected = math.sqrt(change / total)
            assert arrays["filter_asymmetry"][number, axis] == pytest.approx(expected, rel=1e-6)


def test_unused_borders_are_rows_and_columns() -> None:
    # 14 rows: windows of 4 at 0, 3, …, 9 leave one; of 3 at the same rows two columns. 4 rows: one
    # window of 4; 4 columns: one of 3 leaves one.
    arrays = filter_asymmetry(subject_of(made("4x3", 3))).arrays
    assert arrays["filter_unused_border"].tolist() == [[1, 2], [0, 1]]
    # 16 padded pixels: windows of 4 at 0, 5, 10 leave two, one of them padding. 5 padded ones: one
    # window leaves one.
    arrays = filter_asymmetry(subject_of(made(4, 5, 1))).arrays
    assert arrays["filter_unused_border"].tolist() == [[2, 2], [1, 1]]


@pytest.mark.parametrize(("kernel_size", "expected"), [(3, 4 / 3), (2, 2), (5, 8 / 5)])
def test_independent_weights_have_what_is_stated(kernel_size: int, expected: float) -> None:
    geometry = stack_geometry((1, 14, 14), parse_conv(kernel_size, 1, 0, 2), [64, 64], [], 10)
    arrays = filter_asymmetry(subject_of(geometry)).arrays
    np.testing.assert_allclose(arrays["filter_asymmetry"][1] ** 2, expected, rtol=0.05)


def test_an_axis_of_kernel_size_1_is_left_out() -> None:
    values, arrays = filter_asymmetry(subject_of(made("1x3")))
    assert np.isnan(arrays["filter_asymmetry"][:, 0]).all()
    assert values["filter_asymmetry"] == pytest.approx(arrays["filter_asymmetry"][:, 1].mean())
    values, _ = filter_asymmetry(subject_of(made(1)))
    assert not values


def test_layers_that_a_variant_keeps_are_left_out() -> None:
    geometry = network_geometry(resnet20_graph((4, 4, 8), "stem"), (3, 32, 32))
    assert filter_asymmetry(subject_of(geometry)).arrays["filter_layers"].tolist() == ["conv1"]


@pytest.mark.parametrize("weight", [math.nan, math.inf, 0.0])
def test_diverged_and_empty_filters_are_left_out(weight: float) -> None:
    subject = subject_of(made(3))
    set_weights(subject.network, weight)
    assert not filter_asymmetry(subject).values
