"""What a search can look for: metrics of the registry."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.config.errors import near
from convscope.config.schema import as_typed
from convscope.errors import UserError
from convscope.metrics import Metric, metrics_of
from convscope.runs.record import RunRecord


def objectives() -> dict[str, Metric]:
    """The metrics that a search can look for, by tag; `val/accuracy` is that of the best epoch."""
    return {metric.tag: metric for metric in metrics_of("search")}


def objectives_of(typed: object) -> tuple[Metric, ...]:
    """The objectives that `objective=` names, one or a list.

    Raises:
        UserError: one that is none, that is named twice, or of the test set.
    """
    tags = list(typed) if isinstance(typed, list) else [typed]
    if not tags or len(set(map(str, tags))) < len(tags):
        raise UserError(f"objective must name each tag once, got {as_typed(typed)}")
    return tuple(map(_objective, tags))


def _objective(tag: object) -> Metric:
    known = objectives()
    if isinstance(tag, str) and tag in known:
        return known[tag]
    got = as_typed(tag)
    if got.rpartition("/")[2] in ("test_accuracy", "test_loss") or got.startswith("test/"):
        raise UserError(
            f"objective cannot be {got}: the test set cannot judge what it has chosen\n"
            "use objective=val/accuracy"
        )
    raise UserError(
        f"objective must be one of {', '.join(known)}, got {got}"
        + near(got, list(known), prefix="objective=")
    )


def measured(record: RunRecord, objectives: Sequence[Metric]) -> tuple[float, ...] | None:
    """The record's value of each objective; None where it has not finished, or lacks one."""
    values = [record.metrics.get(objective.name) for objective in objectives]
    if record.status != "finished" or None in values:
        return None
    return tuple(value for value in values if value is not None)
