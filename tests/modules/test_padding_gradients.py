"""Gradients of weights that meet only padding: 0, in bfloat16 too, whatever the memory had."""

import pytest
import torch

from convscope.modules import build_network
from convscope.variant import VariantComposer


@pytest.mark.parametrize(
    "typed",
    [
        # conv3 has 2x2 pixels, stride 3 and padding 1.
        ("data=mnist", "conv.stride=3"),
        ("data=mnist", "conv.kernel_size=5", "conv.stride=3", "conv.padding=2"),
        # Its last blocks have maps of one pixel.
        ("data=mnist", "model=resnet18"),
    ],
)
def test_gradients_are_those_of_float64(typed: tuple[str, ...]) -> None:
    geometry = VariantComposer().compose(typed).geometry
    assert geometry is not None
    torch.manual_seed(0)
    network = build_network(geometry).to(memory_format=torch.channels_last).eval()
    images = torch.randn(32, *geometry.input_shape)
    exact = build_network(geometry).double().eval()
    exact.load_state_dict(network.state_dict())
    exact(images.double()).square().sum().backward()
    zeros = 0
    for _ in range(5):
        for size in (18_432, 51_200, 2_359_296):
            # Memory that the gradients get.
            _ = torch.full((size,), torch.nan, dtype=torch.bfloat16)
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(images)
        scores.float().square().sum().backward()
        for (name, weight), reference in zip(
            network.named_parameters(), exact.parameters(), strict=True
        ):
            assert weight.grad is not None
            assert reference.grad is not None
            assert weight.grad.isfinite().all(), name
            if weight.ndim == 4:
                is_zero = (reference.grad == 0).all(0).all(0)
                zeros += int(is_zero.sum())
                assert (weight.grad[:, :, is_zero] == 0).all(), name
    assert zeros > 0


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_that_repeats_pixels_trains_all_weights(mode: str) -> None:
    geometry = (
        VariantComposer()
        .compose(
            ["data=mnist", "conv.stride=3", f"conv.padding_mode={mode}", "model.pool_after=[]"]
        )
        .geometry
    )
    assert geometry is not None
    network = build_network(geometry)
    network(torch.randn(4, *geometry.input_shape)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None
        if "conv" in name:
            assert (weight.grad != 0).flatten(2).any(0).any(0).all(), name
