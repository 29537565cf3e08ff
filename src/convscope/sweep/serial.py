"""A sweep in one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from convscope.errors import UserError
from convscope.runs.lock import RunHeld, RunLock
from convscope.runs.record import RunRecord, utc_now
from convscope.sweep.estimate import Estimator
from convscope.sweep.plan import PlannedRun
from convscope.sweep.progress import SweepProgress, clock
from convscope.training.record import first_record
from convscope.training.train import train

Notify = Callable[[str], None]


def run_serially(runs: Sequence[PlannedRun], notify: Notify) -> dict[str, RunRecord]:
    """Train runs in this order; one that fails does not stop the others, a signal does.

    A run that another process trains is left to it, and waited for at the end.

    Returns:
        A record per run that was reached, by identity.

    Raises:
        UserError: the disk is full or not writable.
    """
    show_bar = runs[0].request.config.trainer.enable_progress_bar
    progress = SweepProgress(runs, Estimator(), notify, show_bar)
    try:
        records = _train_all(runs, progress, notify)
    finally:
        progress.close()
    notify(f"took {clock(progress.elapsed())}, estimated {clock(progress.estimated)}")
    return records


def _train_all(
    ordered: Sequence[PlannedRun], progress: SweepProgress, notify: Notify
) -> dict[str, RunRecord]:
    records: dict[str, RunRecord] = {}
    held: list[PlannedRun] = []
    for run in ordered:
        progress.begin(run)
        try:
            record = _train(run)
        except RunHeld:
            held.append(run)
            continue
        records[run.request.id] = record
        progress.end(run, record)
        if record.status == "interrupted":
            return records
    for run in held:
        notify(f"waiting for {run.request.directory.path}, which another process trains")
        records[run.request.id] = record = _wait_for(run)
        progress.end(run, record)
        if record.status == "interrupted":
            return records
    return records


def _wait_for(run: PlannedRun) -> RunRecord:
    while True:
        lock = RunLock(run.request.directory.path)
        lock.acquire(blocking=True)
        lock.release()
        try:
            return _train(run)
        except RunHeld:
            continue  # Somebody else was quicker to claim it.


def _train(run: PlannedRun) -> RunRecord:
    """The run's record; where an old one is damaged, one that says so and is not written.

    Raises:
        RunHeld: another process trains it.
        UserError: what is written cannot be: no other run could write either.
    """
    try:
        return train(run.request, _keep_quiet)
    except RunHeld:
        raise
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return dataclasses.replace(
            first_record(run.request), status="failed", reason=str(error), ended_at=utc_now()
        )
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _keep_quiet(line: str) -> None:
    """A sweep tells of runs; what a run tells stands in its train.log."""
