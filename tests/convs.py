"""Convolutions as tests type them."""

from convscope import geometry
from convscope.geometry import ConvSpec


def parse_conv(
    kernel_size: object, stride: object, padding: object, layers: int
) -> tuple[ConvSpec, ...]:
    """Of these three, what `geometry.parse_conv` makes; the other arguments have their default."""
    typed = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    return geometry.parse_conv(typed, layers)
