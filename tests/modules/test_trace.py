"""Geometry of traced networks against published receptive fields, PyTorch's counter, gradients."""

from collections.abc import Sequence
from functools import cache

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from convscope.geometry import ConvSpec, Graph, NetworkGeometry, network_geometry, receptive_pixels
from convscope.geometry.layers import Mixing
from convscope.modules.trace import node_outputs, trace

from . import user_nets


@cache
def classifier(name: str, device: str = "meta") -> nn.Module:
    if name.startswith("timm/"):
        with torch.device("meta"):
            return timm.create_model(name.removeprefix("timm/")).eval()
    options = {"aux_logits": False, "init_weights": False} if name == "inception_v3" else {}
    with torch.device(device):
        return torchvision.models.get_model(name, weights=None, **options).eval()


@cache
def graph(name: str, side: int = 224) -> Graph:
    return trace(classifier(name), (3, side, side))


def geometry(name: str, side: int = 224) -> NetworkGeometry:
    return network_geometry(graph(name, side).varying("stem"), (3, side, side))


def with_strides_moved(network: Graph) -> Graph:
    """Return a ResNet v1.5 as v1: blocks are strided in their first convolution, which is 1x1."""
    network = network.varying(["layer[234].0.conv[12]"])
    first, second = ((2, 2), (1, 1))
    specs = [
        ConvSpec(own.kernel_size, stride, own.padding)
        for own, stride in zip(network.specs, [first, second] * 3, strict=True)
    ]
    return network.with_specs(specs)


# Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill,
# 2019), appendix: receptive field and effective stride of the last map.
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("alexnet", 195),
        ("vgg16", 212),
        ("inception_v3", 1311),
        ("timm/mobilenetv1_100", 315),
        ("timm/inception_v4", 2071),
        ("timm/inception_resnet_v2", 3039),
    ],
)
def test_published_receptive_fields(name: str, field: int) -> None:
    found = geometry(name)
    assert found.receptive_field == (field, field)
    last = next(layer for layer in reversed(found.layers) if layer.receptive_field[0] == field)
    assert last.jump == (32, 32)


# That table has version 1; torchvision's is 1.5, in which the 3x3 convolutions are strided.
@pytest.mark.parametrize(
    ("name", "version_1", "version_1_5"),
    [("resnet50", 483, 427), ("resnet101", 1027, 971), ("resnet152", 1507, 1451)],
)
def test_published_receptive_fields_of_residual_networks(
    name: str, version_1: int, version_1_5: int
) -> None:
    assert geometry(name).receptive_field == (version_1_5, version_1_5)
    moved = network_geometry(with_strides_moved(graph(name)), (3, 224, 224))
    assert moved.receptive_field == (version_1, version_1)
    assert moved.final_map == (7, 7)


@pytest.mark.parametrize(
    "name",
    [
        "alexnet", "densenet121", "efficientnet_b0", "inception_v3", "mobilenet_v3_small",
        "convnext_tiny", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_v2_t", "vit_b_16",
    ],
)  # fmt: skip
def test_costs_are_those_of_pytorch_s_own_counter(name: str) -> None:
    found = geometry(name)
    network = classifier(name)
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    assert found.macs == counter.get_total_flops() / 2
    assert found.params == sum(p.numel() for p in network.parameters())


def make_positive(network: nn.Module) -> None:
    """Let every unit of a map have a gradient at all pixels that it is computed from."""
    torch.manual_seed(0)
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            fan_in = weight[0].numel() if weight.ndim > 1 else 1
            weight.data = (torch.rand_like(weight) + 0.5) / fan_in
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()


def average(
    images: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    *_: object,
    ceil_mode: bool = False,
    **__: object,
) -> Tensor:
    """Pool so that no pixel of a window is without a gradient."""
    return functional.avg_pool2d(images, kernel_size, stride, padding, ceil_mode)


