"""Objectives of a search, and the outcomes of the variants that were tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from convscope.config.errors import did_you_mean
from convscope.config.schema import as_typed
from convscope.errors import UserError
from convscope.metrics import Metric, metrics_of
from convscope.runs.record import RunRecord
from convscope.sweep.search.space import Candidate

Outcome = Literal["measured", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """A candidate whose run has ended.

    Attributes:
        candidate: the run and its points.
        record: the run's record.
        values: one per objective; None unless `outcome` is `measured`.
    """

    candidate: Candidate
    record: RunRecord
    values: tuple[float, ...] | None

    @property
    def outcome(self) -> Outcome:
        """`pruned` for an impossible variant; `failed` also for a run that lacks an objective."""
        if self.record.status == "skipped":
            return "pruned"
        return "failed" if self.values is None else "measured"


def trial_of(candidate: Candidate, record: RunRecord, objectives: Sequence[Metric]) -> Trial:
    """Return the trial of a candidate whose run ended with this record."""
    return Trial(candidate, record, measured(record, objectives))


def known_trials(candidates: Sequence[Candidate], objectives: Sequence[Metric]) -> list[Trial]:
    """Return the trials that are recorded on disk, in the order in which their runs ended.

    Failed runs are excluded: as in a sweep, the same command tries them again.
    """
    trials = [
        trial_of(one, one.run.record, objectives)
        for one in candidates
        if one.run.record is not None and one.run.state in ("finished", "impossible")
    ]
    return sorted(trials, key=lambda trial: (trial.record.ended_at or "", trial.record.id))


def started(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that were interrupted, failed, or are trained by another process."""
    states = ("interrupted", "failed", "running")
    return [one for one in candidates if one.run.state in states]


def objectives() -> dict[str, Metric]:
    """Return the possible objectives by tag; `val/accuracy` is that of the best epoch."""
    return {metric.tag: metric for metric in metrics_of("search")}


def objectives_of(typed: object) -> tuple[Metric, ...]:
    """Return the objectives that `objective=` names.

    Args:
        typed: a tag or a list of tags.

    Raises:
        UserError: an unknown objective, a duplicate, or a metric of the test set.
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
        + did_you_mean(got, list(known), prefix="objective=")
    )


def measured(record: RunRecord, objectives: Sequence[Metric]) -> tuple[float, ...] | None:
    """Return the record's value of each objective; None if it lacks one or is not finished."""
    values = [record.metrics.get(objective.name) for objective in objectives]
    if record.status != "finished" or None in values:
        return None
    return tuple(value for value in values if value is not None)


def outcome_text(trial: Trial, objectives: Sequence[Metric]) -> str:
    """Return variant and outcome: `k3-s2-p1 measured: validation 97.52 %, 34,000 samples/s`."""
    detail = trial.record.reason
    if trial.values is not None:
        detail = values_text(trial.values, objectives)
    elif trial.record.status == "finished":
        missing = [one.tag for one in objectives if trial.record.metrics.get(one.name) is None]
        detail = f"the run has no {' and no '.join(missing)}"
    return f"{trial.record.variant} {trial.outcome}: {detail}"


def values_text(values: Sequence[float], objectives: Sequence[Metric]) -> str:
    """Return the values as text: `validation 97.52 %, 34,000 samples/s`."""
    return ", ".join(
        objective.describe(value) for objective, value in zip(objectives, values, strict=True)
    )


def count_outcomes(trials: Sequence[Trial]) -> str:
    """Return the number of trials per outcome: `12 measured, 3 pruned`."""
    counts = Counter(trial.outcome for trial in trials)
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
