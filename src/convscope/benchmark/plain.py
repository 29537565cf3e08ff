"""(b): the plain PyTorch loop over a tensor in memory, written by hand and for speed alone.

The yardstick: it shares the network, the images and the recipe with the project's own step, and no
line of code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from convscope.config.schema import OptimConfig


class TensorData:
    """Images as they lie in memory: one row of uint8 each, on the device.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N,) int64.
        mean, std: per channel, on the scale of 0 to 255.
    """

    def __init__(
        self,
        images: NDArray[Any],
        labels: NDArray[Any],
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
    ) -> None:
        self.size = images.shape[1:]
        self.rows = torch.tensor(images.reshape(len(images), -1)).to(device)
        self.labels = torch.tensor(labels).to(device)
        pixels = self.size[0] * self.size[1]
        self._mean = torch.tensor(mean).repeat(pixels).to(device)
        self._scale = (1 / torch.tensor(std, dtype=torch.float64)).float().repeat(pixels).to(device)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) float32, normalised, channels_last, and labels (B,)."""
        rows = self.rows.index_select(0, indices).float().sub_(self._mean).mul_(self._scale)
        images = rows.view(-1, *self.size).permute(0, 3, 1, 2)
        return images, self.labels.index_select(0, indices)


@dataclass(frozen=True)
class Recipe:
    """How it is trained.

    Attributes:
        total_steps: over which the one-cycle schedule stretches.
        dtype: bfloat16 trains under autocast.
        compiled: through `torch.compile`.
    """

    total_steps: int
    optim: OptimConfig
    dtype: torch.dtype
    compiled: bool = False


class PlainLoop:
    """Trains a network step by step.

    Args:
        network: images (B, C, H, W) to class scores (B, classes); trained in place.
        shuffled: the batches of an epoch: from its number to (steps, B) int64 indices, on the CPU.

    Attributes:
        losses: (total_steps,) of the steps taken, on the device.
        taken: steps so far.
    """

    def __init__(
        self,
        network: nn.Module,
        data: TensorData,
        recipe: Recipe,
        shuffled: Callable[[int], Tensor],
    ) -> None:
        self.data = data
        self.recipe = recipe
        self.device = data.rows.device
        network.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._scores = torch.compile(network) if recipe.compiled else network
        self._shuffled = shuffled
        self._epoch = 0
        self._batches = shuffled(0).to(self.device)
        self._row = 0
        self.losses = torch.zeros(recipe.total_steps, device=self.device)
        self._rates = one_cycle(recipe.optim, recipe.total_steps)
        self.taken = 0
        self._optimizer = self._make_optimizer(list(network.parameters()))

    def _make_optimizer(self, weights: list[nn.Parameter]) -> torch.optim.AdamW:
        return torch.optim.AdamW(weights, weight_decay=self.recipe.optim.weight_decay, fused=True)

    def run(self, steps: int) -> None:
        """Take the next steps; the device may still be at work when this returns."""
        for _ in range(steps):
            if self._row == len(self._batches):
                self._begin_epoch()
            self._step()
            self._row += 1
            self.taken += 1

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._batches.copy_(self._shuffled(self._epoch))
        self._row = 0

    def _step(self) -> None:
        self._optimizer.param_groups[0]["lr"] = self._rates[self.taken]
        self.losses[self.taken] = self._train_on(self._batches[self._row])

    def _train_on(self, indices: Tensor) -> Tensor:
        images, labels = self.data.batch(indices)
        dtype = self.recipe.dtype
        with torch.autocast(
            self.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False
        ):
            loss = functional.cross_entropy(self._scores(images), labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()


def one_cycle(optim: OptimConfig, total_steps: int) -> list[float]:
    """The learning rate of each step, from PyTorch's own schedule, worked out beforehand."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=optim.lr)
    schedule = OneCycleLR(
        optimizer,
        optim.lr,
        # The project's schedule ends after the last step, not with it.
        total_steps=total_steps + 1,
        pct_start=optim.warmup,
        cycle_momentum=False,
    )
    rates = []
    for _ in range(total_steps):
        rates.append(float(schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    return rates
