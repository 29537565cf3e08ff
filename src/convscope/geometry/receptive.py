"""The image pixels in the receptive field of a unit, traced one by one."""

from __future__ import annotations

from convscope.geometry.layers import IMAGE
from convscope.geometry.network import NetworkGeometry


def receptive_pixels(geometry: NetworkGeometry, name: str, unit: int, axis: int) -> tuple[int, ...]:
    """Return the image pixels that a unit of a layer is computed from, ascending.

    The pixels are traced back layer by layer, so padding between the layers and pixels skipped by
    strides above the kernel size are not included. Empty for a unit computed from padding only.

    Args:
        geometry: the network.
        name: the layer.
        unit: index of the unit along the axis, from 0.
        axis: 0 for height, 1 for width.

    Raises:
        IndexError: the layer has no such unit.
    """
    if not 0 <= unit < geometry.shapes[name][1 + axis]:
        raise IndexError(f"{name} has no unit {unit} along axis {axis}")
    read: dict[str, set[int]] = {name: {unit}}
    for node in reversed(geometry.graph.nodes):
        if units := read.pop(node.name, None):
            for source in node.inputs:
                pixels = geometry.shapes[source][1 + axis]
                read.setdefault(source, set()).update(node.layer.reads(axis, units, pixels))
    return tuple(sorted(read.get(IMAGE, ())))


def central_field(geometry: NetworkGeometry) -> tuple[range, range]:
    """Return the image's rows and columns in the receptive field of the final map's central unit.

    The central unit is (height // 2, width // 2). All rows and columns where each unit is computed
    from the whole image.
    """
    _, height, width = geometry.input_shape
    if geometry.final_fields is None:
        return range(height), range(width)
    rows, columns = (
        range(
            max(0, field.first + units // 2 * field.jump),
            min(pixels, field.last + units // 2 * field.jump + 1),
        )
        for field, units, pixels in zip(
            geometry.final_fields, geometry.final_map, (height, width), strict=True
        )
    )
    return rows, columns


def largest_receptive_field(geometry: NetworkGeometry, axis: int) -> int:
    """Return the number of image pixels along one axis in the largest field of the final map."""
    name, image = geometry.final, geometry.input_shape[1 + axis]
    units = geometry.final_map[axis]
    bound = min(geometry.receptive_field[axis], image)
    most = 0
    # From the middle outwards, because the image's edge cuts the field least in the middle.
    for unit in sorted(range(units), key=lambda unit: abs(2 * unit - units + 1)):
        most = max(most, len(receptive_pixels(geometry, name, unit, axis)))
        if most == bound:
            break
    return most
