"""A decoded data set, in memory or memory-mapped, and its pixel statistics."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.config.schema import as_typed
from convscope.errors import UserError


@dataclass(frozen=True)
class Images:
    """A decoded data set.

    Attributes:
        name: The value of `data.name`.
        train_images, test_images: (N, height, width, channels) uint8; may be memory maps
            (copy-on-write: changes stay in this process).
        train_labels, test_labels: (N,) int64.
        classes: Names of the classes, by label.
        mean, std: One value per channel, of the train images, on the scale of 0 to 255.
        fingerprint: Hash of the content, in hex.
        notes: What a user should know about the files, one line each.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        height, width, channels = self.train_images.shape[1:]
        return channels, height, width

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """Number of training images of each class."""
        return tuple(np.bincount(self.train_labels, minlength=len(self.classes)).tolist())


def check_not_truncated(images: NDArray[Any]) -> None:
    """Check that the file behind memory-mapped images still has its full size.

    Reading beyond the end of a truncated file would kill the process (SIGBUS).

    Raises:
        UserError: The file is shorter than the images.
    """
    if not (isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap)):
        return
    if images.base.size() < images.offset + images.nbytes:
        raise UserError(
            f"{as_typed(str(images.filename))} was cut short by another program while it was in"
            " use; start again: it is made again"
        )


class PixelHistogram:
    """Counts of each of the 256 values per channel: exact statistics of any number of images."""

    def __init__(self, channels: int) -> None:
        self._counts = np.zeros((channels, 256), np.int64)

    def add(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Count the pixels of (N, H, W, C) images, and return the images."""
        for chunk in np.array_split(images, max(1, images.nbytes >> 20)):
            for channel, counts in enumerate(self._counts):
                counts += np.bincount(chunk[..., channel].ravel(), minlength=256)
        return images

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and population standard deviation per channel, on the scale of 0 to 255.

        The deviation of a constant channel is given as 1, so that normalising it gives 0, not NaN.
        """
        values = np.arange(256)
        total = self._counts.sum(1)
        mean = self._counts @ values / total
        variance = (self._counts * (values - mean[:, None]) ** 2).sum(1) / total
        return tuple(mean.tolist()), tuple(np.sqrt(np.where(variance > 0, variance, 1.0)).tolist())
