"""Position information in the last map: what padding adds to it, and what can be read from it.

After M. A. Islam et al., "How Much Position Information Do Convolutional Neural Networks Encode?"
(2020, arXiv:2001.08248) and "Position, Padding and Predictions" (2021, arXiv:2101.12322), who give
constant images to networks and train a small network to predict positions from their maps.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.diagnostics.subject import Measured, Subject

_IMAGES = 128
_ROUNDING = 32 * torch.finfo(torch.float32).eps
"""Deviations up to this share of the largest value count as 0."""
_RIDGE = 1e-3
"""Penalty on squared weights, as a share of the mean variance of the last map's channels."""


@torch.no_grad()
def position(subject: Subject) -> Measured:
    """Measure the position bias of the last map, and the position that it encodes.

    The bias comes from a black image: its last map is constant without padding, and with padding
    that repeats, reflects or wraps around. A grey image, 0 after normalisation, would hide the
    first layer's zero padding. The encoded position is what a linear function of a unit's channels
    predicts. Images with similar content in the same position, such as centred digits, raise R2.

    Both are undefined without a last map, for a map of 1x1, for one that does not vary, and for
    weights that are not finite.

    Returns:
        `position_bias`: standard deviation over positions of the last map for a black image, over
        that for test images; both as root mean square of the channels.
        `position_r2`: R2 of row and column, mean of both, by ridge regression on the channels at
        each position; fitted on every other of up to 128 test images, computed on the others;
        negative where the prediction is worse than the mean.
        Arrays: `position_map` (height, width), the root mean square of the channels' deviations
        from their mean over positions, for a black image, in the units of `position_bias`;
        `position_r2` (2,), of row and column, NaN along an axis of one unit.
    """
    images = subject.images[subject.sample(_IMAGES)]
    constant = next(subject.final_maps(subject.black.expand_as(images[:1])), None)
    if constant is None or constant.shape[2:] == (1, 1) or len(images) < 2:
        return Measured()
    halves, variances = [], []
    for half in (images[::2], images[1::2]):
        parts = list(map(_spatial, subject.final_maps(half)))
        halves.append(torch.stack([moments for moments, _ in parts]).sum(0).cpu().numpy())
        variances += [variance for _, variance in parts]
    spread = torch.cat(variances).mean().sqrt().item()
    if not 0 < spread < np.inf:
        return Measured()
    black = constant[0].cpu().double()
    deviations = black - black.mean(dim=(1, 2), keepdim=True)
    # Equal sums can be rounded differently, by their position in a vector of the processor.
    deviations[deviations.abs() <= _ROUNDING * black.abs().max()] = 0
    bias = deviations.square().mean(0).sqrt().numpy() / spread
    r2 = _r2(*halves)
    return Measured(
        values={
            "position_bias": float(np.sqrt(np.square(bias).mean())),
            "position_r2": float(np.nanmean(r2)),
        },
        arrays={"position_map": bias, "position_r2": r2},
    )


def _spatial(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return sums of products for the regression, and each image's variance over positions.

    Args:
        maps: (batch, channels, height, width).

    Returns:
        (channels + 3, channels + 3), over all units, of the products of their channels, row, column
        and 1, with each other; (batch,), the mean of the channels' variances.
    """
    # MPS has no float64.
    maps = (maps.cpu() if maps.is_mps else maps).double()
    batch, _, height, width = maps.shape
    rows, columns = torch.meshgrid(
        *(torch.arange(n, dtype=maps.dtype, device=maps.device) for n in (height, width)),
        indexing="ij",
    )
    positions = torch.stack([rows, columns, torch.ones_like(rows)]).expand(batch, -1, -1, -1)
    units = torch.cat([maps, positions], dim=1).transpose(0, 1).flatten(1)
    return units @ units.T, maps.var(dim=(2, 3), correction=0).mean(1)


def _r2(fit: NDArray[np.float64], test: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R2 of row and column, (2,), of a ridge regression; NaN along an axis of one unit.

    Args:
        fit: sums of products, see `_spatial`, of the units for the regression.
        test: of the units for which R2 is computed.
    """
    mean, covariance = _mean_and_covariance(fit)
    channels = len(mean) - 2
    of_units = covariance[:channels, :channels]
    # Units that do not vary predict nothing; any penalty but 0 will do.
    penalty = _RIDGE * of_units.trace() / channels or 1.0
    weights = np.linalg.solve(
        of_units + penalty * np.eye(channels), covariance[:channels, channels:]
    )
    # The residuals of row and column are linear in channels, row and column, too.
    left = np.vstack([-weights, np.eye(2)])
    test_mean, test_covariance = _mean_and_covariance(test)
    offset = (test_mean - mean) @ left
    error = np.diag(left.T @ test_covariance @ left) + offset**2
    variance = np.diag(test_covariance)[channels:]
    r2: NDArray[np.float64] = np.full(2, np.nan)
    return np.divide(variance - error, variance, out=r2, where=variance > 0)


def _mean_and_covariance(
    sums: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of channels, row and column, from sums of products."""
    products = sums[:-1, :-1] / sums[-1, -1]
    mean = sums[-1, :-1] / sums[-1, -1]
    return mean, products - np.outer(mean, mean)
