"""Training of all runs of a sweep on any executor, and exclusive re-measurement of their speed."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence

from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord
from convscope.sweep.estimate import Estimator
from convscope.sweep.executors.executor import Executor, JobQueue
from convscope.sweep.isolated import train_isolated
from convscope.sweep.plan import PlannedRun
from convscope.sweep.progress import SweepProgress
from convscope.text import counted

log = logging.getLogger(__name__)


def train_all(
    runs: Sequence[PlannedRun],
    executor: Executor,
    fail_fast: bool,
    deadline: float = math.inf,
) -> dict[str, RunRecord]:
    """Train runs in this order, until all have ended or a signal comes.

    A run that another process trains is waited for at the end.

    Args:
        runs: distinct runs, none of them finished.
        executor: trains the runs.
        fail_fast: stop at the first run that fails.
        deadline: start no run after this time of `time.perf_counter`.

    Returns:
        A record per run that ended, by identity.

    Raises:
        UserError: the disk is full or not writable.
    """
    seconds = None
    if executor.in_process:
        estimator = Estimator()
        estimator.measure(runs)
        seconds = estimator.seconds
    return _until_ended(
        runs, JobQueue(executor), seconds, exclusive=False, fail_fast=fail_fast, deadline=deadline
    )


def remeasure_all(runs: Sequence[PlannedRun], executor: Executor) -> dict[str, RunRecord]:
    """Measure the throughput of finished runs again, each exclusively.

    Arguments, result and errors are those of `train_all`.
    """
    log.info(f"measuring {counted(len(runs), 'run')} again, each exclusively")
    return _until_ended(runs, JobQueue(executor), None, exclusive=True, fail_fast=False)


def _until_ended(
    runs: Sequence[PlannedRun],
    jobs: JobQueue,
    seconds: Callable[[PlannedRun], float] | None,
    exclusive: bool,
    fail_fast: bool,
    deadline: float = math.inf,
) -> dict[str, RunRecord]:
    records: dict[str, RunRecord] = {}
    elsewhere: deque[PlannedRun] = deque()
    progress = SweepProgress(runs, seconds, runs[0].request.config.trainer.enable_progress_bar)

    def note(run: PlannedRun, record: RunRecord | None) -> None:
        if record is None:
            elsewhere.append(run)
        else:
            records[run.request.id] = record
            progress.end(run, record)

    try:
        for run in runs:
            if run.request.variant.impossible is None:
                jobs.start(run, exclusive)
            else:
                # An impossible variant only needs a record: no job.
                note(run, train_isolated(run.request))
        wanted = len(runs)
        while len(records) < wanted:
            if time.perf_counter() > deadline:
                wanted -= jobs.drop_waiting() + len(elsewhere)
                elsewhere.clear()
                if len(records) == wanted:
                    break
            if elsewhere and len(records) + len(elsewhere) == wanted:
                # All other runs have ended.
                wait_for(elsewhere[0])
                jobs.start(elsewhere.popleft(), exclusive)
            run, record = jobs.next_ended()
            note(run, record)
            if record is not None and record.status == "interrupted":
                break
            if fail_fast and record is not None and record.status == "failed":
                jobs.cancel()
                break
    finally:
        progress.close()
    log.info(progress.summary())
    return records


def wait_for(run: PlannedRun) -> None:
    """Wait until no other process trains the run."""
    path = run.request.directory.path
    log.info("waiting for %s, which another process trains", path)
    lock = RunLock(path)
    lock.acquire(blocking=True)
    lock.release()
