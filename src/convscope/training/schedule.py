"""How many optimizer steps a run takes, in which chunks, and at which learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from convscope.config.schema import TrainerConfig
from convscope.errors import UserError
from convscope.runs.usage import limit_batches

WARMUP_STEPS = 10
"""Steps of an epoch's first chunk; no throughput counts the first chunk of a process."""


@dataclass(frozen=True)
class StepPlan:
    """How many optimizer steps a run takes."""

    per_epoch: int
    """Optimizer steps of a whole epoch."""
    total: int
    """Optimizer steps of the run; its last epoch may be cut short by them."""

    @property
    def epochs(self) -> int:
        """Epochs, the last of which may be cut short."""
        return -(-self.total // self.per_epoch)


def plan_steps(trainer: TrainerConfig, train_size: int, batch_size: int) -> StepPlan:
    """Count steps as Lightning does: an epoch is `train_size // batch_size` full batches, limited.

    Raises:
        UserError: the batch is larger than the training set, or a limit leaves no step.
    """
    if batch_size > train_size:
        raise UserError(
            f"data.batch_size must be at most the {train_size} training images, got {batch_size}"
        )
    per_epoch = limited(
        train_size // batch_size, trainer.limit_train_batches, "trainer.limit_train_batches"
    )
    if trainer.fast_dev_run:
        per_epoch = min(per_epoch, int(trainer.fast_dev_run))
        return StepPlan(per_epoch, per_epoch)
    bounds = []
    if trainer.max_epochs is not None:
        bounds.append(trainer.max_epochs * per_epoch)
    if trainer.max_steps is not None:
        bounds.append(trainer.max_steps)
    return StepPlan(per_epoch, min(bounds))


def limited(batches: int, limit: int | float, key: str) -> int:
    """So many of `batches` as a limit in Lightning's meaning leaves: int a count, float a share.

    Raises:
        UserError: none is left.
    """
    left = limit_batches(batches, limit)
    if left < 1:
        raise UserError(f"{key} must leave at least 1 of {batches} batches, got {limit}")
    return left


def longest_chunk(chunk_steps: int) -> int:
    """Return the steps of the longest chunk that `StepChunks` gives."""
    return max(chunk_steps, WARMUP_STEPS)


@dataclass(frozen=True)
class StepChunks:
    """An epoch's steps as ranges of global step, a function of the global step only.

    An epoch's first chunk is short: throughput is counted from the end of a process's first. That
    it is so in every epoch lets a resumed run average its losses over the chunks of one that never
    stopped.

    It has no length on purpose: Lightning then validates after the last chunk, also where
    `max_steps` cuts the epoch short.

    Args:
        plan: the run's steps.
        chunk_steps: a later chunk ends wherever global step is a multiple of this.
        global_step: optimizer steps taken so far.
    """

    plan: StepPlan
    chunk_steps: int
    global_step: Callable[[], int]

    def __iter__(self) -> Iterator[range]:
        step = self.global_step()
        epoch_end = (step // self.plan.per_epoch + 1) * self.plan.per_epoch
        end = min(epoch_end, self.plan.total)
        stop = min(step + WARMUP_STEPS, end)
        while step < end:
            yield range(step, stop)
            step, stop = stop, min((stop // self.chunk_steps + 1) * self.chunk_steps, end)


_FIRST, _LAST = 1 / 25, 1 / 25e4
"""Of the peak: `div_factor` and `final_div_factor` of PyTorch's OneCycleLR."""


def one_cycle(step: int, total_steps: int, peak: float, warmup: float) -> float:
    """Return the learning rate of optimizer step `step`, from 0: along cosines up and down.

    The 1cycle policy (Smith and Topin, 2017, arXiv:1708.07120) as `torch.optim.lr_scheduler.
    OneCycleLR(total_steps=total_steps + 1, cycle_momentum=False)` computes it; the point after the
    last step is the end of its descent.

    Args:
        step: optimizer steps taken before.
        total_steps: optimizer steps of the run.
        peak: the largest learning rate.
        warmup: share of the steps over which it climbs.
    """
    top = warmup * (total_steps + 1) - 1
    if step < top:
        return _cosine(peak * _FIRST, peak, step / top)
    return _cosine(peak, peak * _LAST, (step - top) / (total_steps - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
