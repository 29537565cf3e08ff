"""Convolutions as tests type them."""

from convscope import geometry
from convscope.geometry import ConvSpec


def parse_conv(
    kernel_size: object, stride: object, padding: object, layers: int, **others: object
) -> tuple[ConvSpec, ...]:
    """What `geometry.parse_conv` makes of these; what is not given has its default."""
    typed = {"kernel_size": kernel_size, "stride": stride, "padding": padding} | others
    return geometry.parse_conv(typed, layers)
