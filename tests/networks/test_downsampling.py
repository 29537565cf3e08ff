"""Ways to downsample at equal map sizes: pools by maximum, mean or blur, and blurred strides."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from timm.layers import BlurPool2d as TimmBlur
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from convscope import load, train
from convscope.analysis.frame import Reader
from convscope.errors import UserError
from convscope.geometry import (
    ConvSpec,
    Graph,
    NetworkGeometry,
    network_geometry,
    receptive_pixels,
)
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Node, layer_shapes
from convscope.geometry.layers import IMAGE, Blur, GlobalPool
from convscope.modules import build_network
from convscope.modules.graph_net import BlurPool2d, GraphNet, reflected_by_slices
from convscope.networks.stack import Pooling, chain, stack
from convscope.variant import Variant, VariantComposer

Numbers = tuple[int, int, int]
"""Kernel size, stride and padding."""


@pytest.fixture(scope="module")
def composer() -> VariantComposer:
    return VariantComposer()


def square(numbers: Numbers) -> ConvSpec:
    kernel, stride, padding = numbers
    return ConvSpec((kernel, kernel), (stride, stride), symmetric((padding, padding)))


def geometry_of(variant: Variant) -> NetworkGeometry:
    assert variant.geometry is not None, variant.impossible
    return variant.geometry


def network_of(geometry: NetworkGeometry) -> GraphNet:
    torch.manual_seed(0)
    network = build_network(geometry).eval()
    assert isinstance(network, GraphNet)
    return network


def outputs_of(network: GraphNet, images: Tensor) -> dict[str, Tensor]:
    """Return the output of each module of the network."""
    found: dict[str, Tensor] = {}

    def keep(name: str):
        return lambda module, inputs, output: found.update({name: output.clone()})

    for name, module in network.features.named_modules():
        module.register_forward_hook(keep(name))
    network(images)
    return found


def zhang(maps: Tensor, stride: int) -> Tensor:
    """Return what timm's layer gives where it pads as Zhang's: by 1 pixel, at any stride."""
    blur = TimmBlur(stride=stride)
    blur.padding = [1, 1, 1, 1]
    blurred: Tensor = blur(maps)
    return blurred


# Pools


def pool_graph(pooling: Pooling, *, ceil_mode: bool) -> Graph:
    pool = pooling.layers("pool", ceil_mode=ceil_mode)
    return Graph(chain([*pool, ("mean", GlobalPool())]), varied=())


def pooled_shape(graph: Graph, size: tuple[int, int]) -> tuple[int, ...] | str:
    """Return the shape before the mean, or which layer is refused and why."""
    shapes, refused = layer_shapes(graph, (3, *size))
    if refused is not None:
        return f"{refused.node.name} {refused.reason}"
    return shapes[graph.by_name["mean"].inputs[0]]


@st.composite
def windows(draw: st.DrawFn) -> Numbers:
    kernel = draw(st.integers(1, 7))
    return kernel, draw(st.integers(1, 6)), draw(st.integers(0, kernel // 2))


@settings(deadline=None, derandomize=True, max_examples=600)
@given(windows(), st.booleans(), st.integers(1, 20), st.integers(1, 20))
@example((2, 2, 0), True, 13, 28)
@example((3, 2, 1), True, 32, 31)
@example((2, 4, 0), True, 8, 9)
def test_all_pools_have_the_size_of_torchs(
    numbers: Numbers, ceil_mode: bool, height: int, width: int
) -> None:
    kernel, stride, padding = numbers
    maps = torch.randn(2, 3, height, width)
    largest, mean, blurred = (
        pool_graph(Pooling(square(numbers), kind), ceil_mode=ceil_mode)
        for kind in ("max", "avg", "blur")
    )
    try:
        expected = nn.MaxPool2d(kernel, stride, padding, 1, False, ceil_mode)(maps)
    except RuntimeError:
        for graph in (largest, mean, blurred):
            assert pooled_shape(graph, (height, width)) == "pool would have an empty output"
        return
    shape = tuple(expected.shape[1:])
    assert pooled_shape(largest, (height, width)) == shape
    assert pooled_shape(mean, (height, width)) == shape
    dense = layer_shapes(blurred, (3, height, width))[0]["pool"][1:]
    if stride > 1 and 1 in dense:
        reason = "pool.blur would reflect more pixels than its input has beside the edge"
        assert pooled_shape(blurred, (height, width)) == reason
        return
    assert pooled_shape(blurred, (height, width)) == shape
    # The maxima are those of torch's pool where it has a window.
    network = network_of(network_geometry(with_head(blurred), (3, height, width)))
    maxima = outputs_of(network, maps)
    assert torch.equal(maxima["pool"][:, :, ::stride, ::stride], expected)
    if stride > 1:
        assert torch.equal(maxima["pool.blur"], zhang(maxima["pool"], stride))


def with_head(graph: Graph) -> Graph:
    """Return the graph with a last layer that a network can have as its head."""
    (head,) = (node for node in stack([3], [], 10).nodes if node.name == "head")
    return Graph((*graph.nodes, Node("head", head.layer, ("mean",))), varied=())


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_a_blurred_pool_is_timms_behind_a_maximum_at_stride_1(
    composer: VariantComposer, kernel: int
) -> None:
    typed = ["data=digits", "model.pool=blur", f"model.pool_kernel={kernel}"]
    # A map of 29 pixels for odd kernels: rounding up adds no window.
    typed += ["conv.kernel_size=2"] if kernel % 2 else []
    network = network_of(geometry_of(composer.compose(typed)))
    outputs = outputs_of(network, torch.randn(4, 1, 28, 28))
    maxima = functional.max_pool2d(outputs["relu1"], kernel, 1)
    assert torch.equal(outputs["pool1"], maxima)
    assert torch.equal(outputs["pool1.blur"], TimmBlur(stride=2)(maxima))


def test_a_blurred_pool_by_hand() -> None:
    # 5 pixels: maxima of 2 at 0 to 3, and of the last pixel only: 2, 7, 7, 4, 4. With an edge that
    # is reflected, (7 + 2 * 2 + 7) / 4, (7 + 2 * 7 + 4) / 4 and (4 + 2 * 4 + 4) / 4.
    graph = pool_graph(Pooling(square((2, 2, 0)), "blur"), ceil_mode=True)
    network = network_of(network_geometry(with_head(graph), (1, 5, 5)))
    row = torch.tensor([1.0, 2.0, 7.0, 3.0, 4.0])
    outputs = outputs_of(network, row.expand(1, 1, 5, 5))
    assert outputs["pool"][0, 0].tolist() == [[2.0, 7.0, 7.0, 4.0, 4.0]] * 5
    assert outputs["pool.blur"][0, 0].tolist() == [[4.5, 6.25, 4.0]] * 3


@pytest.mark.parametrize("kind", ["max", "blur"])
def test_the_formula_of_a_size_that_is_rounded_up(kind: Literal["max", "blur"]) -> None:
    graph = pool_graph(Pooling(square((2, 2, 0)), kind), ceil_mode=True)
    pool, *_ = network_geometry(with_head(graph), (1, 5, 5)).layers
    expected = {
        "max": "floor((5 + 0 + 1 - 2) / 2) + 1 = 3",
        "blur": "floor((5 + 0 + 1 - 2) / 1) + 1 = 5",
    }
    assert pool.size_formula == f"Height and width: {expected[kind]}."


def test_the_mean_of_a_window_is_that_of_its_pixels() -> None:
    # Padding, and what is beyond the edge where the size is rounded up, do not count.
    graph = pool_graph(Pooling(square((3, 2, 1)), "avg"), ceil_mode=True)
    network = network_of(network_geometry(with_head(graph), (1, 4, 4)))
    row = torch.tensor([1.0, 3.0, 5.0, 9.0])
    outputs = outputs_of(network, row.expand(1, 1, 4, 4))
    expected = [2.0, (3 + 5 + 9) / 3, 9.0]
    assert outputs["pool"][0, 0] == pytest.approx(torch.tensor([expected] * 3))


def test_pools_of_the_strong_recipe_and_of_a_residual_network(composer: VariantComposer) -> None:
    for typed in (["experiment=cifar10-strong"], ["model=resnet20", "model.pool_after=[1]"]):
        sizes = {}
        for kind in ("max", "avg", "blur"):
            variant = composer.compose([*typed, "data=cifar10", f"model.pool={kind}"])
            geometry = geometry_of(variant)
            images = torch.randn(2, *geometry.input_shape)
            outputs = outputs_of(network_of(geometry), images)
            sizes[kind] = geometry.final_map
            for layer in geometry.layers:
                assert outputs[layer.name].shape[1:] == layer.out_shape, layer.name
        assert len(set(sizes.values())) == 1, sizes
    names = [layer.name for layer in geometry.layers[:3]]
    assert names == ["conv1", "maxpool", "maxpool.blur"]


def test_a_blur_is_dropped_with_its_pool(composer: VariantComposer) -> None:
    variant = composer.compose(["data=digits", "model.pool=blur", "model.drop=[pool1]"])
    assert [layer.name for layer in variant.layers] == ["conv1", "conv2", "conv3"]


def test_no_pools_are_those_that_follow_no_layer(composer: VariantComposer) -> None:
    none, nowhere = (
        composer.compose(["data=digits", typed])
        for typed in ("model.pool=none", "model.pool_after=[]")
    )
    assert none.graph == nowhere.graph
    strong = composer.compose(["experiment=cifar10-strong", "model.pool=none"])
    assert all(layer.kind == "conv" for layer in strong.layers)
    assert geometry_of(strong).final_map == (31, 31)


def test_a_pool_of_one_pixel_cannot_be_blurred(composer: VariantComposer) -> None:
    variant = composer.compose(
        ["data=digits", "model.pool=blur", "conv=k7-s7-p0", "model.channels=[4]"]
    )
    # 28 -> 4 by the convolution, and a pool of 4 pixels has one window.
    small = composer.compose(
        [*variant.overrides, "model.pool_kernel=4"],
    )
    assert variant.geometry is not None
    assert str(small.impossible).startswith(
        "pool1.blur would reflect more pixels than its input has beside the edge: input 1x1,"
        " kernel_size 3, stride 2, padding 1, padding_mode reflect; conv."
    )
    assert small.impossible is not None
    assert small.impossible.fix is not None
    assert composer.compose([*small.overrides, small.impossible.fix]).geometry is not None


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ["model.pool_kernel=3", "model.pool_padding=2"],
            "pool1 would pad more than half its kernel: input 28x28, kernel_size 3, stride 2,"
            " padding 2; model.pool_padding=1 would make it possible",
        ),
        (
            ["model.pool_kernel=null", "model.pool_padding=2", "model.pool=blur"],
            "pool1 would pad more than half its kernel: input 28x28, kernel_size 2, stride 1,"
            " padding 2; model.pool_padding=1 would make it possible",
        ),
    ],
)
def test_too_much_padding_of_a_pool_is_an_impossible_variant(
    composer: VariantComposer, typed: list[str], message: str
) -> None:
    variant = composer.compose(["data=digits", *typed])
    assert str(variant.impossible) == message
    assert variant.label == "k3-s1-p1"
    assert variant.impossible is not None
    assert composer.compose([*variant.overrides, str(variant.impossible.fix)]).geometry is not None
    without_pools = composer.compose(["data=digits", *typed, "model.pool=none"])
    assert without_pools.geometry is not None


@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (0, 0, 1, 1), (3, 0, 2, 4), (0, 0, 0, 0)])
def test_a_reflected_edge_made_of_slices(sides: tuple[int, int, int, int]) -> None:
    maps = torch.randn(2, 3, 5, 6)
    expected = functional.pad(maps, sides, "reflect")
    assert torch.equal(reflected_by_slices(maps, sides), expected)


# Strides


def one_layer(spec: ConvSpec, downsample: str) -> Graph:
    graph = stack([3], [], 10)
    return Graph(graph.nodes, graph.varied, downsample=downsample).with_specs([spec])  # type: ignore[arg-type]


def test_blurred_strides_have_the_sizes_and_positions_of_strided_convolutions() -> None:
    grid = product(range(1, 6), range(1, 5), range(3), (1, 2), range(1, 15))
    refused = 0
    for kernel, stride, padding, dilation, side in grid:
        spec = ConvSpec(
            (kernel, kernel), (stride, 1), symmetric((padding, padding)), (dilation, dilation)
        )
        size = (side, max(side, 9))
        strided, blurred = (one_layer(spec, kind) for kind in ("conv", "blur"))
        before, problem = layer_shapes(strided, (1, *size))
        after, reason = layer_shapes(blurred, (1, *size))
        if problem is not None:
            assert reason is not None
            assert (reason.node.name, reason.reason) == ("conv1", problem.reason)
            continue
        if stride > 1 and after["conv1"][1] == 1:
            assert reason is not None
            assert reason.node.name == "conv1.blur"
            refused += 1
            continue
        assert after["mean"] == before["mean"]
        conv, *_, last = (network_geometry(graph, (1, *size)) for graph in (strided, blurred))
        theirs, ours = conv.layers[-1], last.layers[-1]
        assert ours.out_shape == theirs.out_shape
        assert (ours.jump, ours.start) == (theirs.jump, theirs.start)
        # The filter adds a pixel before and after along an axis that has a stride.
        assert ours.receptive_field[0] == theirs.receptive_field[0] + 2 * (stride > 1)
        assert ours.receptive_field[1] == theirs.receptive_field[1]
        assert last.params == conv.params
    assert refused > 50


def variants(composer: VariantComposer, *typed: str) -> tuple[Variant, Variant]:
    strided, blurred = (
        composer.compose([*typed, f"model.downsample={kind}"]) for kind in ("conv", "blur")
    )
    return strided, blurred


def test_a_blurred_stride_is_timms_behind_the_activation(composer: VariantComposer) -> None:
    _, variant = variants(composer, "data=digits", "conv=k5-s2-p2")
    geometry = geometry_of(variant)
    network = network_of(geometry)
    outputs = outputs_of(network, torch.randn(4, 1, 28, 28))
    for number in (1, 2, 3):
        assert torch.equal(
            outputs[f"conv{number}.blur"], TimmBlur(stride=2)(outputs[f"relu{number}"])
        )
    conv = network.features.get_submodule("conv1")
    assert isinstance(conv, nn.Conv2d)
    assert conv.stride == (1, 1)
    for layer in geometry.layers:
        assert outputs[layer.name].shape[1:] == layer.out_shape, layer.name
    assert (variant.label, geometry.variant) == ("k5-s2-p2", "k5-s2-p2")
    names = [node.name for node in geometry.graph.nodes]
    assert names[:6] == ["conv1", "norm1", "relu1", "conv1.blur", "pool1", "conv2"]


def test_a_blur_gives_the_same_in_training_in_bfloat16() -> None:
    blur = BlurPool2d(Blur((2, 2)))
    maps = torch.randn(4, 8, 14, 15).relu().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        evaluated = blur(maps)
        trained = blur(maps.requires_grad_())
    assert evaluated.dtype == trained.dtype == torch.bfloat16
    assert torch.equal(evaluated, trained)
    exact = TimmBlur(stride=2)(maps.float())
    torch.testing.assert_close(trained.float(), exact, rtol=2**-8, atol=0)
    (gradient,) = torch.autograd.grad(trained.float().sum(), maps)
    assert gradient.dtype == torch.bfloat16


@pytest.mark.parametrize("stride", [3, 4])
def test_at_larger_strides_the_edge_is_padded_by_a_pixel_too(
    composer: VariantComposer, stride: int
) -> None:
    _, variant = variants(composer, "data=digits", f"conv.stride={stride}", "model.channels=[4]")
    outputs = outputs_of(network_of(geometry_of(variant)), torch.randn(2, 1, 28, 28))
    assert torch.equal(outputs["conv1.blur"], zhang(outputs["relu1"], stride))


def test_only_an_axis_with_a_stride_is_blurred(composer: VariantComposer) -> None:
    _, variant = variants(composer, "data=digits", "conv.stride=1x2", "model.channels=[4]")
    geometry = geometry_of(variant)
    blur = geometry.layers[1]
    assert (blur.name, blur.kind, blur.out_shape) == ("conv1.blur", "blur", (4, 28, 14))
    assert (blur.conv.kernel_size, blur.conv.padding) == ((1, 3), ((0, 0), (1, 1)))
    assert blur.macs == 3 * 4 * 28 * 14
    outputs = outputs_of(network_of(geometry), torch.randn(2, 1, 28, 28))
    rows = outputs["relu1"].transpose(2, 3)
    weight = torch.tensor([[[1.0, 2.0, 1.0]]]) / 4
    padded = functional.pad(outputs["relu1"].flatten(0, 2)[:, None], (1, 1), "reflect")
    expected = functional.conv1d(padded, weight, stride=2).view(2, 4, 28, 14)
    assert rows.shape == (2, 4, 28, 28)
    torch.testing.assert_close(outputs["conv1.blur"], expected)


def test_a_varied_layer_without_a_stride_stays(composer: VariantComposer) -> None:
    strided, blurred = variants(composer, "data=digits", "conv.stride=[1,2,1]")
    names = [layer.name for layer in blurred.layers]
    assert names == ["conv1", "pool1", "conv2", "conv2.blur", "conv3"]
    none, same = variants(composer, "data=digits")
    assert geometry_of(none).graph.nodes == geometry_of(same).graph.nodes
    graph = geometry_of(blurred).graph
    specs = geometry_of(strided).graph.specs
    # A graph of one variant makes those of the others.
    assert graph.specs == specs
    assert graph.with_specs(specs) == graph
    assert graph.with_specs(geometry_of(same).graph.specs).nodes == geometry_of(none).graph.nodes
    assert geometry_of(same).graph.with_specs(specs) == graph


def test_strides_of_residual_blocks(composer: VariantComposer) -> None:
    typed = ("model=resnet20", "data=cifar10", "model.vary=all")
    strided, blurred = map(geometry_of, variants(composer, *typed))
    blurs = [layer.name for layer in blurred.layers if layer.kind == "blur"]
    assert blurs == ["layer2.0.conv1.blur", "layer3.0.conv1.blur"]
    assert blurred.final_map == strided.final_map
    # The shortcut has the stride of its own.
    shortcuts = [geometry.graph.by_name["layer2.0.shortcut"] for geometry in (strided, blurred)]
    assert shortcuts[0] == shortcuts[1]
    outputs = outputs_of(network_of(blurred), torch.randn(2, 3, 32, 32))
    relu = outputs["layer2.0.relu1"]
    assert torch.equal(outputs["layer2.0.conv1.blur"], TimmBlur(stride=2)(relu))
    # Before an addition there is no activation: the blur comes after the batch norm.
    second = geometry_of(
        composer.compose(
            [*typed[:2], "model.vary=[layer1.1.conv2]", "conv.stride=2", "model.downsample=blur"]
        )
    )
    assert second.graph.by_name["layer1.1.add"].inputs == (
        "layer1.1.conv2.blur",
        "layer1.1.shortcut",
    )
    assert second.graph.by_name["layer1.1.conv2.blur"].inputs == ("layer1.1.bn2",)
    assert network_of(second)(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_strides_of_the_strong_recipe(composer: VariantComposer) -> None:
    typed = ("experiment=cifar10-strong", "conv.stride=[2,1,1,2,1,1]")
    strided, blurred = map(geometry_of, variants(composer, *typed))
    sizes = {layer.name: layer.out_shape for layer in strided.layers}
    blurred_sizes = {layer.name: layer.out_shape for layer in blurred.layers}
    assert blurred_sizes["block1.conv1.blur"] == sizes["block1.conv1"] == (64, 16, 16)
    assert blurred_sizes["block2.conv2.blur"] == sizes["block2.conv2"]
    assert blurred.final_map == strided.final_map
    # Its batch norm comes after the pool, and the blur before it.
    inputs = {node.name: node.inputs for node in blurred.graph.nodes}
    assert inputs["block1.conv1.blur"] == ("block1.conv1",)
    assert inputs["block1.pool"] == ("block1.conv1.blur",)
    assert inputs["block2.conv2.blur"] == ("block2.gelu2",)


@pytest.mark.parametrize(
    "typed",
    [
        ("data=digits", "conv.stride=2", "model.pool=blur", "model.downsample=blur"),
        ("data=cifar10", "model.pool=blur", "model.pool_stride=3", "model.pool_kernel=3"),
        ("data=cifar10", "conv.stride=2x1", "model.downsample=blur", "conv.padding=same_tf"),
        ("data=cifar10", "model=resnet20", "model.vary=all", "model.downsample=blur"),
    ],
    ids=" ".join,
)
def test_costs_are_those_of_pytorchs_counter(
    composer: VariantComposer, typed: Sequence[str]
) -> None:
    geometry = geometry_of(composer.compose(typed))
    network = network_of(geometry)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *geometry.input_shape))
    assert 2 * geometry.macs == counter.get_total_flops()
    assert geometry.params == sum(weight.numel() for weight in network.parameters())
    blurs = [layer for layer in geometry.layers if layer.kind == "blur"]
    assert blurs
    assert all(layer.params == 0 for layer in blurs)


@pytest.mark.parametrize(
    "typed",
    [
        ["model.pool=blur"],
        ["model.pool=blur", "model.pool_kernel=3", "model.pool_stride=3"],
        ["model.pool=blur", "conv.stride=2", "model.downsample=blur"],
        ["conv.stride=3x2", "conv.kernel_size=4x3", "model.downsample=blur", "model.pool=none"],
        ["model=resnet20", "model.channels=[1,1,1]", "model.vary=all", "model.downsample=blur"],
    ],
    ids=" ".join,
)
def test_receptive_fields_are_the_pixels_with_a_gradient(
    composer: VariantComposer, monkeypatch: pytest.MonkeyPatch, typed: list[str]
) -> None:
    channels = [] if "model=resnet20" in typed else ["model.channels=[1,1]"]
    geometry = geometry_of(composer.compose(["data=cifar10", *channels, *typed]))

    def mean(maps: Tensor, kernel: int, stride: int, **_: object) -> Tensor:
        """Pool so that no pixel of a window is without a gradient; -inf is what is padded."""
        return functional.avg_pool2d(maps.clamp(min=0), kernel, stride)

    monkeypatch.setattr(functional, "max_pool2d", mean)
    network = network_of(geometry).double()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    images = torch.ones(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    outputs = outputs_of(network, images)
    for layer in geometry.layers:
        maps = outputs[layer.name]
        _, height, width = layer.out_shape
        for unit in {(0, 0), (height // 2, width // 2), (height - 1, width - 1)}:
            (gradient,) = torch.autograd.grad(
                maps[0, 0, unit[0], unit[1]], images, retain_graph=True
            )
            touched = gradient[0].abs().sum(0) > 0
            for axis in (0, 1):
                pixels = touched.any(dim=1 - axis).nonzero().flatten().tolist()
                assert tuple(pixels) == receptive_pixels(geometry, layer.name, unit[axis], axis)


def test_a_run_with_blurs(tmp_path: Path) -> None:
    record = train(
        "data=digits", "model.channels=[4,8]", "conv.stride=[2,1]", "model.pool=blur",
        "model.downsample=blur", "trainer.max_steps=2", "trainer.max_epochs=null",
        "trainer.accelerator=cpu", "trainer.precision=32-true", f"output_dir={tmp_path}",
        "trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert record.status == "finished", record.reason
    kinds = {layer["name"]: layer["kind"] for layer in record.geometry}
    assert kinds == {
        **{"conv1": "conv", "conv1.blur": "blur", "pool1": "pool", "pool1.blur": "blur"},
        "conv2": "conv",
    }
    assert record.variant == "k3-s2.1-p1"
    assert record.name.startswith("digits-k3-s2.1-p1-channels4-8-pool_blur-downsample_blur-")
    run = tmp_path / "default" / record.name
    table, unreadable = Reader([run]).read()
    assert unreadable == []
    (row,) = table.to_dict("records")
    assert (row["model.pool"], row["model.downsample"], row["stride"]) == ("blur", "blur", 2)
    loaded, before = load(run), torch.get_rng_state()
    again = load(run)
    assert torch.equal(torch.get_rng_state(), before), "another number of random draws"
    ours = network_of(loaded.geometry)
    ours.load_state_dict(loaded.network.state_dict())
    images = torch.randint(256, (5, 28, 28, 1), dtype=torch.uint8)
    expected = ours(loaded.preprocess(images)).softmax(1)
    assert torch.equal(loaded.scores(images), expected)
    assert torch.equal(again.scores(images), expected)
    composed = VariantComposer().compose(
        [f"experiment={run}", "conv.stride=[2,1]"],
    )
    assert composed.config.model.pool == composed.config.model.downsample == "blur"


def test_foreign_networks_cannot_have_blurred_strides(composer: VariantComposer) -> None:
    with pytest.raises(UserError) as refused:
        composer.compose(["model=resnet18", "data=cifar10", "model.downsample=blur"])
    assert str(refused.value) == (
        "model.downsample must be conv with model.network=torchvision, in which no blur can be"
        " placed, got blur"
    )


def test_a_name_for_the_network(composer: VariantComposer) -> None:
    typed = ["data=digits", "conv.stride=2", "model.pool=avg", "model.downsample=blur"]
    assert composer.compose(typed).title == (
        "digits 1x28x28, channels 16-32-64, pool avg, downsample blur: k3-s2-p1"
    )


def test_an_image_may_be_pooled_first() -> None:
    assert pool_graph(Pooling(), ceil_mode=False).nodes[0].inputs == (IMAGE,)
