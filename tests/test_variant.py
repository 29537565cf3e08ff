"""A variant is what training composes from the same overrides."""

import pytest

from convscope.config.compose import compose_config
from convscope.errors import UserError
from convscope.variant import Variant, VariantComposer

from .convs import parse_conv, stack_geometry

OVERRIDES: list[list[str]] = [
    [],
    ["conv.stride=2"],
    ["conv.stride=1", "conv.stride=2"],
    ["conv.stride=1", "conv=k5-s2-p2"],
    ["conv=k5-s2-p2", "conv.stride=1"],
    ["conv.kernel_size=[5,3x5,'3']", "conv.padding=[half,0,'same']"],
    ["conv.kernel_size='3x5'", 'conv.padding="1x2"'],
    ["++conv.stride=2", "model=deep"],
    ["model.channels=[4,8]", "model.pool_after=[2]", "conv.stride=[2,1]"],
    ["experiment=tutorial"],
    ["experiment=tutorial", "conv.padding=1"],
    ["conv.stride=2", "conv.kernel_size=${conv.stride}"],
    ["conv.stride=${model.pool_after}", "model.pool_after=[1,2,3]"],
]


def composed(overrides: list[str]) -> Variant:
    return VariantComposer().compose(overrides)


@pytest.mark.parametrize("overrides", OVERRIDES, ids=" ".join)
def test_values_put_in_afterwards_equal_hydra_s_composition(overrides: list[str]) -> None:
    config = compose_config(overrides)
    conv, channels = config.conv, config.model.channels
    convs = parse_conv(conv.kernel_size, conv.stride, conv.padding, len(channels))
    variant = composed([*overrides, "data=digits"])
    assert variant.convs == convs
    assert variant.geometry == stack_geometry(
        (1, 28, 28), convs, channels, config.model.pool_after, 10
    )


def test_a_value_of_one_variant_does_not_leak_into_the_next() -> None:
    composer = VariantComposer()
    assert composer.compose(["conv.stride=2"]).label == "k3-s2-p1"
    assert composer.compose(["conv.kernel_size=5"]).label == "k5-s1-p1"
    assert composer.compose([]).label == "k3-s1-p1"


def test_the_data_set_sets_the_input() -> None:
    auto, colour = composed([]), composed(["data=cifar100"])
    assert (auto.facts.name, auto.facts.input_shape) == ("mnist", (1, 28, 28))
    assert colour.title == "cifar100 3x32x32, channels 16-32-64: k3-s1-p1"
    assert colour.geometry is not None
    assert colour.geometry.classes == 100


def test_an_impossible_variant_keeps_the_layers_before_it() -> None:
    variant = composed(["conv.kernel_size=7", "conv.padding=0"])
    assert variant.geometry is None
    assert variant.label == "k7-s1-p0"
    assert variant.impossible is not None
    assert variant.impossible.fix == "conv.padding=1"
    assert [layer.name for layer in variant.layers] == ["conv1", "pool1", "conv2"]
    # 28, 20, 12, pooled to 6: no room for conv3, and the second pool lies beyond it
    deep = composed(["conv.kernel_size=9", "conv.padding=0", "model=deep"])
    assert [layer.name for layer in deep.layers] == ["conv1", "conv2", "pool2"]
    first = composed(["conv.kernel_size=29", "conv.padding=0"])
    assert first.layers == ()


def test_same_at_stride_2_is_impossible_and_has_no_pixels() -> None:
    variant = composed(["conv.stride=2", "conv.padding=same"])
    assert (variant.label, variant.convs, variant.layers) == ("k3-s2-psame", None, ())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("conv.stride=0", "^conv.stride must be at least 1, got 0$"),
        ("conv.strid=2", "^conv.strid is not a key of the config\ndid you mean conv.stride\\?$"),
        ("conv.stride", "^cannot read the override conv.stride\n"),
        ("conv.stride=[1", r"^cannot read the override conv.stride=\[1"),
        ("conv=k3", "^conv must be one of k1-s1-p0, .*, got k3"),
        ("data=nothing", "^data must be one of"),
        ("trainer.max_epochs=0", "^trainer.max_epochs must be at least 1, got 0$"),
    ],
)
def test_bad_input_reads_as_in_training(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed([override])
