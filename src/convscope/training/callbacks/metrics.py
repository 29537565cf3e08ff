"""The callback that logs a run's metrics and writes its history as it trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger
from torch import Tensor
from typing_extensions import override

from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.training.callbacks.throughput import Throughput
from convscope.training.tensorboard.logger import event_sizes


class LossDiverged(UserError):
    """A loss is NaN or infinite."""


@dataclass(eq=False)
class RunMetrics(Callback):
    """Logs `train/ val/ optim/ throughput/ memory/` to all loggers, and writes history.csv.

    Losses are read from the device one chunk late, when they are long there, so that reading does
    not hold up the device. The sizes of the event files travel in the checkpoint: a resumed run
    cuts them back to it.

    Args:
        throughput: measured by the callback of that name, which must come before this one.
        batch_size: training images per optimizer step.
        learning_rate: of an optimizer step.
        peak_lr: the largest of them, what to lower where the loss diverges.
        loggers: the trainer's.

    Raises:
        LossDiverged: from the end of a chunk or of a validation, when a loss was NaN or infinite.
    """

    directory: RunDirectory
    throughput: Throughput
    batch_size: int
    learning_rate: Callable[[int], float]
    peak_lr: float
    loggers: Sequence[Logger]

    def __post_init__(self) -> None:
        self.epochs = 0
        """Epochs finished."""
        self._pending: tuple[range, LateCopy] | None = None
        self._epoch_values: list[Tensor] = []

    @property
    @override
    def state_key(self) -> str:
        """The key in checkpoints: that of version 0.1.0, whose interrupted runs resume."""
        return "RunTracker"

    @override
    def state_dict(self) -> dict[str, Any]:
        for logger in self.loggers:
            logger.save()
        return {"epochs": self.epochs, "event_sizes": event_sizes(self.directory.path)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = int(state_dict["epochs"])

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch_values = []

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: range,
        batch_idx: int,
    ) -> None:
        self._log_pending()
        values = LateCopy(torch.stack([outputs["losses"], outputs["accuracies"]]))
        self._pending = batch, values
        if trainer.is_last_batch or trainer.should_stop:
            self._log_pending()

    def _log_pending(self) -> None:
        if self._pending is None:
            return
        chunk, copy = self._pending
        self._pending = None
        values = copy.read()
        loss, accuracy = values.mean(dim=1).tolist()
        if not math.isfinite(loss):
            first = int((~values[0].isfinite()).nonzero()[0])
            raise self._diverged("loss", float(values[0, first]), chunk[first] + 1)
        self._epoch_values.append(values)
        rate = self.learning_rate(chunk.stop)
        self._log({"train/loss": loss, "train/accuracy": accuracy, "optim/lr": rate}, chunk.stop)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        evaluated = {
            tag: float(trainer.callback_metrics[tag]) for tag in ("val/loss", "val/accuracy")
        }
        if not math.isfinite(evaluated["val/loss"]):
            raise self._diverged("validation loss", evaluated["val/loss"], step)
        measured = evaluated | self._measured(pl_module.device)
        self._log(measured, step)
        self.epochs += 1
        loss, accuracy = torch.cat(self._epoch_values, dim=1).mean(dim=1).tolist()
        trained = {
            "train/loss": loss,
            "train/accuracy": accuracy,
            "optim/lr": self.learning_rate(step),
        }
        History(self.directory.history).append(
            {"epoch": self.epochs, "step": step, **trained, **measured}
        )

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        for logger in self.loggers:
            logger.log_metrics(dict(metrics), step)

    def _diverged(self, name: str, loss: float, step: int) -> LossDiverged:
        return LossDiverged(
            f"the {name} is {loss:.0f} at step {step}; the learning rate is the likely cause:"
            f" try optim.lr={suggest_lower_lr(self.peak_lr)}"
        )

    def _measured(self, device: torch.device) -> dict[str, float]:
        measured = {}
        if self.throughput.steps is not None:
            rate = self.throughput.steps.per_second
            measured["throughput/train_samples_per_sec"] = rate * self.batch_size
            measured["throughput/step_ms"] = 1000 / rate
        if self.throughput.images is not None:
            measured["throughput/eval_samples_per_sec"] = self.throughput.images.per_second
        if device.type == "cuda":
            measured["memory/peak_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
        return measured


class LateCopy:
    """A copy of a tensor to the host that does not wait for the device until it is read."""

    def __init__(self, values: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        self._values = values
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def read(self) -> Tensor:
        """Wait for the copy and return it, on the CPU."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.cpu()


def suggest_lower_lr(lr: float) -> str:
    """Return a tenth of a learning rate, in as few digits as serve."""
    return f"{lr / 10:.1g}"
