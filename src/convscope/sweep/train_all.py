"""A sweep's runs, all of them, whatever trains them; and their speed, where it was shared."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord
from convscope.sweep.attempt import attempt
from convscope.sweep.estimate import Estimator
from convscope.sweep.executors.launcher import Launcher
from convscope.sweep.plan import PlannedRun
from convscope.sweep.progress import SweepProgress
from convscope.text import counted

log = logging.getLogger(__name__)

Seconds = Callable[[PlannedRun], float]


def train_all(
    runs: Sequence[PlannedRun], launcher: Launcher, fail_fast: bool
) -> dict[str, RunRecord]:
    """Train runs in this order; one that fails does not stop the others, a signal does.

    A run that another process trains is left to it, and waited for at the end.

    Args:
        fail_fast: a run that fails stops the others too.

    Returns:
        A record per run that was reached, by identity.

    Raises:
        UserError: the disk is full or not writable.
    """
    seconds = _seconds(runs) if launcher.is_here else None
    return _all(runs, launcher, seconds, alone=False, fail_fast=fail_fast)


def _seconds(runs: Sequence[PlannedRun]) -> Seconds:
    """What estimates these runs' wall seconds where they are trained here, one by one."""
    estimator = Estimator()
    estimator.measure(runs)
    return estimator.seconds


def measure_all(runs: Sequence[PlannedRun], launcher: Launcher) -> dict[str, RunRecord]:
    """Measure the speed of finished runs again, each with its machine alone, as `train_all`."""
    log.info(f"measuring {counted(len(runs), 'run')} again, each alone")
    return _all(runs, launcher, None, alone=True, fail_fast=False)


def _all(
    ordered: Sequence[PlannedRun],
    launcher: Launcher,
    seconds: Seconds | None,
    alone: bool,
    fail_fast: bool,
) -> dict[str, RunRecord]:
    show_bar = ordered[0].request.config.trainer.enable_progress_bar
    progress = SweepProgress(ordered, seconds, show_bar)
    try:
        records = _until_ended(ordered, launcher, progress, alone, fail_fast)
    finally:
        progress.close()
    log.info(progress.summary())
    return records


def _until_ended(
    ordered: Sequence[PlannedRun],
    launcher: Launcher,
    progress: SweepProgress,
    alone: bool,
    fail_fast: bool,
) -> dict[str, RunRecord]:
    records: dict[str, RunRecord] = {}
    held: deque[PlannedRun] = deque()

    def note(run: PlannedRun, record: RunRecord | None) -> None:
        if record is None:
            held.append(run)
        else:
            records[run.request.id] = record
            progress.end(run, record)

    for run in ordered:
        if run.request.variant.impossible is None:
            launcher.start(run, alone)
        else:
            # No process need be started to say so.
            note(run, attempt(run.request))
    while len(records) < len(ordered):
        if held and len(records) + len(held) == len(ordered):
            # The others are done.
            wait_for(held[0])
            launcher.start(held.popleft(), alone)
        run, record = launcher.next_ended()
        note(run, record)
        if record is not None and record.status == "interrupted":
            return records
        if fail_fast and record is not None and record.status == "failed":
            launcher.cancel()
            return records
    return records


def wait_for(run: PlannedRun) -> None:
    """Block until the run's lock is free."""
    path = run.request.directory.path
    log.info("waiting for %s, which another process trains", path)
    lock = RunLock(path)
    lock.acquire(blocking=True)
    lock.release()
