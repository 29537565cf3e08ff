"""Images and steps that a run uses, given its limits, batch size and data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.runs.record import RunRecord


def limit_batches(batches: int, limit: int | float) -> int:
    """Return the number of batches within one of Lightning's limits: a count or a share (float)."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def data_usage(record: RunRecord) -> dict[str, int | None]:
    """Return what a run used: from its record, else computed by `planned_usage`.

    `most_frequent` (test images of the most frequent class) is None if the record lacks it.
    """
    known = planned_usage(record.config, record.dataset)
    return {"most_frequent": None, **known, **record.dataset.get("used", {})}


def planned_usage(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the images and optimizer steps that a config will use.

    Args:
        config: Resolved, as in a record; a missing limit is no limit.
        dataset: Images of each part: `train`, `val`, `test`.

    Returns:
        Images of a training epoch (`train`), of a validation (`val`) and of the test (`test`), and
        the total of optimizer steps (`steps`); None if the part's size is unknown, or if the number
        of steps depends on `max_time`.
    """
    batch_size: int = config["data"]["batch_size"]
    trainer = config["trainer"]
    fast = int(trainer.get("fast_dev_run") or 0)

    def batches(there: int, part: str) -> int:
        left = limit_batches(there, trainer.get(f"limit_{part}_batches", 1.0))
        return min(there, fast) if fast else left

    def images(part: str) -> int | None:
        size: int | None = dataset[part]
        if size is None:
            return None
        return min(size, batches(-(-size // batch_size), part) * batch_size)

    train = dataset["train"]
    if train is None:
        epoch, steps = None, None
    else:
        # Training batches are full: the remaining images of an epoch are dropped.
        per_epoch = batches(train // batch_size, "train")
        steps = _steps(trainer, per_epoch, fast=bool(fast))
        epoch = min(per_epoch, steps or per_epoch) * batch_size
    return {"train": epoch, "val": images("val"), "test": images("test"), "steps": steps}


def _steps(trainer: Mapping[str, Any], per_epoch: int, *, fast: bool) -> int | None:
    if fast:
        return per_epoch
    if trainer.get("max_time"):
        return None
    epochs: int | None = trainer.get("max_epochs")
    most: int | None = trainer.get("max_steps")
    bounds = [None if epochs is None else epochs * per_epoch, most]
    return min((bound for bound in bounds if bound is not None), default=None)
