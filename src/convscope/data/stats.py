"""Mean and standard deviation per channel, exact whatever the number of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PixelCounts:
    """How often each channel takes each of its 256 values."""

    def __init__(self, channels: int) -> None:
        self._counts = np.zeros((channels, 256), np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        """Count (N, H, W, C) images."""
        for some in np.array_split(images, max(1, images.nbytes >> 20)):
            for channel, counts in enumerate(self._counts):
                counts += np.bincount(some[..., channel].ravel(), minlength=256)

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Per channel, on the scale of 0 to 255; the deviation is the population's.

        A constant channel has the deviation 1: it says nothing and must not become NaN.
        """
        values = np.arange(256)
        total = self._counts.sum(1)
        mean = self._counts @ values / total
        variance = (self._counts * (values - mean[:, None]) ** 2).sum(1) / total
        return tuple(mean.tolist()), tuple(np.sqrt(np.where(variance > 0, variance, 1.0)).tolist())
