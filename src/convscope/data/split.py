"""The split into training and validation images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.data.datasets import validation_size
from convscope.errors import UserError

SPLIT_SEED = 20_240_229
"""Of the split of every run that asks for no other: all are validated on the same images."""


def stratified_split(
    labels: NDArray[Any],
    fraction: float,
    key: str = "data.val_fraction",
    seed: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the images of each class at random into two parts.

    Of a class with n images, `floor(n * fraction + 1/2)` go to the second part. They are drawn by
    NumPy's `RandomState`, whose stream never changes (NEP 19).

    Args:
        labels: (N,) class of each image.
        fraction: Share of the second part, between 0 and 1.
        key: Name of `fraction` in error messages.
        seed: Another split for each; None is that of `SPLIT_SEED`.

    Returns:
        Indices of the first and of the second part, each (n,), ascending.

    Raises:
        UserError: Either part would be empty, or the first would lack a class.
    """
    random = np.random.RandomState(SPLIT_SEED if seed is None else seed)
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
        raise UserError(
            "some class must have at least 2 training images: one of them is for validation"
        )
    if not any(len(members) for members in second):
        raise UserError(
            f"{key} must select at least one image, got {fraction} of {len(labels)} images"
        )
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
