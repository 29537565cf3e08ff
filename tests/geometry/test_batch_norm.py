"""Which networks batch norm cannot train, against PyTorch itself."""

import pytest
import torch

from convscope.config.compose import compose_config
from convscope.config.schema import TrainConfig
from convscope.geometry import (
    ImpossibleVariant,
    require_batch_norm,
)
from convscope.modules import build_network
from convscope.modules.graph_net import GraphNet
from convscope.training.request import check

from ..convs import parse_conv, stack_geometry


def refused_by_torch(network: GraphNet, shape: tuple[int, int, int], batch: int) -> bool:
    try:
        network.train()(torch.zeros(batch, *shape)).sum().backward()
    except ValueError as error:
        return "Expected more than 1 value per channel" in str(error)
    return False


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("pool_after", [[], [1], [2]])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        (3, 3, 1),
        (3, 2, 1),
        (3, 1, 1),
        (4, [1, 4, 1], 0),
        (8, [1, 1, 1], [0, 0, 4]),
        ([8, 1, 3], 1, [0, 0, 1]),
        ([8, 1, 1], 1, [0, 0, 1]),
        ("8x3", ["1x1", 1, 1], ["0x0", "4x1", "4x1"]),
        (1, 8, 0),
    ],
    ids=str,
)
def test_exactly_what_torch_refuses(
    kernel: object, stride: object, padding: object, pool_after: list[int], batch: int
) -> None:
    shape, channels = (1, 8, 8), (2, 3, 2)
    try:
        convs = parse_conv(kernel, stride, padding, 3)
        geometry = stack_geometry(shape, convs, channels, pool_after, 5)
    except ImpossibleVariant:
        return
    if not refused_by_torch(build_network(geometry), shape, batch):
        require_batch_norm(geometry, batch, devices=1)
        return
    with pytest.raises(ImpossibleVariant) as refused:
        require_batch_norm(geometry, batch, devices=1)
    assert refused.value.fix == "data.batch_size=2"
    assert not refused_by_torch(build_network(geometry), shape, 2)


def config(*overrides: str) -> TrainConfig:
    return compose_config(["data=digits", *overrides])


def test_it_is_an_impossible_variant_with_its_smallest_change() -> None:
    one = check(config("data.batch_size=1", "conv.stride=3"), [])
    assert (one.geometry, one.label) == (None, "k3-s3-p1")
    assert str(one.impossible) == (
        "batch norm after conv3 would have one value per channel: output 1x1, and 1 image per step;"
        " data.batch_size=2 would make it possible"
    )
    assert check(config("data.batch_size=2", "conv.stride=3"), []).impossible is None
    assert check(config("data.batch_size=1", "conv.stride=2"), []).impossible is None


def test_a_device_has_its_part_of_the_batch() -> None:
    two = check(config("data.batch_size=2", "trainer.devices=2", "conv.stride=3"), [])
    assert two.impossible is not None
    assert two.impossible.fix == "data.batch_size=4"
    assert "1 image per device" in str(two.impossible)
    assert check(config("data.batch_size=4", "trainer.devices=2", "conv.stride=3"), []).geometry
