"""Equivariance errors: by hand, by plain loops, and exact cases."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.diagnostics import Subject
from convscope.diagnostics.equivariance import equivariance, interior
from convscope.geometry import LayerGeometry

from .subjects import geometry_of, single_conv, subject_of

ERRORS = ("equivariance_error", "padding_error", "interior_error")


def maps_of(subject: Subject, images: Tensor) -> dict[str, Tensor]:
    """The layers' outputs, by hooks of our own."""
    root = getattr(subject.network, "features", subject.network)
    found: dict[str, Tensor] = {}

    def keep(name: str):
        return lambda module, inputs, output: found.__setitem__(name, output.clone())

    hooks = [
        root.get_submodule(layer.name).register_forward_hook(keep(layer.name))
        for layer in subject.geometry.layers
    ]
    with torch.no_grad():
        subject.network(images)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("kernel", ["3", "5", "3x1", "[3,5]"])
def test_a_circular_network_without_stride_has_no_error(kernel: str) -> None:
    typed = "conv.padding_mode=circular", "conv.padding=half", "model.pool_after=[]"
    geometry = geometry_of(*typed, f"conv.kernel_size={kernel}", "model.channels=[4,8]")
    values, arrays = equivariance(subject_of(geometry))
    assert arrays["equivariance_layers"].tolist() == ["conv1", "conv2"]
    for key in ERRORS:
        assert (arrays[key] < 1e-6).all()
    assert set(values) == {"equivariance_error", "padding_error"}


CASES = [
    ("conv.stride=2", "conv.padding=half"),
    ("conv.stride=3", "conv.padding=0", "conv.kernel_size=5", "model.pool_after=[]"),
    ("conv.stride=[1,2]", "conv.padding=full", "conv.kernel_size=4", "model.pool_after=[2]"),
    ("conv.dilation=2", "conv.padding=half", "conv.padding_mode=reflect"),
    ("conv.stride=2x1", "conv.padding=0+1x2+0", "conv.kernel_size=1x3"),
    ("conv.stride=2", "conv.padding=half", "model.downsample=blur", "model.pool=blur"),
]


@pytest.mark.parametrize("typed", CASES, ids=" ".join)
def test_units_of_the_interior_are_exact_and_no_others(typed: tuple[str, ...]) -> None:
    subject = subject_of(geometry_of("model.channels=[4,8]", *typed), 16)
    still = maps_of(subject, subject.images)
    seen = 0
    for layer in subject.geometry.layers:
        for axis, jump in enumerate(layer.jump):
            moved = maps_of(subject, subject.images.roll(jump, 2 + axis))[layer.name]
            units = still[layer.name].movedim(2 + axis, 0)
            worst = (moved.movedim(2 + axis, 0)[1:] - units[:-1]).abs().flatten(1).amax(1)
            inside = torch.zeros(len(worst), dtype=torch.bool)
            inside[interior(layer, axis, subject.images.shape[2 + axis])] = True
            assert (worst[inside] < 1e-5).all(), layer.name
            assert (worst[~inside] > 1e-3).all(), layer.name
            seen += int(inside.sum())
    assert seen > 10


def test_every_second_pixel_by_hand() -> None:
    image = torch.tensor([1.0, 5, 3, 0])[:, None].expand(1, 1, 4, 4)
    values, arrays = equivariance(single_conv(torch.ones(1, 1, 1, 1), image, 2))
    # Rows 1 and 3 of the map; after a shift by one pixel 0 and 5, where (1 + 3) / 2 is expected in
    # the second. To the right nothing changes: half of the squares are 0.
    expected = math.sqrt(3**2 / 2) / math.sqrt((1**2 + 3**2) / 2)
    assert values == pytest.approx({"equivariance_error": expected, "padding_error": 0}, abs=1e-7)
    assert arrays["interior_error"] == pytest.approx([expected])


def test_padding_by_hand() -> None:
    image = torch.tensor([2.0, 0, 0, 4]).expand(1, 1, 1, 4)
    values, arrays = equivariance(single_conv(torch.ones(1, 1, 1, 3), image, 1, "0x1"))
    # Sums of three: 2 2 4 4 at first, then 6 6 2 4 of 4 2 0 0: expected in the last three 2 2 4.
    expected = math.sqrt((4**2 + 0 + 4**2) / 3) / math.sqrt((4 + 4 + 16 + 16) / 4)
    assert values["padding_error"] == values["equivariance_error"] == pytest.approx(expected)
    assert arrays["interior_error"] == pytest.approx([0])


def test_black_margins_leave_padding_nothing_to_do() -> None:
    images = torch.zeros(4, 1, 20, 20)
    images[..., 6:14, 6:14] = torch.randn(4, 1, 8, 8)
    values, arrays = equivariance(single_conv(torch.randn(3, 1, 3, 3), images, 2, 1))
    assert values["padding_error"] < 1e-6
    assert values["equivariance_error"] > 0.1
    assert arrays["interior_error"] > 0.1


def field(layers: tuple[LayerGeometry, ...], upto: str, axis: int) -> tuple[int, int, int]:
    """First and last pixel of unit 0's receptive field and the total stride, window by window."""
    first, last, jump = 0, 0, 1
    for layer in layers:
        before, _ = layer.conv.padding[axis]
        reach = (layer.conv.kernel_size[axis] - 1) * layer.conv.dilation[axis]
        first, last = first - before * jump, last + (reach - before) * jump
        jump *= layer.conv.stride[axis]
        if layer.name == upto:
            break
    return first, last, jump


