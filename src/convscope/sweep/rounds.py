"""A sweep in rounds: what is wanted next is a function of the records so far.

Nothing else is remembered, so that a sweep that was interrupted continues by asking again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from typing_extensions import override

from convscope.errors import UserError
from convscope.runs.identity import identity, without_seed
from convscope.runs.lock import RunLocked
from convscope.runs.record import RunRecord
from convscope.runs.tuning import is_trial
from convscope.sweep.plan import PlannedRun, done_and_left, epochs_done, plan_runs
from convscope.sweep.train_all import wait_for
from convscope.text import counted
from convscope.training.record import amend_record
from convscope.training.request import RunRequest, resolved

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

    def plan_note(self, records: Records, seconds: Mapping[str, float]) -> str:
        """Return a line on `at_most`, to be printed below the plan; "" for none.

        Args:
            records: as for `wanted`.
            seconds: estimated time of each run of the plan, by identity.
        """
        return ""

    def conclusion(self, records: Records) -> list[str]:
        """Return lines on what the records have decided, once the sweep ends."""
        return []


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


class Survivors(Strategy):
    """Wants further seeds of a variant once its first seed has ended and was not pruned.

    Only first seeds are pruned. Were the others too, a variant would lose its worse seeds, and its
    mean would be too high.

    Args:
        requests: all runs that the sweep trains at most; the first of a variant is its first seed.
    """

    def __init__(self, requests: Sequence[RunRequest]) -> None:
        first: dict[str, str] = {}
        self._runs: list[tuple[RunRequest, str]] = []
        """Runs, later seeds with `prune=false`, and the identity of the variant's first seed."""
        for request in requests:
            config = resolved(request.variant, request.images, request.hardware)
            own = first.setdefault(identity(without_seed(config)), request.id)
            self._runs.append((request if own == request.id else _unpruned(request), own))

    @override
    def wanted(self, records: Records) -> list[RunRequest]:
        return [
            request
            for request, first in self._runs
            if request.id == first or (first in records and records[first].status != "pruned")
        ]

    @override
    def at_most(self, records: Records) -> list[RunRequest]:
        return [request for request, _ in self._runs]

    @override
    def reason(self, records: Records) -> str:
        pruned = _pruned(records)
        return f"no further seeds of {counted(pruned, 'pruned variant')}" if pruned else ""

    @override
    def conclusion(self, records: Records) -> list[str]:
        """Return how many variants were pruned, and what that saved."""
        pruned = _pruned(records)
        is_complete = all(
            request.id in records and records[request.id].status != "interrupted"
            for request in self.wanted(records)
        )
        if not pruned or not is_complete:
            return []
        runs = {
            run.id: (run, first) for run, first in self._runs if run.variant.geometry is not None
        }
        trained = sum(
            one.steps.epochs if records[one.id].status != "pruned" else epochs_done(one.directory)
            for one, _ in runs.values()
            if one.id in records
        )
        epochs = sum(one.steps.epochs for one, _ in runs.values())
        variants = len({first for _, first in runs.values()})
        return [
            f"{pruned} of {counted(variants, 'variant')} pruned: {epochs - trained} of"
            f" {counted(epochs, 'epoch')} not trained; the same command with prune=false trains"
            " them"
        ]


def _pruned(records: Records) -> int:
    return sum(record.status == "pruned" for record in records.values())


def _unpruned(request: RunRequest) -> RunRequest:
    config = replace(request.config, prune=False)
    return replace(request, variant=replace(request.variant, config=config))


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

    def next_round(self) -> list[PlannedRun]:
        """Return the runs to train next, after a line on why; empty if all wanted have ended.

        Runs that are completed on disk are added to `records`.
        """
        while new := self._new():
            reason = self._strategy.reason(self.records)
            if reason:
                log.info(reason)
            done, left = done_and_left(new)
            self.add(done)
            if done:
                log.info(f"{len(done)} of {len(new)} runs are done already")
            if left:
                return left
        return []

    def add(self, records: Records, *, write: bool = True) -> None:
        """Add the records of runs that have ended, with the notes of their requests.

        Args:
            records: by identity.
            write: add missing notes on disk, too.

        Raises:
            UserError: a run is no result, as its record says that it was trained to choose a value.
        """
        for key, record in records.items():
            request = self.runs[key].request
            if is_trial(record) and not request.notes:
                raise UserError(
                    f"seed must not be {record.config['seed']}: {record.name} was trained with it"
                    f" to tune {record.environment['tuning']['key']}, and is no result"
                )
            if any(record.environment.get(name) != one for name, one in request.notes.items()):
                # It was trained by a command that did not know what it would serve.
                is_kept = write and record.status == "finished"
                record = _add_notes(self.runs[key]) if is_kept else _noted(record, request)
            # A record that was not read from disk has no path, by which its answers are found.
            self.records[key] = replace(record, path=request.directory.path)

    def planned(self) -> list[PlannedRun]:
        """Return all runs that may be wanted in the end, with their progress on disk."""
        left: Sequence[PlannedRun] = ()
        while not left and (new := self._new()):
            done, left = done_and_left(new)
            self.add(done, write=False)
        return plan_runs(self._strategy.at_most(self.records))

    def _new(self) -> list[PlannedRun]:
        wanted = self._strategy.wanted(self.records)
        new = plan_runs([request for request in wanted if request.id not in self.runs])
        self.runs |= {run.request.id: run for run in new}
        return new


def _noted(record: RunRecord, request: RunRequest) -> RunRecord:
    return replace(record, environment={**record.environment, **request.notes})


def _add_notes(run: PlannedRun) -> RunRecord:
    """Add the notes of a request to its run's record on disk, and return that."""
    while True:
        try:
            return amend_record(run.request.directory, lambda one: _noted(one, run.request))
        except RunLocked:
            wait_for(run)
