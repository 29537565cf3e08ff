"""Which image pixels one unit reads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.geometry.network import LayerGeometry


def seen_pixels(layers: "Sequence[LayerGeometry]", unit: int, axis: int) -> tuple[int, ...]:
    """Image pixels that reach output `unit` of the last of `layers`, ascending, along one axis.

    Traced back layer by layer, so that padding between the layers and pixels skipped at strides
    above the kernel size do not count. Axis 0 is height, 1 is width.

    Raises:
        IndexError: the last layer has no such unit.
    """
    if not 0 <= unit < layers[-1].out_shape[1 + axis]:
        raise IndexError(f"{layers[-1].name} has no unit {unit} along axis {axis}")
    units = {unit}
    for layer in reversed(layers):
        window, size = layer.conv.axis(axis), layer.in_shape[1 + axis]
        units = {pixel for output in units for pixel in window.pixels(output, size)}
    return tuple(sorted(units))


def receptive_interval(
    layers: "Sequence[LayerGeometry]", unit: int, axis: int
) -> tuple[int, int] | None:
    """First and last of `seen_pixels`; None for a unit that sees nothing but padding."""
    seen = seen_pixels(layers, unit, axis)
    return (seen[0], seen[-1]) if seen else None
