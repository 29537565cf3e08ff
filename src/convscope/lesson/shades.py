"""What becomes of each pixel of a layer's padded input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convscope.geometry import LayerGeometry

READ, PADDING, SKIPPED, UNREAD, UNREAD_PADDING = range(5)
"""Input in a window; padding; input between windows; the unused border: input, padding."""


def shades(layer: LayerGeometry) -> NDArray[np.int_]:
    """READ, PADDING, SKIPPED, UNREAD or UNREAD_PADDING per pixel, (height, width)."""
    inside_rows, read_rows, beyond_rows = _axis(layer, 0)
    inside_columns, read_columns, beyond_columns = _axis(layer, 1)
    inside = np.logical_and.outer(inside_rows, inside_columns)
    read = np.logical_and.outer(read_rows, read_columns)
    beyond = np.logical_or.outer(beyond_rows, beyond_columns)
    reached = np.where(inside, np.where(read, READ, SKIPPED), PADDING)
    return np.where(beyond, np.where(inside, UNREAD, UNREAD_PADDING), reached)


def _axis(
    layer: LayerGeometry, axis: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Per pixel of an axis: part of the input, read by a window, beyond the last window."""
    window, pixels, outputs = layer.conv.axis(axis), layer.size[axis], layer.out_shape[1 + axis]
    position = np.arange(-window.before, pixels + window.after)
    inside = (position >= 0) & (position < pixels)
    beyond = position >= window.window(outputs - 1).stop
    read = np.isin(position, [at for output in range(outputs) for at in window.window(output)])
    return inside, read, beyond
