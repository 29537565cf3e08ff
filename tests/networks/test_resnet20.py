"""ResNet-20 by hand: weights, MACs, the pool after its stem."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from convscope.errors import UserError
from convscope.geometry import NetworkGeometry, network_geometry, receptive_pixels
from convscope.geometry.factors import symmetric
from convscope.variant import Variant, VariantComposer

from ..convs import resnet20_graph
from .resnet20_by_hand import NAMES, OWN, Arguments, CannotAdd, ResNet20


def geometry(*typed: str) -> NetworkGeometry:
    variant = VariantComposer().compose(["model=resnet20", "data=cifar10", *typed])
    assert variant.geometry is not None
    return variant.geometry


def test_weights_and_macs_are_those_of_the_paper() -> None:
    """0.27 M parameters (He et al., table 6) and 41 MMACs, counted layer by layer."""
    convs = [(3, 16, 32)] + [(16, 16, 32)] * 6
    convs += [(16, 32, 16)] + [(32, 32, 16)] * 5 + [(32, 64, 8)] + [(64, 64, 8)] * 5
    weights = [9 * before * after for before, after, _ in convs]
    norms = sum(2 * after for _, after, _ in convs)
    network = geometry()
    assert network.params == sum(weights) + norms + 65 * 10 == 269_722
    macs = sum(w * side**2 for w, (*_, side) in zip(weights, convs, strict=True))
    assert network.macs == macs + 640 == 40_551_040
    assert network.variant == "k3-s1-p1"


def test_a_pool_after_the_stem_is_that_of_resnets_for_large_images() -> None:
    # 32 -> 16 by the stem, 8 by the pool, then 8, 4, 2 by the stages.
    network = geometry("conv=k7-s2-p3", "model.pool_after=[1]")
    sizes = {layer.name: layer.out_shape[1:] for layer in network.layers}
    assert (sizes["conv1"], sizes["maxpool"]) == ((16, 16), (8, 8))
    assert network.final_map == (2, 2)


@pytest.mark.parametrize("value", ["[2]", "[1,2]"])
def test_no_other_pool_can_be_added(value: str) -> None:
    with pytest.raises(UserError, match=r"^model.pool_after must be \[\] or \[1\] in resnet20"):
        geometry(f"model.pool_after={value}")


def random_arguments(draw: random.Random, count: int) -> list[Arguments]:
    """Kernel size, stride and padding of each layer: mostly such that all blocks fit."""
    chosen = []
    for number in range(count):
        kernel = draw.choice([1, 3, 5, 7, 39] if count == 1 else [3, 3, 3, 5])
        stride = draw.choice([1, 2, 3]) if count == 1 or draw.random() < 0.1 else OWN[number][1]
        padding = draw.randrange(5) if count == 1 or draw.random() < 0.04 else kernel // 2
        chosen.append((kernel, stride, padding))
    return chosen


def composed(vary: str, arguments: Sequence[Arguments], *more: str) -> Variant:
    keys = ("kernel_size", "stride", "padding")
    typed = [
        f"conv.{key}=[{','.join(str(one[number]) for one in arguments)}]"
        for number, key in enumerate(keys)
    ]
    return VariantComposer().compose(
        ["model=resnet20", "data=cifar10", f"model.vary={vary}", *typed, *more]
    )


@pytest.mark.parametrize("vary", ["stem", "all"])
def test_random_geometries_equal_a_network_by_hand(vary: str) -> None:
    draw = random.Random(vary)
    outcomes, fixes = [], []
    for _ in range(30):
        changed = random_arguments(draw, 1 if vary == "stem" else len(NAMES))
        variant = composed(vary, changed)
        by_hand = ResNet20([*changed, *OWN[len(changed) :]])
        try:
            by_hand(torch.zeros(1, 3, 32, 32))
        except CannotAdd as refused:
            check_refusal(variant, refused)
        except RuntimeError:
            assert variant.impossible is not None
            name = next(name for name in NAMES if name not in by_hand.shapes)
            assert str(variant.impossible).startswith(f"{name} would have an empty output: input")
        else:
            assert variant.geometry is not None, variant.impossible
        outcomes.append(variant.impossible is None)
        shown = {layer.name: layer.out_shape for layer in variant.layers}
        assert shown == {name: by_hand.shapes[name] for name in shown}
        assert len(shown) == len(by_hand.shapes)
        if variant.impossible is not None:
            fix = variant.impossible.fix
            fixes.append(fix)
            assert fix is None or composed(vary, changed, fix).geometry is not None
    assert 10 <= sum(outcomes) <= 28
    # A network with two errors has no fix of a single key.
    assert fixes.count(None) < max(len(fixes) / 2, 1)


def check_refusal(variant: Variant, refused: CannotAdd) -> None:
    """The reason names the block, and both maps with their sizes."""
    (branch, shortcut), block = refused.sizes, refused.block
    start = (
        f"{block}.add cannot add {branch[0]}x{branch[1]} of {block}.conv2 and"
        f" {shortcut[0]}x{shortcut[1]} of {block}.shortcut"
    )
    assert str(variant.impossible).startswith(start)


@pytest.mark.parametrize(
    "changes",
    [{}, {"conv1": (7, 2, 3)}, {"layer2.1.conv2": (5, 1, 2)}, {"layer1.0.conv1": (3, 2, 1)}],
    ids=str,
)
def test_receptive_fields_equal_gradients(changes: dict[str, Arguments]) -> None:
    side, channels = 180, (1, 1, 1)
    arguments = [changes.get(name, own) for name, own in zip(NAMES, OWN, strict=True)]
    by_hand = ResNet20(arguments, channels).double()
    for weight in by_hand.parameters():
        nn.init.ones_(weight)
    graph = resnet20_graph(channels, "all")
    specs = [
        replace(spec, kernel_size=(k, k), stride=(s, s), padding=symmetric((p, p)))
        for spec, (k, s, p) in zip(graph.specs, arguments, strict=True)
    ]
    network = network_geometry(graph.with_specs(specs), (3, side, side))
    images = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    maps = by_hand(images)
    assert tuple(maps.shape[2:]) == network.final_map
    middle = maps.shape[2] // 2
    (gradient,) = torch.autograd.grad(maps[0, 0, middle, middle], images)
    rows = gradient[0, 0].amax(dim=1).nonzero().flatten().tolist()
    assert rows == list(receptive_pixels(network, network.final, middle, 0))
    assert rows[-1] - rows[0] + 1 == network.receptive_field[0] < side
