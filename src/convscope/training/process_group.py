"""What the processes that share a run, one per device, work out together.

Every method is collective: each rank must call it, in the same order. A run on one device is alone,
and pays for none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """A process's place among those of its run; PyTorch's default group connects them.

    Args:
        rank: from 0; the first writes what the run leaves on disk.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over the ranks into these tensors, of one dtype: the same bits on each.

        They travel as one, and nothing is read from the device.
        """
        if self.size == 1:
            return
        kept = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in kept])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        means = torch.split(flat, [tensor.numel() for tensor in kept])
        for tensor, mean in zip(kept, means, strict=True):
            tensor.copy_(mean.view_as(tensor))

    def add(self, tensor: Tensor) -> None:
        """Put the sum over the ranks into this tensor."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)

    def all(self, here: bool, device: torch.device) -> bool:
        """Whether it is so on every rank."""
        return bool(self._least(int(here), device))

    def agree(self, value: int, device: torch.device) -> bool:
        """Whether every rank has this value, of 63 bits."""
        return self._least(value, device) == -self._least(-value, device)

    def _least(self, value: int, device: torch.device) -> int:
        if self.size == 1:
            return value
        least = torch.tensor(value, device=device)
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        return int(least)


ALONE = Ranks()
"""A run on one device."""
