"""What was tried, and what was begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from convscope.metrics import Metric
from convscope.runs.record import RunRecord
from convscope.sweep.search.objectives import measured
from convscope.sweep.search.space import Candidate

Outcome = Literal["measured", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """A candidate whose run has ended.

    Attributes:
        values: one per objective; None unless its outcome is `measured`.
    """

    candidate: Candidate
    record: RunRecord
    values: tuple[float, ...] | None

    @property
    def outcome(self) -> Outcome:
        """`pruned` is an impossible variant; a run that lacks an objective has failed to tell."""
        if self.record.status == "skipped":
            return "pruned"
        return "failed" if self.values is None else "measured"


def trial_of(candidate: Candidate, record: RunRecord, objectives: Sequence[Metric]) -> Trial:
    return Trial(candidate, record, measured(record, objectives))


def known_trials(candidates: Sequence[Candidate], objectives: Sequence[Metric]) -> list[Trial]:
    """What the study's records tell, in the order in which the runs ended.

    Failed runs are not among them: as in a sweep, the same command tries them again.
    """
    trials = [
        trial_of(one, one.run.record, objectives)
        for one in candidates
        if one.run.record is not None and one.run.state in ("finished", "impossible")
    ]
    return sorted(trials, key=lambda trial: (trial.record.ended_at or "", trial.record.id))


def begun(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that were interrupted, have failed, or are being trained by another process."""
    states = ("interrupted", "failed", "running")
    return [one for one in candidates if one.run.state in states]
