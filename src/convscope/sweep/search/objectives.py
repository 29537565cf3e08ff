"""What a search can look for, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convscope.config.errors import near
from convscope.config.schema import as_typed
from convscope.errors import UserError
from convscope.runs.record import RunRecord
from convscope.text import count, percent


@dataclass(frozen=True)
class Objective:
    """One of `OBJECTIVES`.

    Attributes:
        tag: TensorBoard's.
        metric: the record's.
        sign: 1 where more is better, -1 where less is.
        text: a value in words.
    """

    tag: str
    metric: str
    sign: int
    text: Callable[[float], str]

    @property
    def is_speed(self) -> bool:
        """Whether it depends on what else the machine does."""
        return self.tag.startswith("throughput/")


OBJECTIVES = {
    objective.tag: objective
    for objective in (
        # Of the best epoch, whose checkpoint is kept.
        Objective("val/accuracy", "best_val_accuracy", 1, lambda v: f"validation {percent(v)}"),
        Objective(
            "throughput/train_samples_per_sec",
            "train_samples_per_sec",
            1,
            lambda v: f"{count(v)} samples/s",
        ),
        Objective("throughput/step_ms", "step_ms", -1, lambda v: f"{v:.3g} ms a step"),
        Objective("memory/peak_mb", "peak_mb", -1, lambda v: f"{count(v)} MiB at its peak"),
        Objective("summary/macs", "macs", -1, lambda v: f"{count(v)} MACs"),
        Objective("summary/params", "params", -1, lambda v: f"{count(v)} parameters"),
    )
}


def objectives_of(typed: object) -> tuple[Objective, ...]:
    """The objectives that `objective=` names, one or a list.

    Raises:
        UserError: one that is none, that is named twice, or of the test set.
    """
    tags = list(typed) if isinstance(typed, list) else [typed]
    if not tags or len(set(map(str, tags))) < len(tags):
        raise UserError(f"objective must name each tag once, got {as_typed(typed)}")
    return tuple(map(_objective, tags))


def _objective(tag: object) -> Objective:
    if isinstance(tag, str) and tag in OBJECTIVES:
        return OBJECTIVES[tag]
    got = as_typed(tag)
    if got.rpartition("/")[2] in ("test_accuracy", "test_loss") or got.startswith("test/"):
        raise UserError(
            f"objective cannot be {got}: the test set cannot judge what it has chosen\n"
            "use objective=val/accuracy"
        )
    raise UserError(
        f"objective must be one of {', '.join(OBJECTIVES)}, got {got}"
        + near(got, list(OBJECTIVES), prefix="objective=")
    )


def measured(record: RunRecord, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The record's value of each objective; None where it has not finished, or lacks one."""
    values = [record.metrics.get(objective.metric) for objective in objectives]
    if record.status != "finished" or None in values:
        return None
    return tuple(value for value in values if value is not None)
