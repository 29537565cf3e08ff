"""One optimizer step on one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from convscope.config.schema import OptimConfig
from convscope.data.batches import Batch
from convscope.training.process_group import ALONE, Ranks


def make_optimizer(network: nn.Module, optim: OptimConfig, device: torch.device) -> AdamW:
    """AdamW whose step a CUDA graph can hold: there its learning rate is a tensor."""
    on_cuda = device.type == "cuda"
    return AdamW(
        network.parameters(),
        lr=torch.tensor(optim.lr, device=device) if on_cuda else optim.lr,
        weight_decay=optim.weight_decay,
        fused=device.type in ("cpu", "cuda", "mps"),
        capturable=on_cuda,
    )


@dataclass(frozen=True)
class Update:
    """Forward, backward and the optimizer's step; reads nothing back from the device.

    The forward pass runs in the precision of the autocast around it, the rest outside of it.

    Args:
        network: images (batch, channels, height, width) to class scores (batch, classes).
        clip_norm: largest norm of the gradient, if it is clipped.
        ranks: who shares the batch; each takes its part, and all take the same step.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    clip_norm: float | None
    ranks: Ranks = ALONE

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Take the step.

        Returns:
            the loss before it, and the share of right answers, of this rank's part of the batch:
            scalars on the device.
        """
        images, labels = batch
        scores = self.network(images)
        with torch.autocast(images.device.type, enabled=False):
            loss = functional.cross_entropy(scores.float(), labels)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.ranks.average(self._gradients())
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
            self.optimizer.step()
        right = scores.detach().argmax(1) == labels
        return loss.detach(), right.float().mean()

    def _gradients(self) -> Iterator[Tensor]:
        # The mean over equal parts of a batch is the mean over the batch.
        return (weight.grad for weight in self.network.parameters() if weight.grad is not None)
