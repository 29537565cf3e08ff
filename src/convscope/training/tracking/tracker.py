"""The callback that writes a run's history and TensorBoard scalars as it trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.training.tracking.events import cut_back, event_sizes
from convscope.training.tracking.hparams import close_row
from convscope.training.tracking.throughput import Throughput


class Diverged(UserError):
    """The loss is no number any more."""


class RunTracker(Callback):
    """Writes `train/ val/ optim/ throughput/ memory/` scalars and history.csv.

    Losses are read from the device one chunk late, when they are long there, so that reading does
    not hold up the device. The sizes of the event files travel in the checkpoint: a resumed run
    cuts them, and the history, back to it.

    Args:
        throughput: measured by the callback of that name, which must come before this one.
        batch_size: training images per optimizer step.
        learning_rate: of an optimizer step.
        peak_lr: the largest of them, what to lower where the loss diverges.
        started: called when the files are open, before the first step.

    Raises:
        Diverged: from the end of a chunk or of a validation, when a loss was NaN or infinite.
    """

    def __init__(
        self,
        directory: RunDirectory,
        throughput: Throughput,
        batch_size: int,
        learning_rate: Callable[[int], float],
        peak_lr: float,
        started: Callable[[SummaryWriter], None],
    ) -> None:
        self.directory = directory
        self.throughput = throughput
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.peak_lr = peak_lr
        self._started = started
        self._history = History(directory.history)
        self.epochs = 0
        """Epochs finished."""
        self._sizes: dict[str, int] = {}
        self._pending: tuple[range, LateCopy] | None = None
        self._epoch_values: list[Tensor] = []
        self._writer: SummaryWriter | None = None

    @property
    def writer(self) -> SummaryWriter:
        if self._writer is None:
            raise RuntimeError("no event file is open before training starts")
        return self._writer

    @override
    def state_dict(self) -> dict[str, Any]:
        self.writer.flush()
        return {"epochs": self.epochs, "event_sizes": event_sizes(self.directory.path)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = int(state_dict["epochs"])
        self._sizes = dict(state_dict["event_sizes"])

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cut_back(self.directory.path, self._sizes)
        self._history.cut_back(self.epochs + 1)
        self._writer = SummaryWriter(str(self.directory.path))
        if not self._sizes:
            self._started(self._writer)

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
        self._write_pending()
        values = LateCopy(torch.stack([outputs["losses"], outputs["accuracies"]]))
        self._pending = batch, values
        if trainer.is_last_batch or trainer.should_stop:
            self._write_pending()

    def _write_pending(self) -> None:
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
        for tag, value in (
            ("train/loss", loss),
            ("train/accuracy", accuracy),
            ("optim/lr", self.learning_rate(chunk.stop)),
        ):
            self.writer.add_scalar(tag, value, chunk.stop, new_style=True)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not math.isfinite(val_loss := float(trainer.callback_metrics["val/loss"])):
            raise self._diverged("validation loss", val_loss, trainer.global_step)
        loss, accuracy = torch.cat(self._epoch_values, dim=1).mean(dim=1).tolist()
        row: dict[str, float] = {
            "train/loss": loss,
            "train/accuracy": accuracy,
            "optim/lr": self.learning_rate(trainer.global_step),
        }
        for tag in ("val/loss", "val/accuracy"):
            row[tag] = float(trainer.callback_metrics[tag])
        row |= self._measured(pl_module.device)
        for tag, value in row.items():
            if not tag.startswith(("train/", "optim/")):
                self.writer.add_scalar(tag, value, trainer.global_step, new_style=True)
        self.epochs += 1
        self._history.append({"epoch": self.epochs, "step": trainer.global_step, **row})

    def _diverged(self, name: str, loss: float, step: int) -> Diverged:
        return Diverged(
            f"the {name} is {loss:.0f} at step {step}; the learning rate is the likely cause:"
            f" try optim.lr={lr_below(self.peak_lr)}"
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

    def fail(self) -> None:
        """Say in HPARAMS that the run failed; nothing happens where no event file is open."""
        if self._writer is not None:
            close_row(self._writer, succeeded=False)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


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
        if self._event is not None:
            self._event.synchronize()
        return self._values.cpu()


def lr_below(lr: float) -> str:
    """A tenth of a learning rate, in as few digits as serve."""
    return f"{lr / 10:.1g}"
