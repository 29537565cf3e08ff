"""A run's images on its device, and the batches that it trains on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convscope.data.augment import Augmentation
from convscope.data.batches import DeviceImages, TrainBatches
from convscope.data.order import BatchOrder
from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup
from convscope.training.request import RunRequest


def train_images(request: RunRequest, device: torch.device) -> DeviceImages:
    """Return the images that a run trains on and is validated on."""
    return _on(device, request, request.images.train_images, request.images.train_labels)


def test_images(request: RunRequest, device: torch.device) -> DeviceImages:
    """Return the images that a run is tested on."""
    return _on(device, request, request.images.test_images, request.images.test_labels)


def _on(
    device: torch.device, request: RunRequest, pixels: NDArray[Any], labels: NDArray[np.int64]
) -> DeviceImages:
    return DeviceImages(pixels, labels, request.images.mean, request.images.std, device)


def train_batches(
    request: RunRequest, images: DeviceImages, process_group: ProcessGroup = SINGLE_PROCESS
) -> TrainBatches:
    """Return this rank's parts of the batches of `images`, which are `train_images`."""
    data = request.config.data
    order = BatchOrder(
        torch.from_numpy(request.train_indices),
        data.batch_size,
        request.config.seed,
        process_group.rank,
        process_group.world_size,
        device=images.index_device,
    )
    augmentation = Augmentation(data.flip, data.shift, data.cutout, data.alternate_flip)
    return TrainBatches(images, order, augmentation, request.steps.per_epoch)
