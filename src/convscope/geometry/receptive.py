"""The image pixels in the receptive field of a unit, traced one by one."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.geometry.network import LayerGeometry


def receptive_pixels(layers: Sequence[LayerGeometry], unit: int, axis: int) -> tuple[int, ...]:
    """Return the image pixels that a unit of the last layer is computed from, ascending.

    The pixels are traced back layer by layer, so padding between the layers and pixels skipped by
    strides above the kernel size are not included.

    Args:
        layers: the layers from the first to the one of the unit.
        unit: index of the unit along the axis, from 0.
        axis: 0 for height, 1 for width.

    Raises:
        IndexError: the last layer has no such unit.
    """
    if not 0 <= unit < layers[-1].out_shape[1 + axis]:
        raise IndexError(f"{layers[-1].name} has no unit {unit} along axis {axis}")
    units = {unit}
    for layer in reversed(layers):
        window, size = layer.conv.axis(axis), layer.size[axis]
        units = {pixel for output in units for pixel in window.pixels(output, size)}
    return tuple(sorted(units))


def receptive_interval(
    layers: Sequence[LayerGeometry], unit: int, axis: int
) -> tuple[int, int] | None:
    """Return first and last of `receptive_pixels`; None for a unit computed from padding only."""
    pixels = receptive_pixels(layers, unit, axis)
    return (pixels[0], pixels[-1]) if pixels else None


def largest_receptive_field(layers: Sequence[LayerGeometry], axis: int) -> int:
    """Return the number of image pixels along one axis in the largest receptive field of a unit."""
    units, image = layers[-1].out_shape[1 + axis], layers[0].size[axis]
    bound = min(layers[-1].receptive_field[axis], image)
    most = 0
    # From the middle outwards, because the image's edge cuts the field least in the middle.
    for unit in sorted(range(units), key=lambda unit: abs(2 * unit - units + 1)):
        most = max(most, len(receptive_pixels(layers, unit, axis)))
        if most == bound:
            break
    return most
