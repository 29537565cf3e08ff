"""Batches made on the training device: select, augment and normalise images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from convscope.data.augment import Augmentation, Draws
from convscope.data.images import check_not_truncated
from convscope.data.order import BatchOrder

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) float32, normalised, in channels_last memory; labels (B,) int64."""


def placement(image_bytes: int, free_bytes: int) -> Literal["device", "host"]:
    """Return where to keep images: on the device if they take at most half of its free memory.

    The other half is for weights, activations and the parts that are loaded later.

    Args:
        image_bytes: Size of the images.
        free_bytes: Free memory of the device.
    """
    return "device" if 2 * image_bytes <= free_bytes else "host"


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device in bytes.

    Raises:
        ValueError: The device shares the memory of the CPU.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    raise ValueError(f"{device} has no separate memory")


def to_device_async(values: Tensor, device: torch.device) -> Tensor:
    """Return a copy of a CPU tensor on the device, without waiting for the copy to finish."""
    pinned = values.pin_memory() if device.type == "cuda" else values
    return pinned.to(device, non_blocking=True)


class DeviceImages:
    """All images as one uint8 tensor, and batches of them on `device`.

    On a CPU the tensor shares the array's memory. For another device it is copied there; if it is
    too large, it stays on the host and each batch is copied through pinned memory.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N,) int64.
        mean: One value per channel, on the scale of 0 to 255.
        std: One value per channel, on the scale of 0 to 255.
        device: Device of the batches.
        location: Where to keep the images; None lets `placement` decide.
    """

    def __init__(
        self,
        images: NDArray[Any],
        labels: NDArray[Any],
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device | str = "cpu",
        location: Literal["device", "host"] | None = None,
    ) -> None:
        self.device = torch.device(device)
        if location is None:
            own = self.device.type in ("cuda", "mps")
            location = placement(images.nbytes, free_memory(self.device)) if own else "device"
        self.location = location
        self.index_device = self.device if location == "device" else torch.device("cpu")
        """Device on which `batch` uses indices without copying them."""
        self.height, self.width, self.channels = images.shape[1:]
        # One row per image: arithmetic over an innermost axis of only C values is 5 times slower.
        rows = torch.from_numpy(images.reshape(len(images), -1))
        self._rows = rows.to(self.index_device)
        self._labels = torch.from_numpy(labels).to(self.index_device)
        self._source = images
        pixels = self.height * self.width
        self._mean = torch.tensor(mean, dtype=torch.float32).repeat(pixels).to(self.device)
        scale = 1 / torch.tensor(std, dtype=torch.float64)
        self._scale = scale.to(torch.float32).repeat(pixels).to(self.device)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(
        self, indices: Tensor, augmentation: Augmentation | None = None, draws: Draws | None = None
    ) -> Batch:
        """Return the batch of the images at `indices`, augmented if `draws` are given.

        Args:
            indices: (B,) int64.
            augmentation: Used together with `draws`.
            draws: (B,) each.

        Raises:
            UserError: Another program truncated the file that the images are mapped from.
        """
        rows, labels = self._select(indices.to(self.index_device))
        if augmentation is not None and draws is not None:
            rows = augmentation.move(self._as_images(rows), draws).view(len(rows), -1)
        pixels = self._as_images(rows.to(torch.float32).sub_(self._mean).mul_(self._scale))
        if augmentation is not None and draws is not None:
            pixels = augmentation.cut(pixels, draws)
        return pixels.permute(0, 3, 1, 2), labels

    def _select(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        if self.index_device.type == "cpu":
            check_not_truncated(self._source)
        if self.location == "device":
            return self._rows.index_select(0, indices), self._labels.index_select(0, indices)
        return self._gather(self._rows, indices), self._gather(self._labels, indices)

    def _gather(self, source: Tensor, indices: Tensor) -> Tensor:
        # PyTorch's allocator of pinned memory reuses the buffer only after the copy has run.
        buffer = torch.empty(
            (len(indices), *source.shape[1:]),
            dtype=source.dtype,
            pin_memory=self.device.type == "cuda",
        )
        torch.index_select(source, 0, indices, out=buffer)
        return buffer.to(self.device, non_blocking=True)

    def _as_images(self, rows: Tensor) -> Tensor:
        return rows.view(len(rows), self.height, self.width, self.channels)


class BatchInputs(NamedTuple):
    """Indices and random numbers that determine the training batches of several steps.

    Attributes:
        indices: (steps, B) int64, indices of images, on `DeviceImages.index_device`.
        draws: (steps, B) each, random numbers of the augmentation; None without augmentation.
    """

    indices: Tensor
    draws: Draws | None

    def map(self, change: Callable[[Tensor], Tensor]) -> BatchInputs:
        """Return the inputs with `change` applied to every tensor."""
        return BatchInputs(change(self.indices), self.draws and Draws(*map(change, self.draws)))

    def step(self, number: int) -> BatchInputs:
        """Return the inputs of one step, (B,) each; `number` is its index in these inputs."""
        return self.map(lambda values: values[number])

    def tensors(self) -> list[Tensor]:
        """Return all tensors, always in the same order."""
        return [self.indices, *(self.draws or ())]


class TrainBatches:
    """Training batches by optimizer step, independent of the order in which they are made.

    Args:
        images: The train part of the data set.
        order: Created with `device=images.index_device`.
        augmentation: Its random numbers depend on `order.seed` and the step only.
        steps_per_epoch: Limits an epoch to its first batches; None is all full batches.
    """

    def __init__(
        self,
        images: DeviceImages,
        order: BatchOrder,
        augmentation: Augmentation | None = None,
        steps_per_epoch: int | None = None,
    ) -> None:
        self.images = images
        self.order = order
        self.augmentation = None if augmentation == Augmentation() else augmentation
        self._first_flips: Tensor | None = None
        if augmentation is not None and augmentation.alternate_flip:
            flips = augmentation.first_flips(order.seed, len(images))
            self._first_flips = flips.to(images.index_device)
        self.steps_per_epoch = steps_per_epoch or order.steps_per_epoch

    def inputs(self, steps: Iterable[int]) -> BatchInputs:
        """Return the inputs of this rank's parts of these steps' batches, counted from 0."""
        steps = list(steps)
        numbers = [self._number(step) for step in steps]
        indices = torch.stack([self.order.batch_indices(number) for number in numbers])
        if self.augmentation is None:
            return BatchInputs(indices, None)
        order, images = self.order, self.images
        size = (order.batch_size, images.height, images.width)
        drawn = [self.augmentation.draw(order.seed, number, *size) for number in numbers]
        # This rank's part of each batch, contiguous for pinned memory.
        parts = (torch.stack(of)[:, order.part].contiguous() for of in zip(*drawn, strict=True))
        draws = Draws(*(to_device_async(part, images.device) for part in parts))
        if self._first_flips is not None:
            epochs = torch.tensor([step // self.steps_per_epoch for step in steps])
            flips = self._first_flips[indices] + to_device_async(epochs, indices.device)[:, None]
            draws = draws._replace(flip=(flips % 2).to(images.device, non_blocking=True))
        return BatchInputs(indices, draws)

    def _number(self, step: int) -> int:
        """Return the index of a step's batch in `order`, whose epochs are not limited."""
        epoch, offset = divmod(step, self.steps_per_epoch)
        return epoch * self.order.steps_per_epoch + offset

    def make(self, inputs: BatchInputs) -> Batch:
        """Return the batch of one step, made from its inputs, (B,) each."""
        return self.images.batch(inputs.indices, self.augmentation, inputs.draws)

    def batch(self, step: int) -> Batch:
        """Return this rank's part of the batch of optimizer step `step`, counted from 0."""
        return self.make(self.inputs([step]).step(0))


class EvalBatches:
    """Iterable batches of every image at `indices` once, in order and not augmented.

    The last batch may have fewer images.

    Args:
        images: The train part or the test part of the data set.
        indices: (N,) int64.
        batch_size: Images per batch of this rank.
        rank: This process's rank.
        world_size: Number of ranks, among which the indices are divided.
    """

    def __init__(
        self,
        images: DeviceImages,
        indices: Tensor,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._images = images
        share = indices[rank::world_size].to(images.index_device)
        self._parts = torch.split(share, batch_size)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._images.batch, self._parts)
