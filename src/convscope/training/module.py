"""The LightningModule: training in chunks of steps, loss and accuracy of what is evaluated.

One Lightning batch is a chunk: a range of optimizer steps. Lightning's own cost per batch, a fifth
of a small CNN's step, is so paid once per chunk (docs/decisions/chunked-steps.md).
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
from convscope.data.augment import mean_with_mirrored
from convscope.data.batches import Batch
from convscope.diagnostics.predictions import answers, to_predictions
from convscope.training.optimizers import make_optimizer
from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup
from convscope.training.train_step import StepRunner, TrainStep


class VariantModule(LightningModule):
    """Trains a network by chunks of steps and counts its answers on other images.

    Args:
        network: images (batch, channels, height, width) to class scores (batch, classes).
        optim: the optimizer and its values, and the label smoothing of the training loss.
        clip_norm: largest norm of the gradient, if it is clipped.
        test_flip: whether images are evaluated together with their mirror images.
        make_runner: makes what runs the steps, once the network is where it is trained.
        process_group: processes that share the run; what is measured is measured over all of them.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int,
        optim: OptimConfig,
        clip_norm: float | None,
        test_flip: bool = False,
        make_runner: Callable[[TrainStep], StepRunner],
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.classes = classes
        self.optim = optim
        self.clip_norm = clip_norm
        self.test_flip = test_flip
        self.process_group = process_group
        self._make_runner = make_runner

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
        step = TrainStep(
            self.network,
            optimizer,
            self.clip_norm,
            self.process_group,
            self.optim.label_smoothing,
        )
        self.runner = self._make_runner(step)

    @override
    def training_step(self, chunk: range) -> dict[str, Tensor]:
        """Run the steps of a chunk.

        Returns:
            Losses (steps,) and the share of right answers (steps,) of each, on the device.
        """
        losses, accuracies = self.runner.run(chunk)
        # BatchNorm's running statistics too. They update linearly, so averaging once per chunk
        # equals averaging after every step.
        statistics = [one for one in self.network.buffers() if one.is_floating_point()]
        self.process_group.all_reduce_mean([losses, accuracies, *statistics])
        # What Lightning counts as `global_step` where it does not take the steps itself.
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for counted in (progress.total, progress.current):
            counted.ready += len(chunk)
            counted.completed += len(chunk)
        return {"losses": losses, "accuracies": accuracies}

    @override
    def on_validation_epoch_start(self) -> None:
        self._loss_sum = torch.zeros((), device=self.device)
        self.confusion = torch.zeros(
            self.classes, self.classes, dtype=torch.long, device=self.device
        )

    @override
    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()
        self._answers: list[Tensor] = []

    @override
    def validation_step(self, batch: Batch) -> None:
        self._count(batch)

    @override
    def test_step(self, batch: Batch) -> None:
        self._answers.append(answers(self._count(batch), batch[1]))

    def _count(self, batch: Batch) -> Tensor:
        """Add a batch's losses and its counts (true class, predicted class), return its scores."""
        images, labels = batch
        scores = mean_with_mirrored(self, images) if self.test_flip else self(images)
        self._loss_sum += functional.cross_entropy(scores, labels, reduction="sum")
        pairs = labels * self.classes + scores.argmax(1)
        self.confusion += torch.bincount(pairs, minlength=self.classes**2).view_as(self.confusion)
        return scores

    @override
    def on_validation_epoch_end(self) -> None:
        self._log_counts("val")

    @override
    def on_test_epoch_end(self) -> None:
        self._log_counts("test")
        own = torch.cat(self._answers)
        everyone = own.new_zeros(int(self.confusion.sum()), own.shape[1])
        # As `EvalBatches` divides the images among the ranks.
        everyone[self.process_group.rank :: self.process_group.world_size] = own
        self.process_group.all_reduce_sum(everyone)
        self.predictions = to_predictions(everyone)

    def _log_counts(self, split: str) -> None:
        self.process_group.all_reduce_sum(self._loss_sum)
        self.process_group.all_reduce_sum(self.confusion)
        images = self.confusion.sum()
        results = {
            f"{split}/loss": self._loss_sum / images,
            f"{split}/accuracy": self.confusion.trace() / images,
        }
        # The same on every rank by now: sync_dist keeps Lightning from warning that it is not.
        # Lightning would log them at its count of batches: `RunMetrics` logs them at the step.
        self.log_dict(results, sync_dist=True, logger=False)
