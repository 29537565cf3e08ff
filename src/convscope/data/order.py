"""The order of training images: a function of the seed and the step only.

So a resumed run gets the same batches as an uninterrupted one, and ranks need not communicate.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from convscope.errors import UserError


def generator(purpose: str, seed: int, position: int) -> torch.Generator:
    """Return a CPU generator with a seed of its own for each (purpose, seed, position)."""
    digest = hashlib.blake2b(f"{purpose} {seed} {position}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest))


def permutation(size: int, seed: int, epoch: int) -> Tensor:
    """Return an epoch's permutation of the images: (size,) int64, on the CPU."""
    return torch.randperm(size, generator=generator("order", seed, epoch))


class BatchOrder:
    """Image indices of each training batch, by optimizer step.

    An epoch has `floor(N / batch_size)` full batches; each epoch drops other images. A batch is
    split into `world_size` equal parts, one per rank.

    Args:
        indices: (N,) int64, the images to shuffle: the training part of the split.
        batch_size: Images per batch, over all ranks.
        seed: The run's seed.
        rank: This process's rank.
        world_size: Number of ranks.
        device: Device of the returned indices.

    Raises:
        UserError: `batch_size` is above N or not a multiple of `world_size`.
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 1 <= batch_size <= len(indices):
            raise UserError(
                f"data.batch_size must be between 1 and the {len(indices)} training images, "
                f"got {batch_size}"
            )
        if batch_size % world_size:
            raise UserError(
                f"data.batch_size must be a multiple of the {world_size} devices, got {batch_size}"
            )
        self.steps_per_epoch = len(indices) // batch_size
        self.batch_size = batch_size
        self.seed = seed
        share = batch_size // world_size
        self.part = slice(rank * share, (rank + 1) * share)
        self._indices = indices.cpu()
        self._device = torch.device(device)
        self._epoch = -1
        self._order = self._indices

    def batch_indices(self, step: int) -> Tensor:
        """Return this rank's indices of a step's batch: (batch_size / world_size,) int64."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            shuffled = self._indices[permutation(len(self._indices), self.seed, epoch)]
            self._order, self._epoch = shuffled.to(self._device), epoch
        start = batch * self.batch_size
        return self._order[start + self.part.start : start + self.part.stop]
