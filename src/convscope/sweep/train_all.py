"""A sweep's runs, all of them, whatever trains them; and their speed, where it was shared."""

from __future__ import annotations

import logging
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
    runs: Sequence[PlannedRun], executor: Executor, fail_fast: bool
) -> dict[str, RunRecord]:
    """Train runs in this order; one that fails does not stop the others, a signal does.

    A run that another process trains is left to it, and waited for at the end.

    Args:
        runs: distinct, none of them finished.
        executor: what trains them.
        fail_fast: a run that fails stops the others too.

    Returns:
        A record per run that was reached, by identity.

    Raises:
        UserError: the disk is full or not writable.
    """
    seconds = None
    if executor.in_process:
        estimator = Estimator()
        estimator.measure(runs)
        seconds = estimator.seconds
    return _until_ended(runs, JobQueue(executor), seconds, exclusive=False, fail_fast=fail_fast)


def remeasure_all(runs: Sequence[PlannedRun], executor: Executor) -> dict[str, RunRecord]:
    """Measure the throughput of finished runs again, each exclusively, as `train_all`."""
    log.info(f"measuring {counted(len(runs), 'run')} again, each exclusively")
    return _until_ended(runs, JobQueue(executor), None, exclusive=True, fail_fast=False)


def _until_ended(
    runs: Sequence[PlannedRun],
    jobs: JobQueue,
    seconds: Callable[[PlannedRun], float] | None,
    exclusive: bool,
    fail_fast: bool,
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
                # No process need be started to say so.
                note(run, train_isolated(run.request))
        while len(records) < len(runs):
            if elsewhere and len(records) + len(elsewhere) == len(runs):
                # The others are done.
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
    """Block until the run's lock is free."""
    path = run.request.directory.path
    log.info("waiting for %s, which another process trains", path)
    lock = RunLock(path)
    lock.acquire(blocking=True)
    lock.release()