@pytest.mark.parametrize(
    ("name", "side", "layers"),
    [
        ("resnet18", 96, ["layer1.0.conv2", "layer2.0.conv1", "layer3.0.downsample.0"]),
        ("squeezenet1_0", 64, ["features.3.expand3x3", "features.10.expand3x3"]),
        ("densenet121", 64, ["features.denseblock1.denselayer6.conv2"]),
        ("shufflenet_v2_x0_5", 96, ["stage2.0.branch2.3", "stage3.0.branch1.0"]),
        ("mobilenet_v3_small", 64, ["features.0.0", "features.2.block.1.0", "features.12.0"]),
        ("inception_v3", 128, ["Mixed_5b.branch3x3dbl_3.conv", "Mixed_6b.branch7x7_2.conv"]),
    ],
)  # fmt: skip
def test_receptive_fields_are_the_pixels_with_a_gradient(
    monkeypatch: pytest.MonkeyPatch, name: str, side: int, layers: list[str]
) -> None:
    found = geometry(name, side)
    monkeypatch.setattr(functional, "max_pool2d", average)
    network = classifier.__wrapped__(name, "cpu").double()
    make_positive(network)
    # Small, so that no activation is saturated.
    images = (torch.rand(1, 3, side, side).double() / 1000).requires_grad_()
    maps: dict[str, Tensor] = {}
    for layer in layers:
        network.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output, layer=layer: maps.update({layer: output})
        )
    network(images)
    for layer in layers:
        assert tuple(maps[layer].shape[1:]) == found.shapes[layer]
        for unit in {0, maps[layer].shape[2] // 2, maps[layer].shape[2] - 1}:
            (gradient,) = torch.autograd.grad(
                maps[layer][0, :, unit, unit].sum(), images, retain_graph=True
            )
            rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
            assert tuple(rows) == receptive_pixels(found, layer, unit, axis=0)


def kinds(network: nn.Module, shape: Sequence[int] = (3, 32, 32)) -> dict[str, str]:
    with torch.device("meta"):
        found = trace(network.to("meta"), tuple(shape))
    return {node.name: type(node.layer).__name__ for node in found.nodes}


def test_the_graph_of_a_user_s_network() -> None:
    assert kinds(user_nets.Mixed(3, 10)) == {
        "stem": "Conv", "norm": "BatchNorm", "relu": "Activation", "max_pool2d": "Pool",
        "depthwise": "Conv", "dilated": "Conv", "gelu": "Activation", "cat": "Concat",
        "point": "Conv", "relu_2": "Activation", "last": "Conv", "mean": "GlobalPool",
        "head": "Linear",
    }  # fmt: skip


def test_maps_that_are_shuffled_scaled_and_sliced_stay_maps() -> None:
    found = kinds(user_nets.Attentive(3, 10))
    assert "Mixing" not in found.values()
    assert found["add"] == "Merge"
    assert found["getitem"] == "Pad"
    assert found["getitem_2"] == "Slice"


def test_attention_mixes_all_positions() -> None:
    mixing = [node.name for node in graph("vit_b_16").nodes if isinstance(node.layer, Mixing)]
    assert "encoder.layers.encoder_layer_0.self_attention" in mixing
    assert geometry("vit_b_16").receptive_field == (224, 224)


class Tokens(nn.Module):
    """Maps as a sequence of pixels and back, and maps with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.norm = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 16)
        self.conv2 = nn.Conv2d(16, 16, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv1(images)
        tokens = self.norm(maps.flatten(2).transpose(1, 2))
        maps = tokens.transpose(1, 2).unflatten(2, maps.shape[2:])
        maps = self.mix(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.conv2(maps.contiguous()).amax(dim=(2, 3))


def test_channels_last_and_pixels_in_one_dimension() -> None:
    with torch.device("meta"):
        found = network_geometry(trace(Tokens(), (3, 9, 7)).varying("all"), (3, 9, 7))
    assert found.receptive_field == (5, 5)
    assert found.final_map == (5, 3)


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.scripted = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()))

    def forward(self, images: Tensor) -> Tensor:
        return self.scripted(self.conv(images)).mean((2, 3))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_module_that_cannot_be_followed_counts_as_one_layer() -> None:
    network = Scripted()
    found = trace(network.to("meta"), (3, 9, 9))
    assert [type(node.layer).__name__ for node in found.nodes] == ["Conv", "Mixing", "GlobalPool"]
    assert network_geometry(found.varying("all"), (3, 9, 9)).params == sum(
        p.numel() for p in network.parameters()
    )


def test_outputs_of_nodes_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    network = user_nets.Attentive(3, 10).eval()
    images = torch.randn(3, 3, 12, 12)
    outputs = node_outputs(network, ["conv1", "head.2"], images)
    torch.testing.assert_close(outputs["conv1"], network.conv1(images))
    torch.testing.assert_close(outputs["head.2"], network(images))


def test_outputs_of_nodes_have_channels_first() -> None:
    class ChannelsLast(nn.Module):
        """As ConvNeXt's normalisation before a convolution."""

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.norm = nn.LayerNorm(4)

        def forward(self, images: Tensor) -> Tensor:
            return self.norm(self.stem(images).permute(0, 2, 3, 1)).mean((1, 2))

    network, images = ChannelsLast().eval(), torch.randn(3, 3, 12, 9)
    outputs = node_outputs(network, ["norm"], images)["norm"]
    expected = functional.layer_norm(network.stem(images).movedim(1, 3), [4]).movedim(3, 1)
    assert outputs.shape == (3, 4, 10, 7)
    torch.testing.assert_close(outputs, expected)
