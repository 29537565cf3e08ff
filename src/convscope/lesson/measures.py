"""Counts that the rules need and a layer's record does not hold."""

from collections.abc import Sequence

from convscope.geometry import LayerGeometry, seen_pixels


def read_pixels(layer: LayerGeometry, axis: int) -> int:
    """Input pixels of an axis that some window reads."""
    return layer.in_shape[1 + axis] - layer.skipped[axis] - layer.unused_border[axis].image


def windows_on_input(layer: LayerGeometry, axis: int) -> int:
    """Windows of an axis that cover at least one input pixel."""
    window, size = layer.conv.axis(axis), layer.in_shape[1 + axis]
    return sum(bool(window.pixels(output, size)) for output in range(layer.out_shape[1 + axis]))


def most_seen(layers: Sequence[LayerGeometry], axis: int) -> int:
    """Image pixels that the unit which sees most of them sees, along one axis."""
    units, image = layers[-1].out_shape[1 + axis], layers[0].in_shape[1 + axis]
    bound = min(layers[-1].receptive_field[axis], image)
    most = 0
    for unit in sorted(range(units), key=lambda unit: abs(2 * unit - units + 1)):
        most = max(most, len(seen_pixels(layers, unit, axis)))
        if most == bound:
            break
    return most
