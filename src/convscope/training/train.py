"""The wiring of one run: claim its directory, train, test, track, and record what came of it."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.errors import UserError
from convscope.geometry import ImpossibleVariant
from convscope.runs.history import History
from convscope.runs.lock import Claim, ClaimLost, RunLock, move_aside
from convscope.runs.record import RunRecord, current_record, utc_now, write_record
from convscope.training.distributed.experiment import RanksExperiment
from convscope.training.distributed.processes import DeviceFailed
from convscope.training.log import LogFile, logged_to
from convscope.training.record import environment, first_record, write_config
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted, Signals

if TYPE_CHECKING:
    from convscope.training.distributed.processes import RankProcesses
    from convscope.training.experiment import Experiment

log = logging.getLogger(__name__)

Prepare = Callable[
    [RunRequest, Signals, Claim | None],
    AbstractContextManager["Experiment | RanksExperiment"],
]


def train(request: RunRequest, processes: RankProcesses | None = None) -> RunRecord:
    """Train a run to its end, or give the record of the run that did so before.

    Args:
        request: what to train; a geometry that is impossible is recorded as skipped.
        processes: train it, and are kept for the next run; by default this process does.

    Returns:
        The record, `finished`, `failed`, `interrupted` or `skipped`. It is not written where the
        run's folder was deleted, moved or replaced meanwhile.

    Raises:
        RunLocked: another process trains this run.
        UserError: the directory cannot be written, or what lies in it is damaged.
    """
    if request.config.trainer.fast_dev_run:
        return _develop(request, processes)
    directory = request.directory
    if request.config.rerun and directory.record.exists():
        moved = move_aside(directory.path)
        log.info("rerun=true: previous run moved to %s", moved)
    finished = _finished(request)
    if finished is not None:
        return finished
    with RunLock(directory.path) as lock:
        # It may have been finished while the claim was waited for.
        return _finished(request) or _train_claimed(request, lock.claim, processes)


def _finished(request: RunRequest) -> RunRecord | None:
    if not request.directory.record.exists():
        return None
    record = current_record(request.directory.path)
    if record.status not in ("finished", "skipped"):
        return None
    before = record.environment["versions"] or {}
    now = environment(request)["versions"]
    names = {"source": "convscope", "torch": "torch"}
    changed = [name for key, name in names.items() if before.get(key) != now[key]]
    notice = f" (with a different {' and '.join(changed)} version)" if changed else ""
    log.info("%s is already %s%s; rerun=true retrains it", record.name, record.status, notice)
    return record


def _train_claimed(request: RunRequest, claim: Claim, processes: RankProcesses | None) -> RunRecord:
    directory = request.directory
    write_config(request)
    record = first_record(request)
    if request.variant.impossible is not None:
        skipped = _skipped(record, request.variant.impossible)
        write_record(directory.record, skipped)
        return skipped
    started = time.perf_counter()
    # Before: Lightning, when it is imported, lets its messages go to the terminal.
    prepare = _experiments(request, processes)
    with logged_to(LogFile(directory.train_log)):
        ended = _run(request, record, prepare, claim)
        _free_memory(request, processes)
    ended = replace(ended, ended_at=utc_now(), duration_s=time.perf_counter() - started)
    try:
        claim.check()
        write_record(directory.record, ended)
    except ClaimLost as lost:
        if ended.status != "interrupted":
            return replace(ended, status="failed", reason=str(lost), metrics={})
    return ended


def _skipped(record: RunRecord, impossible: ImpossibleVariant) -> RunRecord:
    return replace(
        record, status="skipped", reason=str(impossible), ended_at=utc_now(), duration_s=0.0
    )


def _run(request: RunRequest, record: RunRecord, prepare: Prepare, claim: Claim) -> RunRecord:
    directory = request.directory
    with Signals() as signals:
        try:
            with prepare(request, signals, claim) as experiment:
                record = replace(record, resumed_from_epoch=experiment.resumed_from_epoch)
                claim.check()
                write_record(directory.record, record)
                log.info(experiment.headline())
                metrics = experiment.run()
            return replace(
                record, status="finished", metrics=metrics, dataset=_with_steps(record, request)
            )
        except (Interrupted, KeyboardInterrupt) as stop:
            signum = stop.signum if isinstance(stop, Interrupted) else signal.SIGINT
            log.debug("interrupted by %s", signum.name)
            return replace(record, status="interrupted", reason=signum.name)
        except UserError as error:
            log.exception("failed")
            return replace(record, status="failed", reason=str(error))
        except Exception as error:
            log.exception("failed")
            return replace(record, status="failed", reason=_one_line(error, directory.train_log))


def _with_steps(record: RunRecord, request: RunRequest) -> dict[str, Any]:
    """The record's data set with the steps that were taken: `max_time` may have ended it early."""
    used = record.dataset["used"]
    steps = int(History(request.directory.history).read()[-1]["step"] or 0)
    epoch = min(used["train"], steps * request.config.data.batch_size)
    return record.dataset | {"used": used | {"train": epoch, "steps": steps}}


def _experiments(request: RunRequest, processes: RankProcesses | None) -> Prepare:
    """What makes the run's experiment: in this process, or in one for each device."""
    if request.hardware.devices > 1 or processes is not None:
        return partial(RanksExperiment, processes=processes)
    # Here: what brings Lightning, 4 s, need not be there to say that a run is finished already.
    from convscope.training.experiment import Experiment

    return lambda *arguments: nullcontext(Experiment(*arguments))


def _free_memory(request: RunRequest, processes: RankProcesses | None) -> None:
    """Free what a run took in this process; others free theirs."""
    if processes is None:
        from convscope.training.devices import free_memory

        free_memory(request.hardware)


def _one_line(error: Exception, train_log: Path) -> str:
    text = next(iter(str(error).strip().splitlines()), "no message")
    # The type of an error in another process is told by its text.
    kind = "" if isinstance(error, DeviceFailed) else f"{type(error).__name__}: "
    return f"{kind}{text} (see {train_log})"


def _develop(request: RunRequest, processes: RankProcesses | None) -> RunRecord:
    """A few batches of everything; nothing is left on disk."""
    record = first_record(request)
    if request.variant.impossible is not None:
        return _skipped(record, request.variant.impossible)
    prepare = _experiments(request, processes)
    with logged_to(logging.NullHandler()):
        ended = _try(request, record, prepare)
        _free_memory(request, processes)
    if ended.status == "finished":
        log.info("fast_dev_run: nothing was written")
    return ended


def _try(request: RunRequest, record: RunRecord, prepare: Prepare) -> RunRecord:
    with Signals() as signals:
        try:
            with prepare(request, signals, None) as experiment:
                metrics = experiment.run()
        except Interrupted as stop:
            return replace(record, status="interrupted", reason=stop.signum.name)
    return replace(record, status="finished", metrics=metrics, ended_at=utc_now())
