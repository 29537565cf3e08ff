"""The LightningModule: loss, accuracy, optimizer, and the step.

One Lightning batch is a chunk: a range of optimizer steps. Lightning's own cost per batch, a fifth
of a small CNN's step, is so paid once per chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from typing_extensions import override

from convscope.config import OptimConfig

Batch = tuple[Tensor, Tensor]
"""Images (batch, channels, height, width), normalised, and labels (batch,)."""


class VariantModule(LightningModule):
    """Trains a network on batches that are a function of the step.

    Args:
        network: images (batch, channels, height, width) to class scores (batch, classes).
        train_batch: the training batch of an optimizer step, counted from 0 over the whole run.
        total_steps: optimizer steps of the whole run, over which the schedule stretches.
        optim: AdamW's and the one-cycle schedule's values.
        clip_norm: largest norm of the gradient, if it is clipped.
        after_step: called after each optimizer step; must not read the device.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        train_batch: Callable[[int], Batch],
        total_steps: int,
        classes: int,
        optim: OptimConfig,
        clip_norm: float | None,
        after_step: Callable[[], None],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.train_batch = train_batch
        self.total_steps = total_steps
        self.classes = classes
        self.optim = optim
        self.clip_norm = clip_norm
        self.after_step = after_step

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Class scores (batch, classes) of normalised images (batch, channels, height, width)."""
        return cast(Tensor, self.network(images))

    @override
    def configure_optimizers(self) -> Any:
        fused = self.device.type in ("cpu", "cuda", "mps")
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.optim.lr,
            weight_decay=self.optim.weight_decay,
            fused=fused,
        )
        points = self.total_steps + 1
        # OneCycleLR divides by zero where the climb ends with the first point.
        climb = self.optim.warmup * (0.999 if self.optim.warmup * points == 1 else 1)
        schedule = OneCycleLR(
            optimizer,
            max_lr=self.optim.lr,
            total_steps=points,
            pct_start=climb,
            cycle_momentum=False,
        )
        return [optimizer], [schedule]

    @override
    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Leave a batch as it is: steps by number, or images that are on the device already."""
        return batch

    @override
    def training_step(self, chunk: range) -> dict[str, Tensor]:
        """Take the steps of a chunk.

        Returns:
            losses (steps,) and the share of right answers (steps,) of each, on the device.
        """
        optimizer = cast(LightningOptimizer, self.optimizers())
        schedule = cast(LRScheduler, self.lr_schedulers())
        losses = torch.empty(len(chunk), device=self.device)
        accuracies = torch.empty(len(chunk), device=self.device)
        for i, step in enumerate(chunk):
            images, labels = self.train_batch(step)
            scores = self(images)
            loss = functional.cross_entropy(scores, labels)
            optimizer.zero_grad()
            # Not `manual_backward`: its hooks cost a twentieth of a small CNN's step, and only
            # several devices need them.
            loss.backward()  # type: ignore[no-untyped-call]
            if self.clip_norm is not None:
                self.clip_gradients(optimizer.optimizer, self.clip_norm, "norm")
            optimizer.step()
            schedule.step()
            losses[i] = loss.detach()
            accuracies[i] = (scores.detach().argmax(1) == labels).float().mean()
            self.after_step()
        return {"losses": losses, "accuracies": accuracies}

    @override
    def on_validation_epoch_start(self) -> None:
        self._start_counting()

    @override
    def on_test_epoch_start(self) -> None:
        self._start_counting()

    def _start_counting(self) -> None:
        self._loss_sum = torch.zeros((), device=self.device)
        self.confusion = torch.zeros(
            self.classes, self.classes, dtype=torch.long, device=self.device
        )

    @override
    def validation_step(self, batch: Batch) -> None:
        self._count(batch)

    @override
    def test_step(self, batch: Batch) -> None:
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        images, labels = batch
        scores = self(images)
        self._loss_sum += functional.cross_entropy(scores, labels, reduction="sum")
        pairs = labels * self.classes + scores.argmax(1)
        self.confusion += torch.bincount(pairs, minlength=self.classes**2).view_as(self.confusion)

    @override
    def on_validation_epoch_end(self) -> None:
        self._log_counts("val")

    @override
    def on_test_epoch_end(self) -> None:
        self._log_counts("test")

    def _log_counts(self, split: str) -> None:
        images = self.confusion.sum()
        self.log(f"{split}/loss", self._loss_sum / images)
        self.log(f"{split}/accuracy", self.confusion.trace() / images)
