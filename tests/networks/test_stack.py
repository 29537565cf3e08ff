"""The stack's pools, against torch.nn.MaxPool2d; and layers that are left out."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from convscope import load, train
from convscope.errors import UserError
from convscope.geometry import ConvSpec, ImpossibleVariant, LayerGeometry, network_geometry
from convscope.geometry.factors import symmetric
from convscope.modules import build_network
from convscope.networks.stack import Pooling, stack
from convscope.variant import Variant, VariantComposer

POINTWISE = ConvSpec((1, 1), (1, 1), symmetric((0, 0)))
Numbers = tuple[int, int, int]


def pool_layer(pooling: Numbers, height: int, width: int) -> LayerGeometry:
    """The pool behind a 1x1 convolution, which leaves the size."""
    kernel, stride, padding = pooling
    pool = ConvSpec((kernel, kernel), (stride, stride), symmetric((padding, padding)))
    graph = stack([1], [1], 10, Pooling(pool)).with_specs([POINTWISE])
    return network_geometry(graph, (1, height, width)).layers[1]


@st.composite
def poolings(draw: st.DrawFn) -> Numbers:
    kernel = draw(st.integers(1, 7))
    return kernel, draw(st.integers(1, 7)), draw(st.integers(0, kernel // 2))


def torch_pool(pooling: Numbers) -> nn.MaxPool2d:
    kernel, stride, padding = pooling
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=True)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(poolings(), st.integers(1, 20), st.integers(1, 20))
@example((3, 2, 1), 32, 32)
@example((2, 4, 0), 8, 9)
def test_sizes_and_covered_pixels_equal_torch(pooling: Numbers, height: int, width: int) -> None:
    try:
        expected = torch_pool(pooling)(torch.zeros(1, 1, height, width)).shape
    except RuntimeError:
        with pytest.raises(ImpossibleVariant, match="pool1 would have an empty output: input "):
            pool_layer(pooling, height, width)
        return
    layer = pool_layer(pooling, height, width)
    assert layer.out_shape == tuple(expected[1:])
    kernel, stride, padding = pooling
    for axis, length in enumerate((height, width)):
        starts = [number * stride - padding for number in range(expected[2 + axis])]
        covered = {pixel for start in starts for pixel in range(start, start + kernel)}
        end = starts[-1] + kernel
        assert layer.unused_border[axis].image == max(0, length - max(end, 0))
        assert layer.unused_border[axis].padding == max(0, length + padding - max(end, length))
        assert layer.skipped[axis] == len(set(range(min(end, length))) - covered)


def variant(*typed: str) -> Variant:
    return VariantComposer().compose(["data=digits", *typed])


def sizes(*typed: str) -> dict[str, Sequence[int]]:
    return {layer.name: layer.out_shape for layer in variant(*typed).layers}


def test_resnet_s_pool_in_a_stem() -> None:
    pool = ("model.pool_kernel=3", "model.pool_stride=2", "model.pool_padding=1")
    # ceil((28 + 2 - 3) / 2) + 1: the last window starts at the last pixel.
    assert sizes(*pool)["pool1"] == (16, 15, 15)
    assert sizes(*pool, "conv.padding=0")["pool1"] == (16, 14, 14)
    # Values at the defaults are not in the label, and others are not either.
    assert variant(*pool).label == variant().label == "k3-s1-p1"


def test_the_network_has_the_sizes_of_its_geometry() -> None:
    typed = (
        "model.pool_kernel=3",
        "model.pool_stride=3",
        "model.pool_padding=1",
        "model.channels=[4,6]",
    )
    geometry = variant(*typed, "model.pool_after=[1,2]").geometry
    assert geometry is not None
    network = build_network(geometry)
    images = torch.zeros(2, 1, 28, 28)
    for name, module in network.features.named_children():  # type: ignore[union-attr, operator]
        if name == "mean":
            break
        images = module(images)
    assert tuple(images.shape) == (2, 6, *geometry.final_map)
    # ceil(27 / 3) + 1 = 10, ceil(9 / 3) + 1 = 4
    assert geometry.final_map == (4, 4)


def test_a_run_with_another_pool_and_a_layer_less(tmp_path: Path) -> None:
    record = train(
        "data=digits", "model.channels=[4,4,8]", "model.pool_kernel=3", "model.pool_padding=1",
        "model.drop=[conv2]", "trainer.max_steps=1", "trainer.max_epochs=null",
        "trainer.accelerator=cpu", f"output_dir={tmp_path}", "trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert record.status == "finished", record.reason
    assert [layer["name"] for layer in record.geometry] == ["conv1", "pool1", "conv3"]
    assert record.geometry[1]["out_shape"] == [4, 15, 15]
    assert load(record, tmp_path).predict(torch.zeros(1, 28, 28, 1, dtype=torch.uint8))


def test_an_impossible_pool_has_a_reason_and_a_fix() -> None:
    found = variant("model.pool_kernel=40")
    # ceil((28 + 2 * 5 - 40 + 2) / 2) + 1: one window starts inside at 28 + 2 * 5 = 38.
    assert str(found.impossible) == (
        "pool1 would have an empty output: input 28x28, kernel_size 40, stride 2, padding 0;"
        " conv.padding=7 would make it possible"
    )


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["model.drop=[conv2]"],
            "model.drop must name what keeps the number of channels, conv2 makes 32 of 16",
        ),
        (
            ["model.drop=[conv1]"],
            "model.drop must name what keeps the number of channels, conv1 makes 16 of the image",
        ),
        (["model.drop=[mean]"], "model.drop must not name what makes a vector of maps, got mean"),
        (["model.drop=[head]"], "model.drop must name what has one input and one output, got head"),
        (["model.drop=[pool2]"], "model.drop names no layer: pool2"),
        (
            ["model.vary=stem"],
            "model.vary must be all in a stack, whose conv layers have no arguments of their own,"
            " got stem",
        ),
        (
            ["model.vary=[conv1]"],
            "model.vary must be all in a stack, whose conv layers have no arguments of their own,"
            " got [conv1]",
        ),
        (
            ["model=resnet20", "model.drop=[layer2.0]"],
            "model.drop must name what keeps the number of channels, layer2.0 makes 32 of 16",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_no_network_can_be_is_refused_in_one_line(typed: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        variant(*typed)
    assert str(refused.value) == message


def test_layers_that_may_be_left_out() -> None:
    assert list(sizes("model.drop=[pool1]")) == ["conv1", "conv2", "conv3"]
    assert list(sizes("model=deep", "model.drop=[conv2]"))[:2] == ["conv1", "pool2"]
    without_block = variant("model=resnet20", "model.drop=[layer1.1]")
    assert len(without_block.layers) == 17
