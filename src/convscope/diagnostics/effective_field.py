"""The effective receptive field: how much each pixel contributes to the last map's central unit.

W. Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks"
(2016); the contributions and the squares are those of X. Ding et al., "Scaling Up Your Kernels to
31x31" (2022), and of the script `erf/visualize_erf.py` in their repository RepLKNet-pytorch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from convscope.diagnostics.subject import Measured, Subject
from convscope.geometry import Pair, central_field

SHARES = (0.2, 0.3, 0.5, 0.99)
"""Shares of all contributions whose squares are measured, as by Ding et al."""
_IMAGES = 64


def effective_field(subject: Subject) -> Measured:
    """Measure how much of the image contributes to the central unit of the last map.

    A pixel's contribution is the positive part of the derivative of the unit's channels, each after
    a ReLU, with respect to the pixel; summed over the image's channels, mean over images. The
    central unit is (height // 2, width // 2). The squares are centred on its receptive field within
    the image. Ding et al. centre theirs on the image. But in a map of even size, or where a stride
    does not divide the size, the unit's field is off the image's centre by up to a stride, so that
    such squares would be too wide. In a small image this matters.

    Undefined without a last map, without any contribution, and for weights that are not finite.

    Returns:
        `erf_side`: side of the smallest square with half of the contributions, pixels.
        `erf_share`: share of the theoretical receptive field within the image that is in it.
        Arrays: `erf` (height, width) the contributions; `erf_t` the shares 0.2, 0.3, 0.5, 0.99;
        per share the side in pixels, `erf_sides`, and the share of the image's area, `erf_r`, of
        its smallest square; `erf_r_log` as `erf/analyze_erf.py` computes that share, for
        log(`erf` + 1) and squares about the image's pixel (height // 2, width // 2).
    """
    contributions = _contributions(subject)
    if not 0 < contributions.sum() < np.inf:
        return Measured()
    rows, columns = central_field(subject.geometry)
    distances = _square_sides(contributions.shape, _middle(rows), _middle(columns))
    sides = _smallest(contributions, distances)
    half = float(sides[SHARES.index(0.5)])
    height, width = contributions.shape
    about_image = _square_sides(contributions.shape, height // 2, width // 2)
    log_sides = _smallest(np.log1p(contributions, dtype=np.float64), about_image)
    share = (distances[np.ix_(rows, columns)] <= half).mean()
    return Measured(
        values={"erf_side": half, "erf_share": float(share)},
        arrays={
            "erf": contributions,
            "erf_t": np.array(SHARES),
            "erf_sides": sides,
            "erf_r": _area(distances, sides),
            "erf_r_log": _area(about_image, log_sides),
        },
    )


def _square_sides(shape: Pair, row: float, column: float) -> NDArray[np.float64]:
    """Return the side of the smallest square about a point that contains each pixel."""
    down, right = (
        2 * np.abs(np.arange(pixels) - centre) + 1
        for pixels, centre in zip(shape, (row, column), strict=True)
    )
    sides: NDArray[np.float64] = np.maximum.outer(down, right)
    return sides


@torch.enable_grad()
def _contributions(subject: Subject) -> NDArray[np.float32]:
    """Return each pixel's contribution to the central unit; 0 for a network without a last map."""
    images = subject.images[subject.sample(_IMAGES)].requires_grad_()
    height, width = subject.geometry.final_map
    found = torch.zeros(images.shape[2:], dtype=torch.float64)
    for maps in subject.final_maps(images, gradients=True):
        unit = maps[:, :, height // 2, width // 2].relu().sum()
        (gradient,) = torch.autograd.grad(unit, images)
        # On the CPU: MPS has no float64.
        found += gradient.relu().sum(dim=(0, 1)).cpu()
    return (found / len(images)).float().numpy()


def _smallest(
    contributions: NDArray[np.floating], sides: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sides of the smallest squares that contain the shares of all contributions.

    Args:
        contributions: (height, width).
        sides: (height, width), see `_square_sides`.
    """
    candidates, index = np.unique(sides, return_inverse=True)
    within = np.bincount(index.ravel(), contributions.ravel()).cumsum()
    return candidates[np.searchsorted(within / within[-1], SHARES)]


def _area(distances: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the image's pixels that lie within the square of each side."""
    shares: NDArray[np.float64] = (distances[..., None] <= sides).mean(axis=(0, 1))
    return shares


def _middle(pixels: range) -> float:
    return (pixels.start + pixels.stop - 1) / 2
