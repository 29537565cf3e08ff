"""The network against its geometry, which torch's own layers hold elsewhere."""

import pytest
import torch
from torch import nn

from convscope.geometry import NetworkGeometry
from convscope.modules import build_network

from ..convs import parse_conv, stack_geometry


def geometry(
    kernel_size: object,
    stride: object,
    padding: object,
    channels: tuple[int, ...] = (4, 6, 8),
    input_shape: tuple[int, int, int] = (1, 28, 28),
    pool_after: tuple[int, ...] = (1,),
) -> NetworkGeometry:
    convs = parse_conv(kernel_size, stride, padding, len(channels))
    return stack_geometry(input_shape, convs, channels, pool_after, 10)


GEOMETRIES = {
    "default": geometry(3, 1, 1),
    "strided": geometry(3, 2, "half"),
    "wide kernel": geometry(5, 1, "full"),
    "per layer": geometry([5, 3, 1], [2, 1, 1], [0, 1, 0]),
    "pair": geometry("3x5", 1, "1x2"),
    "even same": geometry([4, 2, 6], 1, "same"),
    "even same, one axis": geometry("4x3", 1, "same"),
    "stride above kernel": geometry([1, 3, 1], [2, 1, 3], [0, 1, 0]),
    "colour, odd": geometry(3, 2, 1, input_shape=(3, 33, 31)),
    "deep": geometry(3, 1, 1, channels=(4, 4, 5, 5, 6, 6), pool_after=(2, 4)),
    "no pool": geometry(3, 1, 0, pool_after=()),
    "one layer": geometry(3, 1, 0, channels=(10,)),
}


@pytest.fixture(params=GEOMETRIES, ids=str)
def shape(request: pytest.FixtureRequest) -> NetworkGeometry:
    return GEOMETRIES[request.param]


def test_every_layer_has_the_size_that_its_geometry_says(shape: NetworkGeometry) -> None:
    network = build_network(shape).eval()
    images = torch.zeros(2, *shape.input_shape)
    for name, module in network.features.named_children():
        if name == "mean":
            break
        images = module(images)
        for layer in shape.layers:
            if layer.name == name:
                assert tuple(images.shape) == (2, *layer.out_shape)
    assert images.shape[2:] == shape.final_map
    assert network(torch.zeros(2, *shape.input_shape)).shape == (2, 10)


def test_every_conv_pads_the_sides_that_its_geometry_says(shape: NetworkGeometry) -> None:
    network = build_network(shape)
    for layer in shape.layers:
        if layer.kind == "conv":
            conv = network.features.get_submodule(layer.name)
            images = torch.rand(1, *layer.in_shape)
            (top, bottom), (left, right) = layer.conv.padding
            padded = nn.functional.pad(images, (left, right, top, bottom))
            expected = nn.functional.conv2d(padded, conv.weight, stride=layer.conv.stride)
            torch.testing.assert_close(conv(images), expected)


def test_the_network_has_the_parameters_that_its_geometry_says(shape: NetworkGeometry) -> None:
    assert sum(p.numel() for p in build_network(shape).parameters()) == shape.params


def test_default_network_by_hand() -> None:
    """16-32-64 on 28 x 28, k3 s2 p1: 144 + 4608 + 18432 weights, 2 x 112 of batch norm, 650."""
    network = build_network(geometry(3, 2, 1, channels=(16, 32, 64)))
    assert [name for name, _ in network.features.named_children()] == [
        "conv1", "norm1", "relu1", "pool1", "conv2", "norm2", "relu2", "conv3", "norm3", "relu3",
        "mean",
    ]  # fmt: skip
    assert sum(p.numel() for p in network.parameters()) == 144 + 4608 + 18432 + 224 + 650


def test_weights_keep_their_names() -> None:
    """Checkpoints of earlier versions are read by these."""
    assert list(build_network(geometry(3, 1, 1, channels=(4,))).state_dict()) == [
        "features.conv1.weight",
        "features.norm1.weight",
        "features.norm1.bias",
        "features.norm1.running_mean",
        "features.norm1.running_var",
        "features.norm1.num_batches_tracked",
        "head.weight",
        "head.bias",
    ]


def test_forward_is_the_textbook_network() -> None:
    """Conv, batch norm, ReLU, pool, ..., the mean over the map, linear: written out by hand."""
    network = build_network(geometry([3, 3], [1, 2], 1, channels=(4, 6))).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
        images = torch.rand(3, 1, 28, 28)
        weights = network.state_dict()
        x = images
        for number, stride in ((1, 1), (2, 2)):
            w = {k.rpartition(".")[2]: v for k, v in weights.items() if f"norm{number}." in k}
            x = nn.functional.conv2d(
                x, weights[f"features.conv{number}.weight"], stride=stride, padding=1
            )
            deviation = (w["running_var"] + 1e-5).sqrt()[:, None, None]
            x = (x - w["running_mean"][:, None, None]) / deviation
            x = (x * w["weight"][:, None, None] + w["bias"][:, None, None]).clamp(min=0)
            if number == 1:
                x = nn.functional.max_pool2d(x, 2)
        expected = x.mean(dim=(2, 3)) @ weights["head.weight"].T + weights["head.bias"]
        torch.testing.assert_close(network(images), expected)


def test_channels_last_changes_the_memory_and_not_the_scores() -> None:
    torch.manual_seed(0)
    network = build_network(geometry(3, 2, 1)).eval()
    images = torch.rand(4, 1, 28, 28)
    before = network(images)
    network.to(memory_format=torch.channels_last)
    weight = network.features.get_submodule("conv2").weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images), before)


def test_odd_maps_are_pooled_to_the_last_pixel() -> None:
    """Ceil mode: 7 rows become 4, and the last row is read alone."""
    network = build_network(geometry(1, 1, 0, channels=(1,), input_shape=(1, 7, 7)))
    image = torch.zeros(1, 1, 7, 7)
    image[..., 6, 6] = 5
    pooled = network.features.get_submodule("pool1")(image)
    assert pooled.shape == (1, 1, 4, 4)
    assert pooled[0, 0, 3, 3] == 5
