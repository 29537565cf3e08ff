"""The handwritten digits that are part of scikit-learn; nothing is downloaded or written."""

from __future__ import annotations

import hashlib
from importlib.metadata import distribution

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convscope.data.images import Images, PixelHistogram
from convscope.data.split import stratified_split

TEST_FRACTION = 0.2
SIDE = 28
_FILE = "sklearn/datasets/data/digits.csv.gz"
"""One line per image: its 64 values, then its label."""


def load_digits() -> Images:
    """Return 1,797 digits, scaled (bilinear) from 8 x 8 pixels, 0 to 16, to 28 x 28, 0 to 255.

    scikit-learn has no test set: a fifth of each class, the same in every run, is used as one (see
    `stratified_split`).
    """
    # scikit-learn's own function imports SciPy and pandas, which takes a second.
    table = np.loadtxt(str(distribution("scikit-learn").locate_file(_FILE)), delimiter=",")
    labels = table[:, -1].astype(np.int64)
    images = np.stack([_scale(image) for image in table[:, :-1].reshape(-1, 8, 8)])[..., None]
    train, test = stratified_split(labels, TEST_FRACTION)
    counts = PixelHistogram(1)
    counts.add(images[train])
    mean, std = counts.mean_std()
    return Images(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple("0123456789"),
        mean=mean,
        std=std,
        fingerprint=hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest(),
    )


def _scale(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    grey = Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
