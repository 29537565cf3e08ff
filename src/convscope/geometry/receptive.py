"""Image pixels in the receptive field of a unit, counted one by one."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.geometry.network import LayerGeometry


def receptive_pixels(layers: Sequence[LayerGeometry], unit: int, axis: int) -> tuple[int, ...]:
    """Return the image pixels that output `unit` of the last layer is computed from, ascending.

    Traced back layer by layer along one axis (0 height, 1 width), so that padding between the
    layers and pixels skipped at strides above the kernel size do not count.

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
    """First and last of `receptive_pixels`; None for a unit computed from padding only."""
    pixels = receptive_pixels(layers, unit, axis)
    return (pixels[0], pixels[-1]) if pixels else None


def largest_receptive_field(layers: Sequence[LayerGeometry], axis: int) -> int:
    """Return the most image pixels, along one axis, in the receptive field of any unit."""
    units, image = layers[-1].out_shape[1 + axis], layers[0].size[axis]
    bound = min(layers[-1].receptive_field[axis], image)
    most = 0
    # From the middle outwards: there the field is least cut by the image's edge.
    for unit in sorted(range(units), key=lambda unit: abs(2 * unit - units + 1)):
        most = max(most, len(receptive_pixels(layers, unit, axis)))
        if most == bound:
            break
    return most
