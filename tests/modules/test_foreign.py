"""Networks of torchvision and of users: their variants, and what is refused in one line."""

from pathlib import Path

import pytest
import torch
import torchvision
from timm.layers import BlurPool2d
from torch import nn

from convscope.errors import UserError
from convscope.geometry import ImpossibleVariant
from convscope.modules import build_network, layer_outputs
from convscope.variant import Variant, VariantComposer

from .resnet18_by_hand import SmallResNet18

SMALL_RESNET18 = (
    "model=resnet18",
    "data=cifar10",
    "conv.kernel_size=3",
    "conv.stride=1",
    "conv.padding=1",
    "model.drop=[maxpool]",
)


@pytest.fixture(scope="module")
def composer() -> VariantComposer:
    return VariantComposer()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, which has the users' file."""
    monkeypatch.chdir(Path(__file__).parent)


@pytest.fixture
def users(composer: VariantComposer):
    def variant(name: str, *overrides: str) -> Variant:
        return composer.compose(
            ["model=custom", f"model.target=user_nets:{name}", "data=mnist", *overrides]
        )

    return variant


def seeded(variant: Variant, seed: int = 0) -> nn.Module:
    assert variant.geometry is not None
    torch.manual_seed(seed)
    return build_network(variant.geometry).eval()


def test_a_variant_equals_a_network_written_by_hand(composer: VariantComposer) -> None:
    network = seeded(composer.compose(SMALL_RESNET18), 3)
    after = torch.rand(1)
    torch.manual_seed(3)
    by_hand = SmallResNet18(3, 10).eval()
    assert torch.equal(after, torch.rand(1)), "another number of random draws"
    theirs = by_hand.state_dict()
    assert network.state_dict().keys() == theirs.keys()
    for name, value in network.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(images), by_hand(images))


def test_a_variant_equals_torchvision_s_network_with_another_stem(
    composer: VariantComposer,
) -> None:
    network = seeded(composer.compose(SMALL_RESNET18))
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    theirs.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(images), theirs.eval()(images))


def test_a_network_as_its_author_made_it(composer: VariantComposer) -> None:
    network = seeded(composer.compose(["model=resnet18", "data=cifar10"]))
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=10).eval()
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(images), theirs(images))


@pytest.mark.parametrize("kind", ["avg", "blur", "none"])
def test_max_pools_are_replaced(composer: VariantComposer, kind: str) -> None:
    variant = composer.compose(["model=resnet18", "data=cifar10", f"model.pool={kind}"])
    network = seeded(variant)
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.maxpool = {
        "avg": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "blur": nn.Sequential(nn.MaxPool2d(3, 1, 1), BlurPool2d(stride=2)),
        "none": nn.Identity(),
    }[kind]
    assert network.state_dict().keys() == theirs.state_dict().keys()
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(images), theirs.eval()(images))
    assert variant.geometry is not None
    layers = {layer.name: layer for layer in variant.geometry.layers}
    found = [name for name in layers if name.startswith("maxpool")]
    assert found == {"avg": ["maxpool"], "blur": ["maxpool", "maxpool.blur"], "none": []}[kind]
    if kind == "blur":
        assert layers["maxpool.blur"].macs == 9 * 64 * 8 * 8
    assert sum(p.numel() for p in network.parameters()) == variant.geometry.params


def test_a_pool_that_pads_too_much_is_an_impossible_variant(composer: VariantComposer) -> None:
    typed = ["model=resnet18", "data=cifar10", "conv.stride=1", "model.pool_padding=2"]
    variant = composer.compose(typed)
    assert str(variant.impossible) == (
        "maxpool would pad more than half its kernel: kernel_size 3, padding 2"
    )
    assert (variant.label, variant.geometry) == ("k7-s1-p3", None)
    assert composer.compose([*typed, "model.pool=none"]).geometry is not None


def test_pools_of_other_kinds_stay(composer: VariantComposer) -> None:
    typed = ["model=torchvision", "model.name=densenet121", "data=cifar10", "model.pool=blur"]
    variant = composer.compose(typed)
    pools = {one.name: one for one in variant.layers if "pool" in one.name}
    assert list(pools)[:3] == ["features.pool0", "features.pool0.blur", "features.transition1.pool"]
    own = composer.compose(typed[:3])
    assert variant.geometry is not None
    assert own.geometry is not None
    assert variant.geometry.final_map == own.geometry.final_map


def test_a_pool_that_is_used_twice(users) -> None:
    variant = users("Pooled", "model.pool=blur")
    names = [layer.name for layer in variant.layers if "pool" in layer.name]
    assert names == ["pool", "pool.blur", "pool_2", "pool.blur_2"]
    assert variant.geometry is not None
    # 28 -> 14 -> 7, as by the pools of the network's author.
    assert variant.geometry.final_map == (7, 7)


