"""samples/s: training samples over the wall time of the training steps only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup


@dataclass(frozen=True)
class Rate:
    """Items counted over seconds of wall time."""

    items: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Items per second."""
        return self.items / self.seconds


class Stopwatch:
    """Counts items between `start` and `stop`; reads the clock only there.

    Args:
        clock: seconds, as `time.perf_counter`.
        synchronize: waits until the device has done all that it was given.
    """

    def __init__(self, clock: Callable[[], float], synchronize: Callable[[], None]) -> None:
        self._clock = clock
        self._synchronize = synchronize
        self._started: float | None = None
        self._items = 0

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._started is not None

    def start(self) -> None:
        """Begin to count, from 0, once the device is idle."""
        self._synchronize()
        self._started, self._items = self._clock(), 0

    def count(self, items: int) -> None:
        """Add items, if it runs."""
        if self.running:
            self._items += items

    def stop(self) -> Rate | None:
        """Return the rate since `start`; None if it was not started, or nothing was counted."""
        if self._started is None:
            return None
        self._synchronize()
        rate = Rate(self._items, self._clock() - self._started)
        self._started = None
        return rate if rate.items else None


class Throughput(Callback):
    """Measures optimizer steps and evaluation images per second, epoch by epoch.

    The first chunk of steps of a process, warm-up and compilation, is not counted; validation and
    checkpoints lie outside the window.

    Attributes:
        steps: of the epoch's training; None where it had only the warm-up.
        images: of the last validation.
    """

    def __init__(
        self,
        device: torch.device,
        clock: Callable[[], float] = time.perf_counter,
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._process_group = process_group
        self._training = Stopwatch(clock, synchronizer(device))
        self._evaluation = Stopwatch(clock, synchronizer(device))
        self._warm = False
        self.steps: Rate | None = None
        self.images: Rate | None = None

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.steps = None

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: range, batch_idx: int
    ) -> None:
        if self._warm and not self._training.running:
            self._training.start()

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: range,
        batch_idx: int,
    ) -> None:
        self._warm = True
        self._training.count(len(batch))
        if trainer.is_last_batch or trainer.should_stop:
            self.steps = self._training.stop()

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluation.start()

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: tuple[torch.Tensor, torch.Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        # The other ranks have as many, or one less.
        self._evaluation.count(len(batch[1]) * self._process_group.world_size)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.images = self._evaluation.stop()


def synchronizer(device: torch.device) -> Callable[[], None]:
    """Return what waits until a device has done all that it was given; the CPU has done it."""
    waits = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    return waits.get(device.type, lambda: None)
