"""Many steps, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from convscope.data.batches import BatchInputs, TrainBatches
from convscope.training.step.update import Update


class EagerSteps:
    """Takes the steps of a chunk one by one, as plain PyTorch does.

    Args:
        after_step: called after each; must not read the device.
    """

    def __init__(
        self, update: Update, batches: TrainBatches, after_step: Callable[[], None]
    ) -> None:
        self.update = update
        self.batches = batches
        self.after_step = after_step

    def take(self, inputs: BatchInputs, learning_rates: Sequence[float]) -> tuple[Tensor, Tensor]:
        """One step for each learning rate.

        Args:
            inputs: of so many steps.

        Returns:
            losses (steps,) and shares of right answers (steps,), on the device.
        """
        losses, accuracies = [], []
        for number, rate in enumerate(learning_rates):
            set_learning_rate(self.update.optimizer, rate)
            loss, accuracy = self.update(self.batches.make(inputs.step(number)))
            losses.append(loss)
            accuracies.append(accuracy)
            self.after_step()
        return torch.stack(losses), torch.stack(accuracies)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
