"""What the terminal shows while a run trains: a bar, and a line per epoch."""

from __future__ import annotations

import logging
import sys
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar as LightningProgressBar
from tqdm import tqdm
from typing_extensions import override

from convscope.text import count, percent
from convscope.training.callbacks.throughput import Throughput

log = logging.getLogger(__name__)


class EpochProgress(LightningProgressBar):
    """Counts optimizer steps, which it knows without reading the device.

    Args:
        total_steps, epochs: of the whole run.
        throughput: what measured the epoch that a line tells of.
        show_bar: draw the bar; it is drawn only on a terminal.
    """

    def __init__(
        self,
        total_steps: int,
        epochs: int,
        throughput: Throughput,
        batch_size: int,
        show_bar: bool,
    ) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.epochs = epochs
        self.throughput = throughput
        self.batch_size = batch_size
        self.show_bar = show_bar and sys.stderr.isatty()
        self._bar: tqdm[Any] | None = None

    @override
    def disable(self) -> None:
        """Draw no bar: so Lightning asks where other ranks than the first train."""
        self.show_bar = False

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = tqdm(
            total=self.total_steps,
            initial=trainer.global_step,
            unit="step",
            leave=False,
            dynamic_ncols=True,
            disable=not self.show_bar,
        )

    def step(self) -> None:
        """Count one optimizer step."""
        if self._bar is not None:
            self._bar.update()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = trainer.callback_metrics
        rate = self.throughput.steps
        samples = rate.per_second * self.batch_size if rate else None
        line = (
            f"epoch {trainer.current_epoch + 1}/{self.epochs}"
            f"  val accuracy {percent(float(metrics['val/accuracy']))}"
            f"  val loss {float(metrics['val/loss']):.4f}"
            f"  {count(samples)} samples/s"
        )
        with tqdm.external_write_mode(file=sys.stderr):
            log.info(line)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
