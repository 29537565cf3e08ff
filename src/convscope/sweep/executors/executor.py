"""Where a sweep's runs are trained: one protocol, and the queue with retries in front of it.

The runs' records stay the only truth: a job claims and trains its run as a command for that one run
would, and an executor does no more than start jobs and report how they ended.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from convscope.config.schema import TrainerConfig
from convscope.errors import UserError
from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord, read_record, utc_now, write_record
from convscope.sweep.plan import PlannedRun
from convscope.training.hardware import Hardware
from convscope.training.record import first_record
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted, Signals

log = logging.getLogger(__name__)

_POLL_S = 0.5
"""Longest time before a signal is answered."""


@dataclass(frozen=True)
class JobFailure:
    """A job that ended before its run's record says how the run ended.

    Attributes:
        reason: one line.
        retryable: whether another try may succeed: true where it was killed, not where it raised.
    """

    reason: str
    retryable: bool


class ExecutorLost(Exception):
    """The executor is gone, with its jobs; the message is one line."""


Outcome = RunRecord | JobFailure | None
"""A run's record, or why its job wrote none; None where another process trains the run."""


class Executor(Protocol):
    """Trains runs: in turn on this machine, in processes side by side, or on a cluster."""

    in_process: bool
    """Whether runs are trained one by one on this machine, each to its end."""
    max_retries: int
    """Times that one run is submitted again."""

    @property
    def max_concurrent(self) -> int:
        """Runs that are trained side by side."""

    def capacity(self, exclusive: bool) -> int:
        """Jobs to have at a time, all of them exclusive or none; more start as these end."""

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """Return what runs are computed on, where they are trained; it is part of their identity.

        Raises:
            UserError: a device that is not there.
        """

    def submit(self, request: RunRequest, exclusive: bool) -> None:
        """Have a job do `run_job`.

        Args:
            request: the run.
            exclusive: re-measure a finished run's throughput, with a machine's CPUs, and one GPU
                where there are any, for it only.

        Raises:
            UserError: the job is refused.
        """

    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        """Return identity and outcome of a run whose job has ended; None where none has by then.

        Args:
            timeout: in seconds; an executor in this process trains a run to its end.

        Raises:
            ExecutorLost: the executor is gone.
            UserError: what is written cannot be: no other run could write either.
        """

    def cancel(self) -> None:
        """Ask jobs to end as Ctrl-C does, so that they can be resumed, and wait until they have."""

    def close(self) -> None:
        """Release what the executor holds."""


class JobQueue:
    """Submits runs in order, and those again whose job failed.

    What the executor has no capacity for waits here: executors start what they have in an order of
    their own.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self._waiting: deque[tuple[PlannedRun, bool]] = deque()
        """With whether exclusive."""
        self._running: dict[str, tuple[PlannedRun, bool]] = {}
        """By identity."""
        self._failures: Counter[str] = Counter()

    def start(self, run: PlannedRun, exclusive: bool = False) -> None:
        """Take a run on; it need not begin now.

        Args:
            run: possible, and not finished unless exclusive.
            exclusive: as for `Executor.submit`.
        """
        self._waiting.append((run, exclusive))
        self._submit_waiting()

    def _submit_waiting(self) -> None:
        while self._waiting and len(self._running) < self.executor.capacity(self._waiting[0][1]):
            run, exclusive = self._waiting.popleft()
            self._running[run.request.id] = run, exclusive
            self.executor.submit(run.request, exclusive)

    def next_ended(self) -> tuple[PlannedRun, RunRecord | None]:
        """Wait until a run has ended.

        Returns:
            the run and its record, `interrupted` where all of it is to end; None where another
            process trains it.

        Raises:
            UserError: what is written cannot be: no other run could write either.
        """
        with Signals() as signals:
            while True:
                try:
                    ended = self.executor.next_ended(_POLL_S)
                except ExecutorLost as lost:
                    return self._ended_by(str(lost))
                try:
                    signals.check()
                except Interrupted as stop:
                    return self._interrupted(stop)
                if ended is None:
                    # The executor may have grown.
                    self._submit_waiting()
                    continue
                run, exclusive = self._running.pop(ended[0])
                record = self._settled(run, ended[1])
                if isinstance(record, JobFailure):
                    self._waiting.appendleft((run, exclusive))
                self._submit_waiting()
                if not isinstance(record, JobFailure):
                    return run, record

    def _settled(self, run: PlannedRun, outcome: Outcome) -> Outcome:
        """Return the outcome to believe; a JobFailure where the run is worth another try."""
        if isinstance(outcome, RunRecord) and outcome.status == "interrupted":
            if self.executor.in_process:
                return outcome
            # Nobody has asked for that here: only that process was asked to end.
            outcome = JobFailure(f"its process was ended by {outcome.reason}", retryable=True)
        if not isinstance(outcome, JobFailure):
            return outcome
        self._failures[run.request.id] += 1
        failures, most = self._failures[run.request.id], self.executor.max_retries
        again = outcome.retryable and failures <= most
        record = record_failure(run.request, outcome.reason, wait=not again)
        if record.status == "finished" or not again:
            return record
        name = run.request.directory.name
        log.info(f"{name}: {outcome.reason}; tried again, {failures} of {most}")
        return outcome

    def _interrupted(self, stop: Interrupted) -> tuple[PlannedRun, RunRecord]:
        # A second signal: whoever sends it does not want to wait.
        with suppress(Interrupted):
            self.executor.cancel()
        return self._ended_by(stop.signum.name)

    def _ended_by(self, reason: str) -> tuple[PlannedRun, RunRecord]:
        """Return one run for all that were being trained: what is on disk can be resumed."""
        run, _ = next(iter(self._running.values()))
        return run, replace(first_record(run.request), status="interrupted", reason=reason)

    def cancel(self) -> None:
        """End what is still being trained, so that it can be resumed."""
        self._waiting.clear()
        self.executor.cancel()


def record_failure(request: RunRequest, reason: str, wait: bool) -> RunRecord:
    """Record a run as failed, unless it was finished when its job ended.

    What it has trained stays, for the next try to resume from.

    Args:
        request: the run.
        reason: of its failure, one line.
        wait: until the lost process's claim has expired, where it was on another host; else a claim
            that still stands leaves the record unchanged.

    Raises:
        UserError: the record cannot be written.
    """
    directory = request.directory
    record = first_record(request)
    lock = RunLock(directory.path)
    if lock.acquire(blocking=wait):
        try:
            # Where it is damaged, the reason for the failure is worth more.
            with suppress(UserError):
                if directory.record.exists():
                    record = read_record(directory.record)
            if record.status != "finished":
                record = replace(record, status="failed", reason=reason, ended_at=utc_now())
                write_record(directory.record, record)
        finally:
            lock.release()
    return record
