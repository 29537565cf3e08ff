"""Read counts worked out by hand, and equal to gradients of networks whose weights are all 1."""

from collections.abc import Callable

import pytest
import torch
import torchvision
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional

from convscope.geometry import (
    ConvSpec,
    Graph,
    NetworkGeometry,
    network_geometry,
    path_counts,
    read_counts,
)
from convscope.geometry.factors import symmetric
from convscope.geometry.graph import Node
from convscope.geometry.layers import (
    IMAGE,
    AdaptivePool,
    Blur,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Linear,
    Merge,
    Pad,
    Pool,
    Shortcut,
    Slice,
    Window,
)
from convscope.modules import build_network, layer_module
from convscope.modules.graph_net import BlurPool2d
from convscope.variant import VariantComposer

from ..convs import parse_conv, resnet20_graph, stack_geometry
from .typed_convs import Typed, geometry, possible, repeatable, typed_convs


def by_hand(
    kernel: object, stride: object, padding: object, size: int, **others: object
) -> list[int]:
    """The counts of each row; those of the columns are equal."""
    (conv,) = parse_conv(kernel, stride, padding, 1, **others)
    rows, columns = read_counts(Conv(1, conv), (size, size), conv.output_size((size, size)))
    assert rows == columns
    return rows


def test_half_padding_reads_a_corner_4_times_and_the_centre_9_times() -> None:
    """Not equally often, as is said of padding in general (Zhang et al., d2l.ai, 7.3)."""
    assert by_hand(3, 1, 1, 5) == [2, 3, 3, 3, 2]


def test_full_padding_at_stride_1_reads_all_pixels_equally_often() -> None:
    for kernel in (1, 2, 3, 5):
        assert by_hand(kernel, 1, "full", 7) == [kernel] * 7


def test_a_3x3_kernel_at_stride_2_reads_pixels_once_twice_or_four_times() -> None:
    # Windows on -1 to 1, 1 to 3, 3 to 5, 5 to 7: they overlap in a pixel, k - s.
    rows = by_hand(3, 2, 1, 7)
    assert rows == [1, 2, 1, 2, 1, 2, 1]
    assert {row * column for row in rows for column in rows} == {1, 2, 4}


def test_a_1x1_kernel_at_stride_2_reads_a_quarter_of_the_pixels() -> None:
    rows = by_hand(1, 2, 0, 8)
    assert rows == [1, 0] * 4
    assert sum(rows) ** 2 == 64 / 4


def test_padding_that_repeats_pixels_reads_them_again() -> None:
    # Windows at -1, 0, ..., 4 of 5 pixels. Position -1 is pixel 1, pixel 0, or pixel 4.
    assert by_hand(3, 1, 1, 5, padding_mode="reflect") == [2, 4, 3, 4, 2]
    assert by_hand(3, 1, 1, 5, padding_mode="replicate") == [3, 3, 3, 3, 3]
    assert by_hand(3, 1, 1, 5, padding_mode="circular") == [3, 3, 3, 3, 3]


def test_dilation_and_uneven_padding() -> None:
    # Windows 0 2 4, 1 3 5, 2 4 6 of 7 pixels.
    assert by_hand(3, 1, 0, 7, dilation=2) == [1, 1, 2, 1, 2, 1, 1]
    # Windows 0 to 1, 2 to 3, 4 to 5, the last with a padding pixel.
    assert by_hand(2, 2, "0+1", 5) == [1] * 5


def test_a_pool_that_is_rounded_up_reads_the_last_pixel() -> None:
    pool = Pool(ConvSpec((2, 2), (2, 2), symmetric((0, 0))), ceil_mode=True)
    assert read_counts(pool, (5, 5), (3, 3)) == ([1] * 5, [1] * 5)


def test_the_weights_of_a_blur_make_up_for_uneven_overlap() -> None:
    # Windows at -1 (pixel 1, reflected) to 1, 1 to 3, 3 to 5 of 6 pixels, with the weights 1 2 1.
    assert read_counts(Blur((2, 1)), (6, 2), (3, 2)) == ([2, 3, 2, 2, 2, 1], [1, 1])


