"""The network of airbench: against one written by hand, and trained as `cifar10-strong` does."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import convscope
from convscope.modules import build_network
from convscope.variant import Variant, VariantComposer

STRONG = ("experiment=cifar10-strong",)


def variant(*overrides: str) -> Variant:
    return VariantComposer().compose([*STRONG, *overrides])


def by_hand() -> nn.Sequential:
    def block(before: int, width: int) -> list[nn.Module]:
        return [
            nn.Conv2d(before, width, 3, padding="same", bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding="same", bias=False),
            nn.BatchNorm2d(width),
            nn.GELU(),
        ]

    return nn.Sequential(
        *(nn.Conv2d(3, 24, 2, bias=False), nn.BatchNorm2d(24), nn.GELU()),
        *(*block(24, 64), *block(64, 256), *block(256, 256)),
        *(nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10)),
    )


def test_it_is_the_network_written_by_hand() -> None:
    torch.set_num_threads(1)
    geometry = variant().geometry
    assert geometry is not None
    theirs, images = by_hand(), torch.randn(4, 3, 32, 32)
    ours = build_network(geometry)
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    for network in (ours, theirs):
        network.train()
    torch.testing.assert_close(ours(images), theirs(images))
    assert geometry.params == sum(weight.numel() for weight in theirs.parameters())
    with FlopCounterMode(display=False) as counter:
        theirs(images)
    assert geometry.macs == counter.get_total_flops() // 2 // len(images)


def test_parameters_and_macs_by_hand() -> None:
    geometry = variant().geometry
    assert geometry is not None
    convs = (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) * 9
    norms = 2 * (24 + 2 * 64 + 4 * 256)
    assert geometry.params == 3 * 24 * 4 + convs + norms + 256 * 10 + 10
    # Maps of 32, 31, 15, 7 and 3 pixels.
    pixels = 31**2 * (3 * 24 * 4 + 24 * 64 * 9) + 15**2 * (64 * 64 + 64 * 256) * 9
    assert geometry.macs == pixels + (2 * 7**2 + 3**2) * 256 * 256 * 9 + 256 * 10


def test_the_convolutions_of_the_blocks_are_varied() -> None:
    plain, large = variant(), variant("conv.kernel_size=5", "conv.padding=half")
    assert plain.graph.varied == tuple(f"block{n}.conv{m}" for n in (1, 2, 3) for m in (1, 2))
    assert (plain.label, large.label) == ("k3-s1-p1", "k5-s1-p2")
    shapes = [layer.out_shape for layer in plain.layers]
    assert [layer.out_shape for layer in large.layers] == shapes
    assert shapes[0] == (24, 31, 31)
    assert variant("conv.kernel_size=5").impossible is not None
    assert variant("model.pool_kernel=3", "model.pool_padding=1").layers[-1].out_shape[1:] == (4, 4)


@pytest.mark.parametrize("typed", [(), ("conv.kernel_size=5", "conv.padding=half")])
def test_two_steps_of_the_strong_recipe(tmp_path: Path, typed: tuple[str, ...]) -> None:
    record = convscope.train(
        *STRONG,
        "data=digits",
        "data.batch_size=32",
        "model.channels=[4,8,8]",
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=2",
        "trainer.accelerator=cpu",
        f"output_dir={tmp_path}",
        *typed,
    )
    assert record.status == "finished", record.reason
    optim, data = record.config["optim"], record.config["data"]
    assert (optim["name"], optim["label_smoothing"]) == ("muon", 0.2)
    assert data["alternate_flip"]
    assert data["test_flip"]
    assert record.metrics["test_loss"] < 3
    loaded = convscope.load(Path(record.config["output_dir"]) / record.study / record.name)
    images = torch.randint(256, (3, 28, 28, 1), dtype=torch.uint8)
    # With test_flip an image and its mirror image have the same scores.
    torch.testing.assert_close(loaded.scores(images), loaded.scores(images.flip(2)))
