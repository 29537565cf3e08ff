"""The effective receptive field: exact for linear networks, and as the authors' scripts have it."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import convolve2d
from torch import Tensor, nn

from convscope.diagnostics.effective_field import SHARES, effective_field
from convscope.diagnostics.subject import Measured
from convscope.geometry import NetworkGeometry, Shape, central_field, network_geometry
from convscope.modules.trace import trace
from convscope.variant import VariantComposer

from ..convs import parse_conv, resnet20_graph, stack_geometry
from ..modules import user_nets
from .subjects import last_maps, set_weights, subject_of


def test_the_field_of_weights_of_one_is_the_convolution_power_of_the_box() -> None:
    geometry = stack_geometry((2, 15, 17), parse_conv("3x5", 1, 0, 3), [2, 3, 5], [], 10)
    subject = subject_of(geometry)
    set_weights(subject.network, 1.0)
    subject = replace(subject, images=subject.images.abs() + 1)
    box = np.ones((3, 5))
    # Each of the 2 channels of the image has a path through all channels of the layers.
    power = convolve2d(convolve2d(box, box), box) * 2 * (2 * 3 * 5)
    expected = np.zeros((15, 17))
    # Unit (4, 2) of the map of 9x5.
    expected[4:11, 2:15] = power
    measured = effective_field(subject)
    assert np.array_equal(measured.arrays["erf"], expected)
    total = power.sum()
    assert power[2:5, 5:8].sum() < total / 2 <= power[1:6, 4:9].sum()
    assert measured.values == {"erf_side": 5.0, "erf_share": 25 / (7 * 13)}
    assert measured.arrays["erf_r"][2] == 25 / (15 * 17)


def paths(
    geometry: NetworkGeometry, layer: int, row: int, column: int
) -> Iterator[tuple[int, int]]:
    """The pixel at the end of each path back from a unit, one kernel element per layer."""
    if layer < 0:
        yield row, column
        return
    one = geometry.layers[layer]
    height, width = one.in_shape[1:]
    (top, _), (left, _) = one.conv.padding
    for down, right in product(*map(range, one.conv.kernel_size)):
        y = row * one.conv.stride[0] - top + down
        x = column * one.conv.stride[1] - left + right
        if 0 <= y < height and 0 <= x < width:
            yield from paths(geometry, layer - 1, y, x)


@pytest.mark.parametrize(
    ("image", "kernel_size", "stride", "padding"),
    [((9, 9), 3, 2, 1), ((10, 13), "2x3", [2, 1, 1], 1), ((12, 8), 3, 1, 2), ((3, 3), 3, 2, 0)],
)
def test_the_field_of_weights_of_one_counts_paths(
    image: tuple[int, int], kernel_size: object, stride: object, padding: object
) -> None:
    layers = 3 if image != (3, 3) else 1
    convs = parse_conv(kernel_size, stride, padding, layers)
    geometry = stack_geometry((1, *image), convs, [1] * layers, [], 10)
    subject = subject_of(geometry)
    set_weights(subject.network, 1.0)
    subject = replace(subject, images=subject.images.abs())
    expected = np.zeros(image)
    height, width = geometry.final_map
    for pixel in paths(geometry, layers - 1, height // 2, width // 2):
        expected[pixel] += 1
    assert np.array_equal(effective_field(subject).arrays["erf"], expected)


def slow_square(
    contributions: NDArray[np.floating], row: float, column: float, share: float
) -> tuple[float, float]:
    """Side and area of the smallest square about a point with this share, found by growing it."""
    height, width = contributions.shape
    sides = {
        2 * abs(at - centre) + 1
        for n, centre in ((height, row), (width, column))
        for at in range(n)
    }
    for side in sorted(sides):
        inside = [
            (y, x)
            for y in range(height)
            for x in range(width)
            if abs(y - row) <= (side - 1) / 2 and abs(x - column) <= (side - 1) / 2
        ]
        if inside and sum(float(contributions[at]) for at in inside) >= share * contributions.sum():
            return side, len(inside) / (height * width)
    raise AssertionError


CASES = {
    "even map": ((1, 28, 28), (3, 2, 1), [4, 6], [1]),
    "odd map": ((3, 21, 21), (3, 1, 1), [4, 6], [1]),
    "without padding": ((1, 16, 16), (4, 1, 0), [4, 6], []),
    "not square": ((1, 14, 30), ("3x5", "1x2", 0), [4, 6], []),
    "one unit": ((1, 8, 8), (8, 1, 0), [4], []),
    "beside the centre": ((1, 28, 28), (3, 3, 1), [4, 6, 8], [1]),
    "beyond the image": ((1, 6, 6), (5, 1, 2), [4, 6, 8], []),
}


@pytest.mark.parametrize("case", CASES)
def test_squares_are_the_smallest(case: str) -> None:
    image, conv, channels, pool_after = CASES[case]
    geometry = stack_geometry(image, parse_conv(*conv, len(channels)), channels, pool_after, 10)
    values, arrays = effective_field(subject_of(geometry))
    contributions = arrays["erf"].astype(float)
    rows, columns = central_field(geometry)
    row, column = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    for number, share in enumerate(SHARES):
        side, area = slow_square(contributions, row, column, share)
        assert arrays["erf_sides"][number] == side
        assert arrays["erf_r"][number] == pytest.approx(area, rel=1e-12)
    inside = [
        abs(y - row) <= (values["erf_side"] - 1) / 2
        and abs(x - column) <= (values["erf_side"] - 1) / 2
        for y in rows
        for x in columns
    ]
    assert values["erf_side"] == slow_square(contributions, row, column, 0.5)[0]
    assert values["erf_share"] == pytest.approx(sum(inside) / len(inside), rel=1e-12)
    outside = np.ones(image[1:], dtype=bool)
    outside[np.ix_(rows, columns)] = False
    assert not contributions[outside].any()


def published_scores(maps: Callable[[Tensor], Tensor], images: Tensor) -> NDArray[np.floating]:
    """The contributions as `visualize_erf.py` of RepLKNet-pytorch defines them, image by image."""
    found = []
    for image in images:
        one = image[None].clone().requires_grad_()
        outputs = maps(one)
        centre = outputs[:, :, outputs.shape[2] // 2, outputs.shape[3] // 2]
        (gradient,) = torch.autograd.grad(centre.relu().sum(), one)
        found.append(gradient.relu().sum((0, 1)).numpy())
    return np.mean(found, axis=0)


def published_ratio(scores: NDArray[np.floating], share: float) -> float | None:
    """The area ratio as `analyze_erf.py` defines it."""
    scores = np.log10(scores.astype(float) + 1)
    height, width = scores.shape
    for reach in range(1, height // 2):
        top, left = height // 2 - reach, width // 2 - reach
        side = 2 * reach + 1
        if scores[top : top + side, left : left + side].sum() / scores.sum() > share:
            return side / height * side / width
    return None


@pytest.mark.parametrize("case", ["even map", "odd map", "without padding"])
def test_contributions_and_ratios_are_those_of_the_published_scripts(case: str) -> None:
    image, conv, channels, pool_after = CASES[case]
    geometry = stack_geometry(image, parse_conv(*conv, len(channels)), channels, pool_after, 10)
    subject = subject_of(geometry, 7)
    with torch.no_grad():
        # Large enough for the logarithm to matter.
        subject.network.get_parameter("features.conv1.weight").mul_(100)
        subject.network.get_buffer("features.norm1.running_var").mul_(10)
    scores = published_scores(partial(last_maps, subject), subject.images)
    arrays = effective_field(subject).arrays
    np.testing.assert_allclose(arrays["erf"], scores, rtol=1e-4, atol=1e-4 * scores.max())
    ratios = [published_ratio(scores, share) for share in SHARES]
    assert any(ratios)
    for ours, theirs in zip(arrays["erf_r_log"], ratios, strict=True):
        assert theirs is None or ours == pytest.approx(max(theirs, 0), rel=1e-9)


def test_at_most_64_images_are_used_and_batches_make_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    geometry = stack_geometry((1, 14, 14), parse_conv(3, 2, 1, 2), [4, 6], [], 10)
    subject = subject_of(geometry, 260, is_sampled=True)
    whole = effective_field(subject).arrays["erf"]
    assert np.array_equal(
        whole,
        effective_field(
            replace(subject, images=subject.images[np.arange(64) * 260 // 64], is_sampled=False)
        ).arrays["erf"],
    )
    monkeypatch.setattr("convscope.diagnostics.subject._BATCH_BYTES", 0)
    np.testing.assert_allclose(effective_field(subject).arrays["erf"], whole, rtol=1e-5, atol=1e-9)


def test_it_needs_no_gradients_around_it_and_leaves_none() -> None:
    geometry = stack_geometry((1, 9, 9), parse_conv(3, 1, 1, 1), [4], [], 10)
    subject = subject_of(geometry)
    with torch.no_grad():
        values = effective_field(subject).values
    assert values == effective_field(subject).values
    assert not subject.images.requires_grad
    assert all(parameter.grad is None for parameter in subject.network.parameters())


@pytest.mark.parametrize(
    ("overrides", "final"),
    [
        (["model=resnet18", "data=cifar10", "model.drop=[maxpool]"], "layer4"),
        (["model=torchvision", "model.name=mobilenet_v2", "data=cifar10"], "features"),
        (["model=custom", "model.target=user_nets:mixed", "data=mnist"], "last"),
    ],
    ids=["resnet18", "mobilenet_v2", "custom"],
)
def test_foreign_networks(
    overrides: list[str], final: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1] / "modules")
    geometry = VariantComposer().compose(overrides).geometry
    assert geometry is not None
    subject = subject_of(geometry, 3)

    def maps(images: Tensor) -> Tensor:
        found: list[Tensor] = []
        hook = subject.network.get_submodule(final).register_forward_hook(
            lambda module, inputs, output: found.append(output)
        )
        subject.network(images)
        hook.remove()
        return found[0]

    scores = published_scores(maps, subject.images)
    measured = effective_field(subject)
    np.testing.assert_allclose(
        measured.arrays["erf"], scores, rtol=1e-3, atol=1e-5 * float(scores.max())
    )
    assert 0 < measured.values["erf_share"] <= 1


def test_residual_networks() -> None:
    geometry = network_geometry(resnet20_graph((4, 4, 8)), (3, 32, 32))
    values = effective_field(subject_of(geometry, 3)).values
    assert 1 <= values["erf_side"] < 32


class Tokens(nn.Module):
    """A small vision transformer: its scores come from a token of its own, not from a map."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), tokens], dim=1)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.head(mixed[:, 0])


