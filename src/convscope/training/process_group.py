"""Collective operations across the processes of a distributed run, one process per device.

Every process must call them, in the same order. A run on one device has a single process, for which
they cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank in PyTorch's default process group.

    Args:
        rank: from 0; the first writes what the run leaves on disk.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this rank writes what the run leaves on disk."""
        return self.rank == 0

    def all_reduce_mean(self, tensors: Iterable[Tensor]) -> None:
        """Replace these tensors, of one dtype, by their means over the ranks: the same bits on all.

        They travel as one tensor, and nothing is read from the device.
        """
        if self.world_size == 1:
            return
        kept = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in kept])
        torch.distributed.all_reduce(flat)
        flat /= self.world_size
        means = torch.split(flat, [tensor.numel() for tensor in kept])
        for tensor, mean in zip(kept, means, strict=True):
            tensor.copy_(mean.view_as(tensor))

    def all_reduce_sum(self, tensor: Tensor) -> None:
        """Replace this tensor by its sum over the ranks."""
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor)

    def all_true(self, condition: bool, device: torch.device) -> bool:
        """Return whether the condition is true on every rank."""
        return bool(self._minimum(int(condition), device))

    def all_equal(self, value: int, device: torch.device) -> bool:
        """Return whether every rank has this value, of 63 bits."""
        return self._minimum(value, device) == -self._minimum(-value, device)

    def _minimum(self, value: int, device: torch.device) -> int:
        if self.world_size == 1:
            return value
        minimum = torch.tensor(value, device=device)
        torch.distributed.all_reduce(minimum, torch.distributed.ReduceOp.MIN)
        return int(minimum)


SINGLE_PROCESS = ProcessGroup()
"""The process group of a run on one device."""
