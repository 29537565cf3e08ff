"""Channels scaled to equal MACs, against multiply-accumulates that PyTorch counts."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.errors import UserError
from convscope.geometry import ImpossibleVariant, Shape
from convscope.networks import own_graph
from convscope.networks.matching import MOST_TIMES, TOLERANCE, graph_macs, matched_channels
from convscope.training.resolve import RunResolver
from convscope.variant import Variant, VariantComposer

from ..convs import parse_conv

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)


@pytest.fixture(scope="module")
def composer() -> VariantComposer:
    return VariantComposer()


def counted_by_torch(
    channels: list[int], pools: list[int], kernel: int, stride: int, padding: int, image: Shape
) -> int:
    """MACs of a stack written by hand; a convolution or a product of matrices has 2 per MAC."""
    layers: list[nn.Module] = []
    for number, (before, width) in enumerate(pairwise([image[0], *channels]), start=1):
        conv = nn.Conv2d(before, width, kernel, stride, padding, bias=False)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2, ceil_mode=True)] if number in pools else []
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 10)]
    with torch.device("meta"):
        network = nn.Sequential(*layers).to("meta").eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, *image))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("image", [MNIST, CIFAR], ids=["mnist", "cifar"])
@pytest.mark.parametrize("pools", [[1], []], ids=["pooled", "unpooled"])
@pytest.mark.parametrize("base", [[16, 32, 64], [32, 64, 128], [12, 20]], ids=str)
def test_the_reference_grid_agrees_within_5_percent(
    base: list[int], pools: list[int], image: Shape
) -> None:
    wanted = counted_by_torch(base, pools, 3, 1, 1, image)
    model = {"channels": base, "pool_after": pools}
    matched = 0
    for kernel, stride, padding in product((1, 3, 5, 7), (1, 2, 3), (0, "half")):
        pixels = 0 if padding == 0 else kernel // 2
        convs = parse_conv(kernel, stride, padding, len(base))
        if graph_macs(own_graph(model, 10).with_specs(convs), image) is None:
            continue
        own = counted_by_torch(base, pools, kernel, stride, pixels, image)
        widest = [MOST_TIMES * width for width in base]
        if counted_by_torch(widest, pools, kernel, stride, pixels, image) < wanted * 0.95:
            with pytest.raises(ImpossibleVariant, match="^match=macs: no channels up to 16 times "):
                matched_channels(model, 10, image, convs)
            continue
        channels = matched_channels(model, 10, image, convs)
        macs = counted_by_torch(channels, pools, kernel, stride, pixels, image)
        assert abs(macs / wanted - 1) <= TOLERANCE
        assert (channels == base) == (abs(own / wanted - 1) <= TOLERANCE)
        matched += channels != base
    assert matched >= 8


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=4),
    st.sampled_from([1, 3, 5, 7]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([MNIST, CIFAR]),
)
def test_no_rounded_factor_comes_nearer(
    base: list[int], kernel: int, stride: int, image: Shape
) -> None:
    """Or the nearest did not suffice, and single layers have one channel more or less."""
    model = {"channels": base, "pool_after": []}
    convs = parse_conv(kernel, stride, "half", len(base))

    def error(channels: list[int]) -> float:
        graph = own_graph({**model, "channels": channels}, 10).with_specs(convs)
        return abs((graph_macs(graph, image) or 0) / wanted - 1)

    reference = own_graph(model, 10).with_specs(parse_conv(3, 1, 1, len(base)))
    wanted = graph_macs(reference, image)
    assert wanted is not None
    nearest = min(
        error([max(1, round(width * factor / 1_000)) for width in base])
        for factor in (*range(100, 2_000, 17), *range(2_000, MOST_TIMES * 1_000, 197))
    )
    try:
        channels = matched_channels(model, 10, image, convs)
    except ImpossibleVariant:
        assert nearest > TOLERANCE
        return
    assert channels == matched_channels(model, 10, image, convs)
    assert min(channels) >= 1
    if channels != base:
        assert error(channels) <= max(nearest, TOLERANCE) + 1e-12


def test_single_layers_change_by_one_where_no_factor_suffices() -> None:
    model = {"channels": [4, 8, 8], "pool_after": []}
    channels = matched_channels(model, 10, MNIST, parse_conv(7, 1, 0, 3))
    factors = {width / base for width, base in zip(channels, [4, 8, 8], strict=True)}
    assert channels == [4, 7, 7]
    assert len(factors) > 1


def compose(composer: VariantComposer, *overrides: str) -> Variant:
    return composer.compose(["data=mnist", *overrides])


def test_a_matched_variant_has_the_scaled_channels_in_its_config(
    composer: VariantComposer,
) -> None:
    own = compose(composer, "conv.kernel_size=5", "conv.padding=half")
    matched = compose(composer, "conv.kernel_size=5", "conv.padding=half", "match=macs")
    assert matched.config.match == "macs"
    assert matched.config.model.channels == [10, 19, 38]
    assert matched.config.model.matched_from == own.config.model.channels == [16, 32, 64]
    assert matched.label == own.label == "k5-s1-p2"
    assert matched.network == "channels 10-19-38, scaled from 16-32-64 to equal MACs"


@pytest.mark.parametrize("overrides", [[], ["conv.kernel_size=3"], ["model=resnet20"]], ids=str)
def test_where_nothing_is_scaled_the_variant_is_the_unmatched_one(
    overrides: list[str], composer: VariantComposer
) -> None:
    own, matched = (compose(composer, *overrides, *more) for more in ([], ["match=macs"]))
    assert matched.config == own.config
    assert matched.geometry == own.geometry


@pytest.mark.parametrize("model", ["resnet20", "airbench"])
def test_widths_of_published_networks_scale(model: str, composer: VariantComposer) -> None:
    matched = compose(composer, f"model={model}", "model.vary=all", "conv.stride=2", "match=macs")
    own = compose(composer, f"model={model}")
    assert matched.impossible is not None or (
        matched.geometry is not None
        and own.geometry is not None
        and abs(matched.geometry.macs / own.geometry.macs - 1) <= TOLERANCE
    )


def test_an_impossible_variant_stays_what_it_is(composer: VariantComposer) -> None:
    own, matched = (
        compose(composer, "conv.kernel_size=7", "conv.stride=3", "conv.padding=0", *more)
        for more in ([], ["match=macs"])
    )
    assert matched.config == own.config
    assert str(matched.impossible) == str(own.impossible)


def test_too_wide_a_variant_is_impossible_with_its_reason(composer: VariantComposer) -> None:
    too_wide = compose(composer, "conv.kernel_size=1", "conv.stride=3", "match=macs")
    assert too_wide.geometry is None
    assert str(too_wide.impossible) == (
        "match=macs: no channels up to 16 times 16-32-64 give it the 4,629,376 MACs of k3-s1-p1"
        " within 5.00 %; the nearest, 256-512-1024, give 3,312,640"
    )
    assert too_wide.label == "k1-s3-p1"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model=resnet18"], "match must be null with model.network=torchvision, which has its"),
        (["model=custom", "model.target=a:b"], "match must be null with model.network=custom"),
        (["model.matched_from=[3]"], "model.matched_from is set by match=macs, and cannot be"),
    ],
)
def test_what_cannot_be_scaled_is_refused_in_one_line(
    overrides: list[str], line: str, composer: VariantComposer
) -> None:
    with pytest.raises(UserError) as refused:
        compose(composer, *overrides, "match=macs")
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_a_sweep_has_each_variant_at_equal_channels_and_at_equal_macs() -> None:
    jobs = [[f"conv.kernel_size={k}", "match=macs", "data=digits", "repeat=2"] for k in (3, 5)]
    found = RunResolver().prepare(jobs, unmatched_too=True)
    assert [(one.label, one.config.match, one.config.seed) for one in found] == [
        ("k3-s1-p1", None, 0),
        ("k3-s1-p1", None, 1),
        ("k3-s1-p1", None, 0),
        ("k3-s1-p1", None, 1),
        ("k5-s1-p1", None, 0),
        ("k5-s1-p1", None, 1),
        ("k5-s1-p1", "macs", 0),
        ("k5-s1-p1", "macs", 1),
    ]
    assert found[4].overrides == ("conv.kernel_size=5", "data=digits", "seed=0")
    assert found[6].overrides == ("conv.kernel_size=5", "match=macs", "data=digits", "seed=0")