def traced(network: nn.Module, image: Shape) -> NetworkGeometry:
    with torch.device("meta"):
        graph = trace(copy.deepcopy(network).to("meta"), image)
    return network_geometry(graph.varying("all"), image)


def test_what_has_no_last_map_is_left_out() -> None:
    network = Tokens()
    geometry = traced(network, (3, 16, 16))
    assert effective_field(subject_of(geometry, network=network)) == Measured()


def test_units_that_are_computed_from_the_whole_image() -> None:
    """Squeeze-excitation: the theoretical field is the image, the effective one is not."""
    network = user_nets.Attentive(3, 10)
    geometry = traced(network, (3, 18, 18))
    assert central_field(geometry) == (range(18), range(18))
    values, arrays = effective_field(subject_of(geometry, network=network))
    assert values["erf_share"] == arrays["erf_r"][2] < 0.5


@pytest.mark.parametrize("weight", [math.nan, math.inf, -1.0])
def test_diverged_and_dead_networks_are_left_out(weight: float) -> None:
    geometry = stack_geometry((1, 9, 9), parse_conv(3, 1, 1, 2), [4, 4], [], 10)
    subject = subject_of(geometry)
    set_weights(subject.network, weight)
    subject = replace(subject, images=subject.images.abs())
    values, arrays = effective_field(subject)
    assert not values
    assert not arrays