def test_grey_images(composer: VariantComposer) -> None:
    variant = composer.compose(["model=resnet18", "data=mnist"])
    network = seeded(variant)
    assert network.get_parameter("conv1.weight").shape == (64, 1, 7, 7)
    assert network(torch.randn(1, 1, 28, 28)).shape == (1, 10)
    assert variant.geometry is not None
    assert sum(p.numel() for p in network.parameters()) == variant.geometry.params


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=resnet18", "model.vary=all", "conv.padding=same_tf"],
        ["model=resnet18", "model.vary=[layer2.0.conv1]", "conv.stride=1"],
        ["model=resnet18", "model.pool_kernel=2", "model.pool_stride=2", "model.pool_padding=0"],
        ["model=resnet18", "model.pool=blur", "model.pool_stride=3"],
        ["model=torchvision", "model.name=squeezenet1_0", "conv.stride=1",
         "model.pool=blur"],
        ["model=torchvision", "model.name=squeezenet1_0", "model.pool=avg"],
        ["model=custom", "model.target=user_nets:Pooled", "model.pool=blur"],
        ["model=torchvision", "model.name=mobilenet_v2", "model.vary=[features.5.*]",
         "conv.kernel_size=5", "conv.padding=half"],
        ["model=torchvision", "model.name=shufflenet_v2_x0_5", "conv.stride=1", "conv.padding=0"],
        ["model=custom", "model.target=user_nets:mixed", "model.vary=[depthwise,dilated]",
         "conv.kernel_size=[5,3]", "conv.padding=half"],
        ["model=custom", "model.target=user_nets:Attentive", "conv.kernel_size=4x5",
         "conv.padding=same"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_shapes_of_a_variant_are_those_of_pytorch(
    composer: VariantComposer, overrides: list[str]
) -> None:
    geometry = composer.compose([*overrides, "data=mnist"]).geometry
    assert geometry is not None
    network = build_network(geometry)
    images = torch.randn(1, *geometry.input_shape)
    outputs = layer_outputs(network, [layer.name for layer in geometry.layers], images)
    for layer in geometry.layers:
        assert outputs[layer.name].shape[1:] == layer.out_shape, layer.name
    assert sum(p.numel() for p in network.parameters()) == geometry.params


def test_layers_that_mix_positions_are_known_for_the_sizes_of_a_variant(users) -> None:
    variant = users("Interpolating", "conv.stride=2")
    assert variant.geometry is not None
    assert variant.geometry.shapes["interpolate"] == (8, 7, 7)
    assert variant.geometry.final_map == (5, 5)
    assert seeded(variant)(torch.randn(1, 1, 28, 28)).shape == (1, 10)
    impossible = users("Interpolating", "conv.stride=7").impossible
    assert str(impossible).startswith("user_nets:Interpolating cannot run with k3-s7-p1: last")


def test_constants_of_a_file_stay(users) -> None:
    network = seeded(users("Centred"))
    images = torch.randn(2, 1, 28, 28)
    torch.manual_seed(0)
    theirs = users("Mixed")
    torch.testing.assert_close(network(images), seeded(theirs)(images - 0.5))


def test_a_shortcut_s_stride_follows_the_varied_layer(composer: VariantComposer) -> None:
    variant = composer.compose(
        ["model=resnet18", "data=cifar10", "model.vary=[layer2.0.conv1]", "conv.stride=1"]
    )
    shortcut = seeded(variant).get_submodule("layer2.0.downsample.0")
    assert isinstance(shortcut, nn.Conv2d)
    assert shortcut.stride == (1, 1)


def test_outputs_of_layers_that_are_functions(users) -> None:
    variant = users("mixed")
    network = seeded(variant)
    images = torch.randn(3, 1, 28, 28)
    outputs = layer_outputs(network, ["relu", "max_pool2d", "relu_2"], images)
    first = network.get_submodule("norm")(network.get_submodule("stem")(images)).relu()
    torch.testing.assert_close(outputs["relu"], first)
    pooled = nn.functional.max_pool2d(first, 3, 2, 1)
    torch.testing.assert_close(outputs["max_pool2d"], pooled)
    assert outputs["relu_2"].shape == (3, 16, 14, 14)


@pytest.mark.parametrize("count", [1, 2, 16])
def test_outputs_have_gradients_if_asked_for(users, count: int) -> None:
    """16 images, as many as a layer has channels: the batch is not taken for another dimension."""
    network = seeded(users("Attentive")).train()
    images = torch.randn(count, 1, 28, 28, requires_grad=True)
    plain = layer_outputs(network, ["conv2", "head.2"], images)
    outputs = layer_outputs(network, ["conv2", "head.2"], images, gradients=True)
    assert network.training
    assert not plain["conv2"].requires_grad
    assert torch.equal(plain["conv2"], outputs["conv2"])
    (gradient,) = torch.autograd.grad(outputs["head.2"].square().sum(), images)
    scores = network.eval()(images)
    torch.testing.assert_close(outputs["head.2"], scores)
    (expected,) = torch.autograd.grad(scores.square().sum(), images)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("raises", [], "user_nets:raises cannot be made: ValueError: 'no width\\nfor this'"
         " (user_nets.py, line "),
        ("groups", [], "user_nets:groups cannot be made: ValueError: out_channels must be divisible"
         " by groups (user_nets.py, line "),
        ("grey_only", [], "user_nets:grey_only cannot run on images of 28x28: stem fails: "),
        ("returns_none", [], "model.target=user_nets:returns_none must return a torch.nn.Module,"
         " got NoneType"),
        ("takes_other_arguments", [], "model.target=user_nets:takes_other_arguments is called with"
         " in_channels and classes: missing a required argument: 'channels'"),
        ("not_callable", [], "model.target=user_nets:not_callable must be a function or a class,"
         " got int"),
        ("mixd", [], "model.target=user_nets:mixd: user_nets has no mixd; did you mean mixed or"
         " Mixed?"),
        ("wrong_width", [], "user_nets:wrong_width has 11 outputs for 10 classes"),
        ("without_conv", [], "1.weight has no size before the first image"),
        ("linear_only", [], "the network has no torch.nn.Conv2d to vary"),
        ("Deciding", [], "the network decides by the values of an image"),
        ("Sharing", [], "last is used twice in a forward pass"),
        ("Maps", [], "the network must return class scores (batch, classes), got (2, 8, 28, 28)"),
        ("Two", [], "the network must return class scores (batch, classes), got tuple"),
        ("mixed", ["model.vary=[stemm]"], "model.vary names no conv layer: stemm; did you mean"
         " stem"),
        ("transposed", ["model.vary=['1']"], "model.vary must name 2-d convolutions, 1 is a"
         " ConvTranspose2d"),
        ("transposed", ["model.vary=['5']"], "model.vary must name 2-d convolutions, 5 is a"
         " Conv1d"),
        ("standardised", ["model.vary=[depthwise]"], "model.vary must name 2-d convolutions,"
         " depthwise is a convolution but no plain torch.nn.Conv2d"),
        ("standardised_stem", [], "model.vary must name 2-d convolutions, stem is a convolution but"
         " no plain torch.nn.Conv2d"),
        ("mixed", ["model.drop=[pointt]"], "model.drop names no module: pointt; did you mean"
         " point?"),
        ("mixed", ["model.drop=[point]"], "user_nets:mixed without point cannot run on images of"
         " 28x28: last fails: "),
        ("mixed", ["model.drop=[head]"], "user_nets:mixed without head has 16 outputs for 10"
         " classes"),
        ("mixed", ["model.pool_kernel=3"], "user_nets:mixed has no MaxPool2d or AvgPool2d"),
        ("mixed", ["model.pool=blur"], "user_nets:mixed has no MaxPool2d that model.pool=blur could"
         " replace"),
        ("Dilated", ["model.pool=avg"], "model.pool=avg cannot replace pool of user_nets:Dilated,"
         " which is MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=2, ceil_mode=False)"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_varied(
    users, name: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        users(name, *overrides)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=custom"], "model=custom needs model.target, such as package.module:make_net"),
        (["model=torchvision"], "model=torchvision needs model.name, such as resnet18"),
        (["model=torchvision", "model.name=resnet19"],
         "model.name=resnet19 is no classifier of torchvision; did you mean resnet18"),
        (["model=torchvision", "model.name=fcn_resnet50"],
         "model.name=fcn_resnet50 is no classifier of torchvision"),
        (["model=torchvision", "model.name=vit_b_16"],
         "vit_b_16 cannot run on images of 28x28: "),
        (["model=custom", "model.target=user_nets"],
         "model.target must be written package.module:make_net, got user_nets"),
        (["model=custom", "model.target=no_nets:make"],
         "model.target=no_nets:make: there is no module no_nets in "),
    ],
)  # fmt: skip
def test_networks_that_are_not_there(
    composer: VariantComposer, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        composer.compose([*overrides, "data=mnist"])
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "overrides", "layer", "message", "fix"),
    [
        ("Residual", ["model.vary=[block]", "conv.kernel_size=5"], "add",
         "add cannot add 14x14 of stem and 12x12 of block", "conv.padding=2"),
        ("Residual", ["model.vary=[block]", "conv.stride=2"], "add",
         "add cannot add 14x14 of stem and 7x7 of block", "conv.stride=1"),
        ("mixed", ["model.vary=[depthwise]", "conv.kernel_size=5"], "cat",
         "cat cannot concatenate 14x14 of max_pool2d, 12x12 of depthwise and 14x14 of dilated",
         "conv.padding=2"),
        ("Lenet", ["data=cifar10"], "fc1", "fc1 takes 400 values and would get 576",
         "conv.padding=1"),
        ("mixed", ["conv.stride=28", "conv.padding=0"], "last",
         "last would have an empty output", None),
    ],
)  # fmt: skip
def test_impossible_variants(
    users, name: str, overrides: list[str], layer: str, message: str, fix: str | None
) -> None:
    impossible = users(name, *overrides).impossible
    assert isinstance(impossible, ImpossibleVariant)
    assert impossible.layer == layer
    assert str(impossible).startswith(message)
    if fix is not None:
        assert impossible.fix == fix