@pytest.mark.parametrize("typed", CASES, ids=" ".join)
def test_against_plain_loops(typed: tuple[str, ...]) -> None:
    subject = subject_of(geometry_of("model.channels=[4,8]", *typed), 3)
    layers = subject.geometry.layers
    found = equivariance(subject)
    still = maps_of(subject, subject.images)
    for index, layer in enumerate(layers):
        squares: dict[str, list[float]] = {key: [] for key in ERRORS}
        for axis in (0, 1):
            side = subject.images.shape[2 + axis]
            first, last, jump = field(layers, layer.name, axis)
            for shift in {1, jump}:
                moved = maps_of(subject, subject.images.roll(shift, 2 + axis))[layer.name]
                here, there = (maps.double().numpy() for maps in (still[layer.name], moved))
                if axis == 1:
                    here, there = here.swapaxes(2, 3), there.swapaxes(2, 3)
                for unit in range(1, here.shape[2]):
                    part = shift / jump
                    moved_map = (1 - part) * here[:, :, unit] + part * here[:, :, unit - 1]
                    rows = list(((there[:, :, unit] - moved_map) ** 2).flatten())
                    if shift == 1:
                        squares["equivariance_error"] += rows
                        on_image = first + (unit - 1) * jump >= 0 and last + unit * jump < side
                        squares["interior_error"] += rows if on_image else []
                    if shift == jump:
                        squares["padding_error"] += rows
        norm = np.mean(still[layer.name].double().numpy() ** 2)
        for key in ERRORS:
            expected = math.sqrt(np.mean(squares[key]) / norm) if squares[key] else math.nan
            got = found.arrays[key][index]
            assert got == pytest.approx(expected, abs=1e-6, nan_ok=True), (layer.name, key)
    last_layer = found.arrays["equivariance_layers"].tolist().index(layers[-1].name)
    assert found.values == {
        key: found.arrays[key][last_layer] for key in ("equivariance_error", "padding_error")
    }


def test_images_in_batches() -> None:
    geometry = geometry_of("conv.stride=2", "model.channels=[4,8]")
    whole, parts = subject_of(geometry, 30), subject_of(geometry, 30)
    vars(parts)["batch_size"] = 7
    assert equivariance(parts).values == pytest.approx(equivariance(whole).values, rel=1e-6)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(Path(__file__).parents[1] / "modules")

    def subject(name: str, *overrides: str) -> Subject:
        typed = "model=custom", f"model.target=user_nets:{name}", *overrides
        return subject_of(geometry_of(*typed), 3)

    return subject


def test_a_traced_network_with_a_pool_that_is_a_function(users) -> None:
    subject = users("mixed")
    values, arrays = equivariance(subject)
    names = arrays["equivariance_layers"].tolist()
    assert names == ["stem", "max_pool2d", "depthwise", "dilated", "point", "last"]
    images = subject.images
    with torch.no_grad():
        network = subject.network
        still, moved = (
            nn.functional.max_pool2d(network.norm(network.stem(one)).relu(), 3, 2, 1)
            for one in (images, images.roll(2, 2))
        )
        across = nn.functional.max_pool2d(
            network.norm(network.stem(images.roll(2, 3))).relu(), 3, 2, 1
        )
    down = (moved[:, :, 1:] - still[:, :, :-1]).square()
    right = (across[..., 1:] - still[..., :-1]).square()
    mean = torch.cat([down.flatten(), right.flatten()]).mean()
    expected = (mean / still.square().mean()).sqrt().item()
    assert arrays["padding_error"][names.index("max_pool2d")] == pytest.approx(expected, abs=1e-6)
    assert set(values) == {"equivariance_error", "padding_error"}


def test_layers_computed_from_the_whole_image_have_no_total_stride(users) -> None:
    # Behind squeeze-excitation.
    values, arrays = equivariance(users("Attentive"))
    assert arrays["equivariance_layers"].tolist() == ["conv1"]
    assert values == {}


def test_the_last_layer_before_attention_is_not_the_last_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    geometry = geometry_of("model=custom", "model.target=measured_nets:Attending")
    values, arrays = equivariance(subject_of(geometry, 3))
    assert arrays["equivariance_error"] > 0
    assert values == {}


def test_a_residual_network() -> None:
    geometry = geometry_of("model=resnet20", "data=cifar10", "model.channels=[4,4,8]")
    values, arrays = equivariance(subject_of(geometry, 2))
    assert arrays["equivariance_layers"].tolist() == [layer.name for layer in geometry.layers]
    assert values["equivariance_error"] == arrays["equivariance_error"][-1]
    # Its receptive field is larger than the image.
    assert math.isnan(arrays["interior_error"][-1])


def test_what_is_undefined_is_left_out() -> None:
    to_one_pixel = subject_of(geometry_of("conv.stride=5", "model.channels=[4,8,8]"))
    values, arrays = equivariance(to_one_pixel)
    assert values == {}
    assert all(math.isnan(arrays[key][-1]) for key in ERRORS)
    assert arrays["equivariance_error"][0] > 0

    black = subject_of(geometry_of("conv.stride=2", "model.channels=[4,8]"))
    with torch.no_grad():
        black.network.get_parameter("features.conv1.weight")[:] = torch.nan
    values, arrays = equivariance(black)
    assert values == {}
    assert np.isnan(arrays["equivariance_error"]).all()
