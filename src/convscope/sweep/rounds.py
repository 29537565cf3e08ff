"""A sweep in rounds: what is wanted next is a function of the records so far.

Nothing else is remembered, so that a sweep that was interrupted continues by asking again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from convscope.runs.record import RunRecord
from convscope.sweep.plan import PlannedRun, done_and_left, plan_runs
from convscope.training.request import RunRequest

log = logging.getLogger(__name__)

Records = dict[str, RunRecord]
"""Records of runs that have ended, by identity."""


class Strategy(Protocol):
    """Decides which runs a sweep trains, from the records of those that have ended."""

    def wanted(self, records: Records) -> list[RunRequest]:
        """Return all runs wanted so far, with those that have ended; a run may occur twice.

        A pure function. What is wanted with some records is wanted with more records, too. A failed
        run has ended: it is not tried again in this command.
        """

    def at_most(self, records: Records) -> list[RunRequest]:
        """Return all runs that may be wanted in the end, for the plan."""

    def reason(self, records: Records) -> str:
        """Return a line on why the runs that have not ended are wanted; "" for none."""


@dataclass(frozen=True)
class EveryRun(Strategy):
    """Wants the same runs whatever the records: an ordinary sweep."""

    requests: Sequence[RunRequest]

    @override
    def wanted(self, records: Records) -> list[RunRequest]:
        return list(self.requests)

    @override
    def at_most(self, records: Records) -> list[RunRequest]:
        return list(self.requests)

    @override
    def reason(self, records: Records) -> str:
        return ""


class Rounds:
    """The runs that a strategy has wanted so far, and the records of those that have ended.

    Args:
        strategy: decides which runs are wanted.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.runs: dict[str, PlannedRun] = {}
        """By identity, in the order in which they were wanted."""
        self.records: Records = {}
        """The caller adds those of runs that it trains."""

    def next_round(self) -> list[PlannedRun]:
        """Return the runs to train next, after a line on why; empty if all wanted have ended.

        Runs that are completed on disk are added to `records`.
        """
        while new := self._new():
            reason = self._strategy.reason(self.records)
            if reason:
                log.info(reason)
            done, left = self._add(new)
            if done:
                log.info(f"{len(done)} of {len(new)} runs are done already")
            if left:
                return left
        return []

    def planned(self) -> list[PlannedRun]:
        """Return all runs that may be wanted in the end, with their progress on disk."""
        while new := self._new():
            _, left = self._add(new)
            if left:
                break
        return plan_runs(self._strategy.at_most(self.records))

    def _new(self) -> list[PlannedRun]:
        wanted = self._strategy.wanted(self.records)
        return plan_runs([request for request in wanted if request.id not in self.runs])

    def _add(self, new: Sequence[PlannedRun]) -> tuple[Records, list[PlannedRun]]:
        self.runs |= {run.request.id: run for run in new}
        done, left = done_and_left(new)
        self.records |= done
        return done, left
