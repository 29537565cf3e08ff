"""Protocol of the executors that train a sweep's runs, and the queue that retries failed jobs.

An executor only starts jobs and reports how they ended. A job locks and trains its run as a command
for that single run does, so the runs' records are the only state.
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
from convscope.training.record import first_record, is_final
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted, Signals

log = logging.getLogger(__name__)

_POLL_S = 0.5
"""Seconds between checks for signals."""


@dataclass(frozen=True)
class JobFailure:
    """A job that ended without recording how its run ended.

    Attributes:
        reason: one line.
        retryable: whether a retry may succeed: a job was killed, not ended by an exception.
    """

    reason: str
    retryable: bool


class ExecutorLost(Exception):
    """The executor and its jobs are lost; the message is one line."""


Outcome = RunRecord | JobFailure | None
"""A run's record, or why its job wrote none; None if another process trains the run."""


class Executor(Protocol):
    """Trains runs: one by one on this machine, in processes side by side, or on a cluster.

    Attributes:
        in_process: whether runs are trained one by one on this machine, inside `next_ended`.
        is_local: whether runs are trained on this machine.
        max_retries: retries per run.
    """

    in_process: bool
    is_local: bool = True
    max_retries: int

    @property
    def max_concurrent(self) -> int:
        """Number of runs that are trained side by side."""

    def capacity(self, exclusive: bool) -> int:
        """Return the number of jobs to submit at a time, which are all exclusive or all not."""

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """Return the hardware that trains the runs; it is part of their identity.

        Raises:
            UserError: a device is unavailable.
        """

    def submit(self, request: RunRequest, exclusive: bool) -> None:
        """Submit a job that calls `run_job`.

        Args:
            request: the run.
            exclusive: re-measure a finished run's throughput, with all CPUs of a machine, and one
                GPU if it has any, reserved for it.

        Raises:
            UserError: the job is refused.
        """

    def next_ended(self, timeout: float) -> tuple[str, Outcome] | None:
        """Return the identity and outcome of a run whose job has ended; None if none has in time.

        Args:
            timeout: in seconds; an `in_process` executor trains a run to its end regardless.

        Raises:
            ExecutorLost: the executor is lost.
            UserError: a file cannot be written, which would stop other runs too.
        """

    def cancel(self) -> None:
        """End all jobs as Ctrl-C does, such that they can be resumed, and wait for their end."""

    def close(self) -> None:
        """Release the executor's resources."""


class JobQueue:
    """Submits runs in order, within the executor's capacity, and retries failed jobs.

    Runs beyond the capacity wait here, as executors start their jobs in any order.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self._waiting: deque[tuple[PlannedRun, bool]] = deque()
        """Runs, and whether each is exclusive."""
        self._running: dict[str, tuple[PlannedRun, bool]] = {}
        """The same of submitted runs, by identity."""
        self._failures: Counter[str] = Counter()

    def start(self, run: PlannedRun, exclusive: bool = False) -> None:
        """Submit a run now or as soon as there is capacity.

        Args:
            run: a possible run, which is finished only if `exclusive`.
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
            The run and its record. An `interrupted` record ends the sweep; None means that another
            process trains the run.

        Raises:
            UserError: a file cannot be written, which would stop other runs too.
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
                    # The executor's capacity may have grown.
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
        """Record a job's failure; return the outcome, a JobFailure if the run is to be retried."""
        if isinstance(outcome, RunRecord) and outcome.status == "interrupted":
            if self.executor.in_process:
                return outcome
            # The signal was not sent to this command, only to the job's process.
            outcome = JobFailure(f"its process was ended by {outcome.reason}", retryable=True)
        if not isinstance(outcome, JobFailure):
            return outcome
        self._failures[run.request.id] += 1
        failures, most = self._failures[run.request.id], self.executor.max_retries
        again = outcome.retryable and failures <= most
        record = record_failure(run.request, outcome.reason, wait=not again)
        if is_final(record, run.request.config) or not again:
            return record
        name = run.request.directory.name
        log.info(f"{name}: {outcome.reason}; tried again, {failures} of {most}")
        return outcome

    def _interrupted(self, stop: Interrupted) -> tuple[PlannedRun, RunRecord]:
        # A second signal ends the waiting.
        with suppress(Interrupted):
            self.executor.cancel()
        return self._ended_by(stop.signum.name)

    def _ended_by(self, reason: str) -> tuple[PlannedRun, RunRecord]:
        """Return one of the running runs as interrupted; those on disk can be resumed."""
        run, _ = next(iter(self._running.values()))
        return run, replace(first_record(run.request), status="interrupted", reason=reason)

    def drop_waiting(self) -> int:
        """Discard the runs that have not been submitted, and return their number."""
        dropped = len(self._waiting)
        self._waiting.clear()
        return dropped

    def cancel(self) -> None:
        """End all jobs such that they can be resumed, and discard waiting runs."""
        self._waiting.clear()
        self.executor.cancel()


def record_failure(request: RunRequest, reason: str, wait: bool) -> RunRecord:
    """Record a run as failed, unless it was finished, or pruned, when its job ended.

    The run's checkpoint stays, so that a retry resumes it.

    Args:
        request: the run.
        reason: of the failure, one line.
        wait: wait for the run's lock, which expires if the lost process was on another host. If
            false, a run that is still locked keeps its record.

    Raises:
        UserError: the record cannot be written.
    """
    directory = request.directory
    record = first_record(request)
    lock = RunLock(directory.path)
    if lock.acquire(blocking=wait):
        try:
            # A damaged record is replaced: the reason for the failure is more useful.
            with suppress(UserError):
                if directory.record.exists():
                    record = read_record(directory.record)
            if not is_final(record, request.config):
                record = replace(record, status="failed", reason=reason, ended_at=utc_now())
                write_record(directory.record, record)
        finally:
            lock.release()
    return record
