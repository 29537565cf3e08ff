"""Energy that strides fold: spectra by hand, by a Fourier transform in plain loops, exact cases."""

import cmath
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.diagnostics import Subject
from convscope.diagnostics.aliasing import aliasing, at_stride_1
from convscope.geometry.layers import Window

from ..convs import parse_conv, stack_geometry
from .subjects import geometry_of, single_conv, subject_of


def wave(side: int, down: int, right: int) -> Tensor:
    """An image with so many periods on each axis."""
    rows = torch.arange(side, dtype=torch.float64)
    phase = down * rows[:, None] + right * rows
    return (2 * math.pi * phase / side + 0.3).cos().float()


def share(image: Tensor, stride: object) -> float:
    """The share of an image that a 1x1 convolution subsamples."""
    subject = single_conv(torch.ones(1, 1, 1, 1), image[None, None], stride)
    return aliasing(subject).values["aliasing"]


def test_a_band_limited_map_loses_nothing() -> None:
    low = wave(24, 3, 5) + wave(24, 5, 0) + 0.5 * wave(24, 0, 6) + 7
    assert share(low, 2) < 1e-12
    assert share(wave(24, 4, 4) + wave(24, 0, 3), 3) < 1e-12
    assert share(wave(24, 5, 0), 3) == pytest.approx(1, abs=1e-12)
    assert share(wave(24, 7, 0), 2) == pytest.approx(1, abs=1e-12)


def test_shares_of_energy_by_hand() -> None:
    # Energies 1 and 4; the mean counts for nothing.
    mixed = wave(24, 3, 0) + 2 * wave(24, 0, 9) + 11
    assert share(mixed, 2) == pytest.approx(0.8, abs=1e-6)
    # Along the other axis only.
    assert share(mixed, "2x1") == pytest.approx(0, abs=1e-12)
    assert share(mixed, "1x2") == pytest.approx(0.8, abs=1e-6)
    # An odd side: 7 pixels at stride 2, limit 1.75 periods.
    assert share(wave(7, 1, 0) + wave(7, 2, 0), 2) == pytest.approx(0.5, abs=1e-6)
    # A constant map has no energy to fold.
    assert share(torch.full((8, 8), 3.0), 2) == 0
    assert share(torch.ones(1, 1), 2) == 0


def test_a_filter_before_the_stride_prevents_aliasing() -> None:
    image = wave(16, 8, 0)[None, None]
    blur = torch.tensor([1.0, 2, 1]).view(1, 1, 3, 1) / 4
    images = image + wave(16, 2, 0)
    plain = single_conv(torch.ones(1, 1, 1, 1), images, 2)
    assert aliasing(plain).values["aliasing"] > 0.5
    subject = single_conv(blur, functional.pad(images, (0, 0, 1, 1), "circular"), 2)
    assert aliasing(subject).values["aliasing"] < 1e-10


def slow_share(maps: Tensor, stride: tuple[int, int]) -> float:
    """The share by a discrete Fourier transform, frequency by frequency."""
    height, width = maps.shape[2:]
    values = maps.double().numpy()
    above = total = 0.0
    for p in range(height):
        for q in range(width):
            phases = [[p * y / height + q * x / width for x in range(width)] for y in range(height)]
            wave = np.array([[cmath.exp(-2j * cmath.pi * one) for one in row] for row in phases])
            energy = float((np.abs((values * wave).sum((2, 3))) ** 2).sum())
            frequency = [min(p, height - p) / height, min(q, width - q) / width]
            if p or q:
                total += energy
                if any(f > 1 / (2 * s) for f, s in zip(frequency, stride, strict=True)):
                    above += energy
    return above / total


def test_against_plain_loops() -> None:
    # Layers by PyTorch's own functions, at stride 1.
    typed = "conv.stride=[2,1x3]", "conv.padding=1", "model.channels=[3,4]", "model.pool_after=[1]"
    subject = subject_of(geometry_of(*typed), 3)
    network = subject.network.features
    with torch.no_grad():
        first = functional.conv2d(subject.images, network.conv1.weight, None, 1, 1)
        maps = network.norm1(network.conv1(subject.images)).relu()
        pooled = functional.max_pool2d(maps, 2, 1)
        second = functional.conv2d(network.pool1(maps), network.conv2.weight, None, 1, 1)
    expected = [slow_share(first, (2, 2)), slow_share(pooled, (2, 2)), slow_share(second, (1, 3))]
    values, arrays = aliasing(subject)
    assert arrays["aliasing_layers"].tolist() == ["conv1", "pool1", "conv2"]
    np.testing.assert_allclose(arrays["aliasing"], expected, atol=1e-6)
    assert values == {"aliasing": max(arrays["aliasing"])}