def test_two_layers_by_hand() -> None:
    """The paths through k3 s2 p1 twice, on 13, 7 and 4 pixels."""
    geometry = stack_geometry((1, 13, 13), parse_conv(3, 2, 1, 2), (1, 1), (), 10)
    paths = path_counts(geometry)
    assert paths is not None
    # conv2 reads 1 2 1 2 1 2 1; an odd pixel of the image is in two windows of conv1.
    rows = [1, 3, 2, 3, 1, 3, 2, 3, 1, 3, 2, 3, 1]
    assert paths == [[row * column for column in rows] for row in rows]


def test_no_paths_through_a_layer_that_mixes_all_positions() -> None:
    """The gate of squeeze-excitation: each unit depends on the whole map."""
    conv = Conv(1, ConvSpec((3, 3), (1, 1), symmetric((1, 1))))
    nodes = (
        Node("conv1", conv, (IMAGE,)),
        Node("mean", GlobalPool(), ("conv1",)),
        Node("gate", Merge("multiply"), ("conv1", "mean")),
        Node("pool", GlobalPool(), ("gate",)),
        Node("head", Linear(10), ("pool",)),
    )
    assert path_counts(network_geometry(Graph(nodes, ("conv1",)), (1, 5, 5))) is None


def gradient(network: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> list[list[int]]:
    """The gradient of the sum of the first channel, with respect to the image's first channel."""
    image = torch.ones(1, *shape, dtype=torch.double, requires_grad=True)
    network(image)[0, 0].sum().backward()
    assert image.grad is not None
    assert image.grad.max() < 2**53, "a double has no exact integer of this size"
    return image.grad[0, 0].long().tolist()


def sum_pool(pool: nn.MaxPool2d) -> nn.AvgPool2d:
    shape = pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode
    return nn.AvgPool2d(*shape, divisor_override=1)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(repeatable, max_examples=400)
@given(typed_convs(image=(1, 32)).filter(possible))
def test_counts_of_stacks_equal_gradients(typed: Typed) -> None:
    network = geometry(typed)
    layers: list[nn.Module] = []
    for index in range(len(typed.kernels)):
        layers.append(typed.conv2d(index))
        if index + 1 in typed.pool_after:
            layers.append(sum_pool(nn.MaxPool2d(2, ceil_mode=True)))
    for module in layers:
        for weight in module.double().parameters():
            nn.init.ones_(weight)
    assert path_counts(network) == gradient(nn.Sequential(*layers), network.input_shape)
    for module, layer in zip(layers, network.layers, strict=True):
        window = network.graph.by_name[layer.name].layer
        assert isinstance(window, Window)
        rows, columns = read_counts(window, layer.size, layer.out_shape[1:])
        assert [[row * column for column in columns] for row in rows] == gradient(
            module, layer.in_shape
        )


def summing(network: nn.Module) -> nn.Module:
    """Make a network add up what it reads: weights 1, in the channels' mean; pools are sums.

    A blur has the integers 1, 2, 1 along both axes.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # 1 for the image, so that each of its channels counts once; a power of 2 for others.
            channels = module.weight.shape[1]
            nn.init.constant_(module.weight, 1 if channels == 3 else 1 / channels)
        if isinstance(module, nn.BatchNorm2d):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
        if isinstance(module, nn.MaxPool2d):
            module.forward = sum_pool(module).forward  # type: ignore[method-assign]
        if isinstance(module, BlurPool2d):
            module.filter *= 16
    return network.double()


def test_torchvision_s_resnet18() -> None:
    variant = VariantComposer().compose(["model=resnet18", "data=cifar10", "conv.stride=1"])
    assert variant.geometry is not None
    theirs = torchvision.models.resnet18()
    theirs.conv1.stride = (1, 1)
    network = summing(theirs)
    body = nn.Sequential(*list(network.children())[:-2])
    assert path_counts(variant.geometry) == gradient(body, (3, 32, 32))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2), (2, 3)])
def test_resnet20(kernel: int, stride: int) -> None:
    """On 9x11 pixels, because the paths on larger images exceed a double's integers."""
    graph = resnet20_graph(channels=(1, 1, 1))
    graph = graph.with_specs([ConvSpec((kernel, kernel), (stride, stride), symmetric((1, 1)))])
    ours = network_geometry(graph, (3, 9, 11))
    assert path_counts(ours) == gradient(final_map(ours), (3, 9, 11))


def test_blurs_in_place_of_strides() -> None:
    typed = ["data=digits", "conv.stride=2", "model.downsample=blur", "model.channels=[1,1]"]
    variant = VariantComposer().compose([*typed, "model.pool_after=[]"])
    assert variant.geometry is not None
    assert [layer.kind for layer in variant.geometry.layers] == ["conv", "blur"] * 2
    assert path_counts(variant.geometry) == gradient(final_map(variant.geometry), (1, 28, 28))


def final_map(ours: NetworkGeometry) -> Callable[[Tensor], Tensor]:
    """The network of a geometry, summing, as a function that returns the final map."""
    network = summing(build_network(ours))

    def maps(image: Tensor) -> Tensor:
        found: list[Tensor] = []
        last = layer_module(network, ours.final)
        handle = last.register_forward_hook(lambda module, inputs, output: found.append(output))
        network(image)
        handle.remove()
        return found[0]

    return maps


def test_branches_of_every_kind_of_layer() -> None:
    """Uneven and negative padding, slices, shortcuts, a concatenation, broadcasting, sums."""
    conv = Conv(1, ConvSpec((3, 2), (2, 2), ((1, 0), (0, 1)), (1, 2), "reflect"))
    plain = Conv(1, ConvSpec((3, 3), (1, 1), symmetric((1, 1))))
    pool = Pool(ConvSpec((3, 3), (2, 2), symmetric((1, 1))), ceil_mode=True)
    nodes = (
        Node("pad", Pad(((1, 2), (3, -1))), (IMAGE,)),
        Node("conv1", conv, ("pad",)),
        Node("slice", Slice(((0, -1), (-1, 0)), (2, 2)), ("pad",)),
        Node("concat", Concat(), ("conv1", "slice")),
        Node("conv2", plain, ("concat",)),
        Node("short", Shortcut(1, (2, 2)), ("conv2",)),
        Node("pool", pool, ("conv2",)),
        Node("add", Merge(), ("short", "pool", "pool")),
        Node("adaptive", AdaptivePool((3, 2)), ("add",)),
        Node("flat", Flatten(), ("adaptive",)),
        Node("head", Linear(10), ("flat",)),
    )
    ours = network_geometry(Graph(nodes, ("conv1",)), (1, 11, 13))
    assert ours.final == "adaptive"

    def network(image: Tensor) -> Tensor:
        padded = functional.pad(image, (3, -1, 1, 2))
        ones = torch.ones(1, 1, 3, 2, dtype=torch.double)
        conv1 = functional.conv2d(
            functional.pad(padded, (0, 1, 1, 0), "reflect"), ones, stride=2, dilation=(1, 2)
        )
        joined = torch.cat([conv1, padded[..., :-1:2, 1::2]], dim=1)
        ones = torch.ones(1, 2, 3, 3, dtype=torch.double)
        conv2 = functional.conv2d(joined, ones, padding=1)
        pooled = sum_pool(nn.MaxPool2d(3, 2, 1, ceil_mode=True))(conv2)
        added = conv2[..., ::2, ::2] + 2 * pooled
        height, width = added.shape[2:]
        return torch.stack(
            [
                added[..., height * i // 3 : -(-height * (i + 1) // 3), :][
                    ..., width * j // 2 : -(-width * (j + 1) // 2)
                ].sum((2, 3))
                for i in range(3)
                for j in range(2)
            ],
            dim=2,
        )

    assert path_counts(ours) == gradient(network, (1, 11, 13))


def test_numbers_of_a_deep_network_are_exact() -> None:
    """3 positions per axis and layer at the centre: 9 to the power of 60."""
    layers = 60
    geometry = stack_geometry(
        (1, 241, 1), parse_conv("3x1", 1, "1x0", layers), [1] * layers, (), 10
    )
    paths = path_counts(geometry)
    assert paths is not None
    assert paths[120] == [3**layers]
