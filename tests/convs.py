"""Convolutions and stacks as tests type them."""

from collections.abc import Collection, Mapping, Sequence

from convscope import geometry
from convscope.geometry import ConvSpec, Graph, NetworkGeometry, Pair, Shape
from convscope.networks import own_graph
from convscope.networks.stack import stack


def parse_conv(
    kernel_size: object, stride: object, padding: object, layers: int, **others: object
) -> tuple[ConvSpec, ...]:
    """What `parse_typed` makes of these; what is not given has its default."""
    typed = {"kernel_size": kernel_size, "stride": stride, "padding": padding} | others
    return parse_typed(typed, layers)


def parse_typed(
    typed: Mapping[str, object],
    layers: int,
    input_size: Pair = (1, 1),
    pool_after: Collection[int] = (),
) -> tuple[ConvSpec, ...]:
    """What `geometry.parse_conv` makes of typed values for a stack."""
    return geometry.parse_conv(typed, stack([1] * layers, pool_after, 10), (1, *input_size))


def stack_graph(
    convs: Sequence[ConvSpec], channels: Sequence[int], pool_after: Collection[int], classes: int
) -> Graph:
    return stack(channels, pool_after, classes).with_specs(convs)


def stack_geometry(
    input_shape: Shape,
    convs: Sequence[ConvSpec],
    channels: Sequence[int],
    pool_after: Collection[int],
    classes: int,
) -> NetworkGeometry:
    """The geometry of a stack with these convolutions."""
    return geometry.network_geometry(stack_graph(convs, channels, pool_after, classes), input_shape)


def resnet20_graph(
    channels: Sequence[int] = (16, 32, 64), vary: str | Sequence[str] = "stem"
) -> Graph:
    """ResNet-20 of ten classes, with its own arguments."""
    model = {"network": "resnet20", "channels": channels, "pool_after": [], "vary": vary}
    return own_graph(model, 10)
