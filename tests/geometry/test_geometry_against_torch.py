"""Sizes, receptive fields and costs equal what torch's own layers do."""

import pytest
import torch
from hypothesis import assume, given, settings
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.geometry import (
    ImpossibleVariant,
    receptive_pixels,
)

from ..convs import parse_conv, stack_geometry
from .typed_convs import Typed, geometry, possible, repeatable, typed_convs

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def torch_layers(typed: Typed, pool: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index in range(len(typed.kernels)):
        layers.append(typed.conv2d(index))
        if index + 1 in typed.pool_after:
            layers.append(pool)
    return layers


@settings(repeatable, max_examples=600)
@given(typed_convs().filter(possible))
def test_every_layer_size_equals_the_real_forward(typed: Typed) -> None:
    x = torch.zeros(1, 1, *typed.input_size)
    shapes = []
    for layer in torch_layers(typed, nn.MaxPool2d(2, ceil_mode=True)):
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert [layer.out_shape for layer in geometry(typed).layers] == shapes


@settings(repeatable, max_examples=200)
@given(typed_convs(image=(1, 12)).filter(lambda typed: not possible(typed)))
def test_an_impossible_variant_is_refused_by_torch_in_the_layer_named(typed: Typed) -> None:
    with pytest.raises(ImpossibleVariant) as impossible:
        geometry(typed)
    x = torch.zeros(1, 1, *typed.input_size)
    for index in range(int(impossible.value.layer.removeprefix("conv")) - 1):
        x = typed.conv2d(index)(x)
        if index + 1 in typed.pool_after:
            x = nn.MaxPool2d(2, ceil_mode=True)(x)
    with pytest.raises(
        RuntimeError,
        match="greater than actual input size|Padding size should be less|wrapping around more",
    ):
        typed.conv2d(int(impossible.value.layer.removeprefix("conv")) - 1)(x)


def touched(typed: Typed, input_size: tuple[int, int], unit: tuple[int, int]) -> torch.Tensor:
    """Which image pixels (height, width) get a gradient from one output unit."""
    # Positive weights and averages: nothing cancels, and every pixel of a window counts.
    layers = torch_layers(typed, nn.AvgPool2d(2, ceil_mode=True))
    network = nn.Sequential(*layers).double()
    for weight in network.parameters():
        nn.init.ones_(weight)
    image = torch.ones(1, 1, *input_size, dtype=torch.double, requires_grad=True)
    network(image)[0, 0, unit[0], unit[1]].backward()
    assert image.grad is not None
    return image.grad[0, 0] != 0


@settings(repeatable, max_examples=500)
@given(typed_convs(image=(1, 40)).filter(possible))
def test_pixels_seen_equal_what_the_gradient_touches(typed: Typed) -> None:
    network = geometry(typed)
    last = network.layers[-1]
    _, height, width = last.out_shape
    for unit in {(0, 0), (height // 2, width // 2), (height - 1, width - 1)}:
        seen = torch.zeros(typed.input_size, dtype=torch.bool)
        rows, columns = (receptive_pixels(network, last.name, unit[axis], axis) for axis in (0, 1))
        seen[torch.tensor(rows, dtype=torch.long)[:, None], list(columns)] = True
        assert torch.equal(seen, touched(typed, typed.input_size, unit))


@settings(repeatable, max_examples=150)
@given(typed_convs(kernel=5, stride=3, padding=2, layers=3, image=(40, 40)).filter(possible))
def test_receptive_field_jump_and_start_equal_the_gradient_inside_a_large_image(
    typed: Typed,
) -> None:
    last = geometry(typed).layers[-1]
    firsts, units, size = [], [], []
    for field, jump, start in zip(last.receptive_field, last.jump, last.start, strict=True):
        first_of_unit_0 = round(start - (field - 1) / 2)
        unit = max(0, -(first_of_unit_0 // jump))
        units.append(unit)
        firsts.append(first_of_unit_0 + unit * jump)
        size.append(firsts[-1] + 2 * field + 2 * jump)
    assume(size[0] * size[1] < 200_000)
    pixels = touched(typed, (size[0], size[1]), (units[0], units[1])).nonzero()
    assert pixels.min(dim=0).values.tolist() == firsts
    assert (pixels.max(dim=0).values - pixels.min(dim=0).values + 1).tolist() == [
        *last.receptive_field
    ]


@settings(repeatable, max_examples=60)
@given(typed_convs(image=(1, 24)).filter(possible))
def test_params_and_macs_equal_those_of_the_real_network(typed: Typed) -> None:
    channels = [4, 3, 5, 2][: len(typed.kernels)]
    blocks: list[nn.Module] = []
    for index, width in enumerate(channels):
        before = channels[index - 1] if index else 3
        blocks += [typed.conv2d(index, before, width), nn.BatchNorm2d(width), nn.ReLU()]
        if index + 1 in typed.pool_after:
            blocks.append(nn.MaxPool2d(2, ceil_mode=True))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 7)]
    network = nn.Sequential(*blocks, *head).eval()
    with FlopCounterMode(display=False) as counted:
        network(torch.zeros(1, 3, *typed.input_size))
    expected = stack_geometry(
        (3, *typed.input_size),
        parse_conv(*typed.typed, **typed.others),
        channels,
        typed.pool_after,
        7,
    )
    assert expected.params == sum(p.numel() for p in network.parameters())
    assert 2 * expected.macs == counted.get_total_flops()