@pytest.mark.parametrize(
    "typed",
    [
        ("conv.stride=2", "conv.padding=half"),
        ("conv.stride=3", "conv.padding=0+1x2+0", "conv.kernel_size=4x5", "model.channels=[4,8]"),
        ("conv.stride=2", "conv.padding=1", "conv.padding_mode=circular"),
        ("conv.stride=2", "conv.padding=2", "conv.padding_mode=reflect", "conv.dilation=2"),
        ("conv.stride=2", "conv.kernel_size=1", "model.pool_kernel=3", "model.pool_padding=1"),
        ("model.pool=avg", "model.pool_kernel=3", "model.pool_padding=1", "conv.stride=2"),
        ("model.pool=blur", "model.downsample=blur", "conv.stride=2x1", "conv.padding=half"),
        ("model=resnet18", "data=cifar10"),
        ("model=resnet18", "data=cifar10", "model.pool=blur"),
    ],
    ids=" ".join,
)
def test_the_map_at_stride_1_has_the_layer_s_units(typed: tuple[str, ...]) -> None:
    subject = subject_of(geometry_of(*typed), 2)
    graph = subject.geometry.graph
    nodes = [node for node in graph.nodes if isinstance(node.layer, Window)]
    sources = [node.inputs[0] for node in nodes if node.inputs[0] != "image"]
    maps = {"image": subject.images} | subject.layer_outputs(sources, subject.images)
    outputs = subject.layer_outputs([node.name for node in nodes], subject.images)
    strided = 0
    for node in nodes:
        down, right = node.layer.conv.stride
        with torch.no_grad():
            dense = at_stride_1(subject, node, maps[node.inputs[0]])
        assert dense is not None
        units = dense[..., ::down, ::right]
        # A pool that rounds up has windows over the edge, which at stride 1 do not exist.
        height, width = units.shape[2:]
        own = outputs[node.name]
        assert own.shape[2] - height in (0, 1)
        torch.testing.assert_close(units, own[..., :height, :width])
        strided += (down, right) != (1, 1)
    assert strided > 1


def test_without_a_stride_nothing_is_folded() -> None:
    subject = subject_of(geometry_of("model.pool_after=[]", "model.channels=[4,8]"))
    assert aliasing(subject) == ({"aliasing": 0.0}, {})


def test_images_in_batches() -> None:
    geometry = geometry_of("conv.stride=2", "model.channels=[4,8]")
    whole, parts = subject_of(geometry, 30), subject_of(geometry, 30)
    vars(parts)["batch_size"] = 7
    assert aliasing(parts).values == pytest.approx(aliasing(whole).values, rel=1e-6)


def test_shortcuts_that_take_every_second_pixel() -> None:
    geometry = geometry_of("model=resnet20", "data=cifar10", "model.channels=[4,4,8]")
    subject = subject_of(geometry, 2)
    arrays = aliasing(subject).arrays
    names = arrays["aliasing_layers"].tolist()
    shortcut = next(name for name in names if "conv" not in name)
    source = geometry.graph.by_name[shortcut].inputs[0]
    maps = subject.layer_outputs([source], subject.images)[source]
    found = arrays["aliasing"][names.index(shortcut)]
    power = np.abs(np.fft.fft2(maps.double().numpy())) ** 2
    power = power.sum((0, 1))
    power[0, 0] = 0
    low = [*range(9), *range(24, 32)]
    assert found == pytest.approx(1 - power[np.ix_(low, low)].sum() / power.sum(), abs=1e-6)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(Path(__file__).parents[1] / "modules")

    def subject(name: str) -> Subject:
        return subject_of(geometry_of("model=custom", f"model.target=user_nets:{name}"), 3)

    return subject


def test_a_max_pool_that_is_a_function(users) -> None:
    values, arrays = aliasing(users("mixed"))
    assert arrays["aliasing_layers"].tolist() == ["max_pool2d", "last"]
    assert values == {"aliasing": arrays["aliasing"].max()}


def test_slices(users) -> None:
    values, arrays = aliasing(users("Attentive"))
    assert len(arrays["aliasing_layers"]) == 2
    assert np.isfinite(arrays["aliasing"]).all()
    assert "aliasing" in values


def test_what_cannot_be_computed_at_stride_1_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    geometry = geometry_of("model=custom", "model.target=measured_nets:Averaging")
    values, arrays = aliasing(subject_of(geometry, 3))
    assert values == {}
    assert arrays["aliasing_layers"].tolist() == ["stem", "avg_pool2d"]
    assert np.isnan(arrays["aliasing"]).tolist() == [False, True]


def test_weights_that_are_not_finite() -> None:
    subject = subject_of(geometry_of("conv.stride=2", "model.channels=[4,8]"))
    with torch.no_grad():
        subject.network.get_parameter("features.conv2.weight")[0] = torch.nan
    values, arrays = aliasing(subject)
    assert values == {}
    assert math.isfinite(arrays["aliasing"][0])
    assert math.isnan(arrays["aliasing"][-1])


def test_a_1x1_module_keeps_its_stride() -> None:
    subject = single_conv(torch.ones(1, 1, 1, 1), torch.randn(2, 1, 8, 8), 2)
    aliasing(subject)
    conv = subject.network.get_submodule("features.conv1")
    assert isinstance(conv, nn.Conv2d)
    assert conv.stride == (2, 2)
    assert subject.layer_outputs(["conv1"], subject.images)["conv1"].shape[2:] == (4, 4)


def test_a_pool_that_rounds_up_has_windows_over_the_edge() -> None:
    """Of 5 pixels a 2x2 pool with stride 2 makes 3: five maxima are subsampled, not four."""
    geometry = stack_geometry((1, 5, 5), parse_conv(1, 1, 0, 1), [1], [1], 2)
    subject = subject_of(geometry, 3)
    (pool,) = [node for node in geometry.graph.nodes if node.name == "pool1"]
    maps = torch.randn(1, 1, 5, 5)
    dense = at_stride_1(subject, pool, maps)
    assert dense is not None
    expected = functional.max_pool2d(functional.pad(maps, (0, 1, 0, 1), value=-9.0), 2, 1)
    assert torch.equal(dense, expected)
    assert torch.equal(dense[..., ::2, ::2], functional.max_pool2d(maps, 2, ceil_mode=True))


def test_an_image_of_one_pixel_with_a_pool() -> None:
    geometry = stack_geometry((1, 1, 1), parse_conv(1, 1, 0, 1), [1], [1], 2)
    assert aliasing(subject_of(geometry)).values == {"aliasing": 0.0}
