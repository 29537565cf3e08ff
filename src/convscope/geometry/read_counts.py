"""How often each pixel is read: by the windows of a layer, and along all paths of a network.

Python integers, exact however deep the network is. Both are gradients: of the sum of a layer's
outputs with respect to its input, and of the sum of the final map with respect to the image, if all
weights are 1, pools are sums, and activations and normalisations pass values on. A blur has its
fixed weights 1, 2, 1, which even out the overlap of its windows at stride 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import add

from convscope.geometry.conv import ConvAxis, Pair
from convscope.geometry.layers import IMAGE, AdaptivePool, Layer, WholeImage, Window
from convscope.geometry.network import NetworkGeometry

Counts = Sequence[Sequence[int]]
"""A number per pixel, row by row."""


def read_counts(layer: Window, size: Pair, outputs: Pair) -> tuple[list[int], list[int]]:
    """Return how often a layer's windows read each row and each column of its input.

    A pixel is read as often as its row times its column. Padding that repeats pixels reads them
    again; zeros are no pixels.

    Args:
        layer: the layer.
        size: (height, width) of its input.
        outputs: (height, width) of its output.
    """
    rows, columns = (
        Counter(
            pixel
            for unit in range(outputs[axis])
            for pixel in layer.reads(axis, (unit,), size[axis])
        )
        for axis in (0, 1)
    )
    return [rows[pixel] for pixel in range(size[0])], [columns[pixel] for pixel in range(size[1])]


def interior_counts(axis: ConvAxis, pixels: int, outputs: int) -> set[int]:
    """Return how often an axis's interior pixels are read: those that no further window would read.

    Args:
        axis: the windows along the axis.
        pixels: of the input along it.
        outputs: of the output along it.
    """
    first = axis.extent - axis.stride - axis.before
    end = outputs * axis.stride - axis.before
    weights = Counter(position % axis.stride for position in axis.window(0))
    return {weights[pixel % axis.stride] for pixel in range(max(0, first), min(pixels, end))}


def path_counts(geometry: NetworkGeometry) -> list[list[int]] | None:
    """Return the number of paths from each image pixel to all units of the final map, row by row.

    A path takes one position of a window in each layer; branches add up. Channels are not counted:
    each layer has one. None where a layer before the final map mixes all positions.
    """
    height, width = geometry.final_map
    counts: dict[str, Counts] = {geometry.final: [[1] * width for _ in range(height)]}
    for node in reversed(geometry.graph.nodes):
        if (of_units := counts.pop(node.name, None)) is None:
            continue
        if isinstance(node.layer, WholeImage) and not isinstance(node.layer, AdaptivePool):
            return None
        for source in node.inputs:
            _, height, width = geometry.shapes[source]
            by_columns = _transposed(_along(node.layer, 0, of_units, height))
            found = _transposed(_along(node.layer, 1, by_columns, width))
            if (others := counts.get(source)) is not None:
                found = [list(map(add, *rows)) for rows in zip(found, others, strict=True)]
            counts[source] = found
    return [list(row) for row in counts[IMAGE]]


def _along(layer: Layer, axis: int, of_units: Counts, pixels: int) -> Counts:
    """Return the sum, per pixel along an axis, of the counts of the units that read it.

    Args:
        layer: the layer.
        axis: 0 for height, 1 for width.
        of_units: a row of counts for each unit along the axis.
        pixels: of the layer's input along the axis.
    """
    found: list[list[int]] = [[0] * len(of_units[0])] * pixels
    for unit, row in enumerate(of_units):
        for pixel in layer.reads(axis, (unit,), pixels):
            found[pixel] = list(map(add, found[pixel], row))
    return found


def _transposed(rows: Counts) -> Counts:
    return list(zip(*rows, strict=True))
