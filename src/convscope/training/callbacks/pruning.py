"""Asynchronous successive halving: the end of runs that are worse than others of their study.

Runs are compared after half of their epochs, and after a quarter of 8 or more, by validation
accuracy. One below the median ends, as in the stopping variant of ASHA: successive halving
(Jamieson and Talwalkar, 2016, arXiv:1502.07943) without waiting for all runs (Li et al., 2020,
arXiv:1810.05934), at eta = 2. All it needs is on the disk, so that it does not matter which process
trains a run, or how often.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning import Callback, Trainer
from typing_extensions import override

from convscope.errors import UserError
from convscope.networks.matching import unscaled
from convscope.runs.directory import RunDirectory, study_runs
from convscope.runs.history import History
from convscope.runs.identity import identity
from convscope.runs.record import read_record
from convscope.text import percent
from convscope.training.request import RunRequest, resolved

log = logging.getLogger(__name__)

LEAST = 4
"""Variants that must have reached a rung before one is pruned there."""


def rungs(epochs: int) -> set[int]:
    """Return the epochs after which a run of so many is compared: a quarter and half, rounded up.

    After less than two whole epochs the order of variants says little of the last one's: so no
    quarter of fewer than 8 epochs (docs/decisions/pruning.md).
    """
    parts = (4, 2) if epochs >= 8 else (2,)
    return {-(-epochs // part) for part in parts} - {epochs}


def is_pruned(own: float, others: Mapping[str, float]) -> bool:
    """Return whether a validation accuracy is in the lower half: below the median of all.

    So at most half are pruned, and none because of a tie.

    Args:
        own: the run's.
        others: of the others that have reached the same epoch, by identity.
    """
    return len(others) + 1 >= LEAST and own < statistics.median([own, *others.values()])


def reason_to_prune(request: RunRequest) -> str | None:
    """Return why a run that has just finished an epoch ends there; None if it goes on.

    It is compared with the runs of its study that differ from it only in their convolutions.

    Args:
        request: the run, with the epoch in its history.

    Raises:
        UserError: the run's own history or its study cannot be read.
    """
    accuracies = _accuracies(request.directory)
    epoch, epochs = max(accuracies, default=0), request.steps.epochs
    if epoch not in rungs(epochs):
        return None
    own, others = accuracies[epoch], dict(_others(request, epoch))
    if not is_pruned(own, others):
        return None
    median = statistics.median([own, *others.values()])
    return (
        f"after {epoch} of {epochs} epochs its validation accuracy, {percent(own)}, was in the"
        f" lower half of {len(others) + 1} variants (median {percent(median)})"
    )


def _accuracies(directory: RunDirectory) -> dict[int, float]:
    """Return a run's validation accuracy by epoch; NaN where it is not known."""
    return {
        int(row["epoch"] or 0): math.nan if value is None else float(value)
        for row in History(directory.history).read()
        for value in [row["val/accuracy"]]
    }


def _others(request: RunRequest, epoch: int) -> Iterator[tuple[str, float]]:
    """Yield identity and validation accuracy of each other run that has finished an epoch."""
    setting = _setting(resolved(request.variant, request.images, request.hardware))
    for directory in study_runs(request.directory.path.parent)[0]:
        try:
            record = read_record(directory.record)
            if record.id == request.id or _setting(record.config) != setting:
                continue
            accuracy = _accuracies(directory).get(epoch, math.nan)
        except UserError as error:
            log.warning("not compared with this run: %s", error)
            continue
        if math.isfinite(accuracy):
            yield record.id, accuracy


def _setting(config: Mapping[str, Any]) -> str:
    """Return what variants that are compared have in common: all of a config but `conv`.

    The channels are those before `match=macs` scaled them for each variant.
    """
    others = {key: value for key, value in config.items() if key != "conv"}
    return identity({**others, "model": unscaled(config.get("model", {}))})


@dataclass(eq=False)
class Pruning(Callback):
    """Ends a run in the lower half of its study; to come after the one that writes its history.

    The epoch's checkpoint is still written, so that the run can be continued. A run that is resumed
    after the epoch of a comparison is compared again.

    Attributes:
        reason: why the run was ended; None where it was not.
    """

    request: RunRequest
    reason: str | None = None

    @override
    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        self._compare(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self._compare(trainer)

    def _compare(self, trainer: Trainer) -> None:
        self.reason = reason_to_prune(self.request)
        trainer.should_stop = trainer.should_stop or self.reason is not None
