"""ResNet-20 by hand: weights, MACs, the pool after its stem."""

import pytest

from convscope.errors import UserError
from convscope.geometry import NetworkGeometry
from convscope.variant import VariantComposer


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
