"""Which training images serve as validation: the same ones in every run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.data.datasets import validation_size
from convscope.errors import UserError

# Not the run's seed: runs of different seeds must be judged on the same images.
SPLIT_SEED = 20_240_229


def stratified_split(
    labels: NDArray[Any], fraction: float, key: str = "data.val_fraction"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part the images class by class.

    Of a class with n images, `floor(n * fraction + 1/2)` go to the second part. They are drawn by
    NumPy's `RandomState`, whose stream is frozen (NEP 19), from `SPLIT_SEED` only.

    Args:
        labels: (N,) class of each image.
        fraction: Share of the second part, between 0 and 1.
        key: What an error calls `fraction`.

    Returns:
        Indices of the first and of the second part, each (n,), ascending.

    Raises:
        UserError: Either part would be empty, or the first would lack a class.
    """
    random = np.random.RandomState(SPLIT_SEED)
    first: list[NDArray[np.int64]] = []
    second: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        taken = validation_size(len(members), fraction)
        if taken >= len(members):
            raise UserError(
                f"{key} must leave every class an image to train on, got {fraction}: "
                f"class {label} has {len(members)}"
            )
        first.append(members[taken:])
        second.append(members[:taken])
    if all(len(members) + len(others) < 2 for members, others in zip(first, second, strict=True)):
        raise UserError("some class must have at least 2 training images: one of them validates")
    if not any(len(members) for members in second):
        raise UserError(
            f"{key} must set at least one image apart, got {fraction} of {len(labels)} images"
        )
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
