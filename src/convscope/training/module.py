"""The LightningModule: training in chunks of steps, loss and accuracy of what is evaluated.

One Lightning batch is a chunk: a range of optimizer steps. Lightning's own cost per batch, a fifth
of a small CNN's step, is so paid once per chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from convscope.config.schema import OptimConfig
from convscope.data.batches import Batch
from convscope.training.process_group import ALONE, Ranks
from convscope.training.step.stepper import Stepper
from convscope.training.step.update import Update, make_optimizer

MakeStepper = Callable[[Update], Stepper]


class VariantModule(LightningModule):
    """Trains a network by chunks of steps and counts its answers on other images.

    Args:
        network: images (batch, channels, height, width) to class scores (batch, classes).
        optim: AdamW's values.
        clip_norm: largest norm of the gradient, if it is clipped.
        make_stepper: what takes the steps, once the network is where it is trained.
        ranks: who shares the run; what is measured is measured over all of them.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int,
        optim: OptimConfig,
        clip_norm: float | None,
        make_stepper: MakeStepper,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.classes = classes
        self.optim = optim
        self.clip_norm = clip_norm
        self.ranks = ranks
        self._make_stepper = make_stepper

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Class scores (batch, classes) of normalised images (batch, channels, height, width)."""
        return cast(Tensor, self.network(images))

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer(self.network, self.optim, self.device)

    @override
    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Leave a batch as it is: steps by number, or images that are on the device already."""
        return batch

    @override
    def on_train_start(self) -> None:
        # Lightning's own wrapper of the optimizer costs 4 % of a small CNN's step.
        optimizer = cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))
        update = Update(self.network, optimizer, self.clip_norm, self.ranks)
        self.stepper = self._make_stepper(update)

    @override
    def training_step(self, chunk: range) -> dict[str, Tensor]:
        """Take the steps of a chunk.

        Returns:
            losses (steps,) and the share of right answers (steps,) of each, on the device.
        """
        losses, accuracies = self.stepper.take(chunk)
        self.ranks.average([losses, accuracies, *self._running_statistics()])
        # What Lightning counts as `global_step` where it does not take the steps itself.
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for counted in (progress.total, progress.current):
            counted.ready += len(chunk)
            counted.completed += len(chunk)
        return {"losses": losses, "accuracies": accuracies}

    def _running_statistics(self) -> list[Tensor]:
        """What batch norm keeps of the images that passed, on each rank of its own part.

        It forgets linearly: the mean after many steps is what means after each would have left.
        """
        return [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]

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
        self.ranks.add(self._loss_sum)
        self.ranks.add(self.confusion)
        images = self.confusion.sum()
        # The same on every rank by now: sync_dist keeps Lightning from warning that it is not.
        self.log(f"{split}/loss", self._loss_sum / images, sync_dist=True)
        self.log(f"{split}/accuracy", self.confusion.trace() / images, sync_dist=True)
