"""Equivariance: whether a layer's map moves with the image, in its interior and at its border."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from convscope.diagnostics.subject import Measured, Subject, finite
from convscope.geometry import LayerGeometry

_IMAGES = 64
_ONE_PIXEL, _TOTAL_STRIDE, _INTERIOR, _MAP = range(4)
"""Columns of the sums of squares per layer: of the differences for a shift by one pixel, by the
total stride, and by one pixel in the interior; of the map itself."""


def equivariance(subject: Subject) -> Measured:
    """Compare the maps of shifted images with the shifted maps, for each conv, pool and blur layer.

    The error of a layer F at a shift S by d pixels is rms(F(S_d x) - S_{d/t} F(x)) / rms(F(x)),
    where t is the layer's total stride and rms the root mean square over images, channels, units
    and both axes. The definition is ConvScope's, after section 3 of Zhang, "Making Convolutional
    Networks Shift-Invariant Again" (2019), where both sides of the equation F(S x) = S F(x) are
    compared.

    - Images move down, and right, circularly: no content is lost, and no fill value is needed.
      All units but the first along the axis are compared, as both maps have them. The error of a
      network with circular padding and without stride is exactly 0.
    - A map is shifted by part of a unit by linear interpolation between the map and the map shifted
      by one unit. Interpolation of more than two units, or by the Fourier transform, would carry
      the border's error into the interior. A map that oscillates from unit to unit, as aliasing
      makes it, is never close to its interpolation.
    - d = t shifts the map by one unit: `padding_error`. Units whose receptive field lies on the
      image before and after, without pixels that wrap around, are computed from the same pixels:
      their error is 0 up to rounding. So only the border causes this error.
    - d = 1: `equivariance_error`. The same in the interior units only, where no border takes part,
      is `interior_error`: the part of aliasing. At total stride 1 it is 0, and the other two errors
      are equal.

    The values are those of the last of these layers before the head. The arrays have all layers
    that have a total stride: `equivariance_layers` (layers,) names, `equivariance_error`,
    `padding_error`, `interior_error` (layers,). An error is NaN, and a value left out, where it is
    undefined: a map of one unit along both axes, no interior unit, an image no longer than the
    total stride, a map of zeros, weights that are not finite. Layers whose units are computed from
    the whole image have no total stride, and a network in which a layer mixes all positions has no
    values. Normalisations by statistics of the whole map, such as GroupNorm, are not exact in the
    interior either.
    """
    geometry = subject.geometry
    layers = [layer for layer in geometry.layers if 0 not in layer.jump]
    if not layers:
        return Measured()
    sums, counts = np.zeros((2, len(layers), 4))

    def add(index: int, kind: int, maps: Tensor) -> None:
        # Float64 only on the CPU: not every device has it.
        sums[index, kind] += maps.square().flatten(1).sum(1).cpu().double().sum()
        counts[index, kind] += maps.numel()

    names = [layer.name for layer in layers]
    for images in torch.split(subject.images[subject.sample(_IMAGES)], subject.batch_size):
        still = subject.layer_outputs(names, images)
        for index, name in enumerate(names):
            add(index, _MAP, still[name])
        for axis, side in enumerate(images.shape[2:]):
            for shift in sorted({1} | {layer.jump[axis] for layer in layers}):
                chosen = [
                    (index, layer)
                    for index, layer in enumerate(layers)
                    if shift in (1, layer.jump[axis]) and layer.jump[axis] < side
                ]
                if not chosen:
                    continue
                moved = subject.layer_outputs(
                    [layer.name for _, layer in chosen], images.roll(shift, 2 + axis)
                )
                for index, layer in chosen:
                    name, jump = layer.name, layer.jump[axis]
                    difference = _difference(still[name], moved[name], axis, shift / jump)
                    if shift == jump:
                        add(index, _TOTAL_STRIDE, difference)
                    if shift == 1:
                        add(index, _ONE_PIXEL, difference)
                        add(index, _INTERIOR, difference[interior(layer, axis, side)])

    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / counts
        errors = np.sqrt(means[:, :_MAP] / means[:, _MAP:])
    arrays = {
        "equivariance_layers": np.array(names),
        "equivariance_error": errors[:, _ONE_PIXEL],
        "padding_error": errors[:, _TOTAL_STRIDE],
        "interior_error": errors[:, _INTERIOR],
    }
    last, keys = _last(subject), ("equivariance_error", "padding_error")
    if geometry.first_mixing is not None or last not in names:
        return Measured({}, arrays)
    return Measured(finite({key: arrays[key][names.index(last)] for key in keys}), arrays)


def _difference(still: Tensor, moved: Tensor, axis: int, part: float) -> Tensor:
    """Return the map of a shifted image minus the map of the image, shifted by part of a unit.

    Args:
        still: map of the image (batch, channels, height, width).
        moved: map of the shifted image.
        axis: 0 for a shift down, 1 for one to the right.
        part: 0 to 1.

    Returns:
        All units but the first along the axis, which comes first: (units - 1, batch, channels, …).
    """
    units, moved = still.movedim(2 + axis, 0), moved.movedim(2 + axis, 0)
    return moved[1:] - units[1:].lerp(units[:-1], part)


def interior(layer: LayerGeometry, axis: int, side: int) -> slice:
    """Return the units in a difference whose receptive fields lie on the image in both maps.

    Unit n of the difference is unit n + 1 of the maps, and is compared with units n and n + 1.

    Args:
        layer: whose map it is.
        axis: along which the image moves.
        side: pixels of the image along the axis.
    """
    size, jump = layer.receptive_field[axis], layer.jump[axis]
    first = math.floor(layer.start[axis] - (size - 1) / 2)
    from_unit = max(0, -(first // jump))
    return slice(from_unit, max(from_unit, (side - first - size) // jump))


def _last(subject: Subject) -> str:
    """Return the name of the last conv, pool or blur layer up to the final map."""
    geometry = subject.geometry
    order = [node.name for node in geometry.graph.nodes]
    end = order.index(geometry.final)
    before = [layer.name for layer in geometry.layers if order.index(layer.name) <= end]
    return before[-1] if before else ""
