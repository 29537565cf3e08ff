"""What a run uses of its data set: limits, batch size and steps leave less than there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.runs.record import RunRecord


def limit_batches(batches: int, limit: int | float) -> int:
    """Batches that a limit in Lightning's meaning leaves: an int counts, a float is a share."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def used(record: RunRecord) -> dict[str, int | None]:
    """Return what a run used: as its record says, else as `planned_use` works it out.

    `most_frequent` is None where the record does not say it.
    """
    known = planned_use(record.config, record.dataset)
    return {"most_frequent": None, **known, **record.dataset.get("used", {})}


def planned_use(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, int | None]:
    """Work out images and optimizer steps that follow from a config and the sizes of its data set.

    Args:
        config: resolved, as a record holds it; a limit that it lacks limits nothing.
        dataset: with the images of each part: `train`, `val`, `test`.

    Returns:
        Images of a training epoch (`train`), of a validation (`val`) and of the test (`test`), and
        optimizer steps in all (`steps`): None where the part's size is unknown, or where only
        `max_time` can tell.
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
        # A training batch is full: what is left of an epoch is dropped.
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
