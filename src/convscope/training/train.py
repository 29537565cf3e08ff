"""One run from claiming its directory to its record: train, test, and record what came of it."""

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
from convscope.runs.history import History
from convscope.runs.lock import Claim, ClaimLost, RunLock, archive_run
from convscope.runs.record import RunRecord, current_record, utc_now, write_record
from convscope.training.diagnose import lacks_diagnostics, with_diagnostics
from convscope.training.distributed.experiment import DistributedExperiment
from convscope.training.distributed.processes import DeviceFailed
from convscope.training.log import LogFile, logged_to
from convscope.training.record import environment, first_record, is_final, write_config
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted, Signals

if TYPE_CHECKING:
    from convscope.training.distributed.processes import WorkerProcesses
    from convscope.training.experiment import Experiment

log = logging.getLogger(__name__)

Prepare = Callable[
    [RunRequest, Signals, Claim | None],
    AbstractContextManager["Experiment | DistributedExperiment"],
]


def train(request: RunRequest, processes: WorkerProcesses | None = None) -> RunRecord:
    """Train a run to its end, or give the record of the run that did so before.

    Then its best checkpoint is measured, as `diagnostics` asks for.

    Args:
        request: what to train; a geometry that is impossible is recorded as skipped.
        processes: train it, and are kept for the next run; by default this process does.

    Returns:
        The record, with any status but `running`. It is not written where the run's folder was
        deleted, moved or replaced meanwhile, nor with `trainer.fast_dev_run`.

    Raises:
        RunLocked: another process trains this run.
        UserError: the directory cannot be written, what lies in it is damaged, or a logger cannot
            be made.
    """
    if request.config.trainer.fast_dev_run:
        return _train(request, None, _experiments(request, processes), processes)
    record = _trained(request, processes)
    if lacks_diagnostics(record, request.config.diagnostics):
        here = request.hardware.devices == 1 and processes is None
        (record,) = with_diagnostics(
            [record], request.config.diagnostics, _diagnose_here if here else None
        )
    return record


def _diagnose_here(folder: Path, level: str) -> RunRecord:
    # Imports PyTorch, which a run that is trained elsewhere does without.
    from convscope.training.diagnosis import diagnose

    return diagnose(folder, level)


def _trained(request: RunRequest, processes: WorkerProcesses | None) -> RunRecord:
    """Return the record of a run that is trained now, or was before."""
    directory = request.directory
    if request.config.rerun and directory.record.exists():
        moved = archive_run(directory.path)
        log.info("rerun=true: previous run moved to %s", moved)
    finished = _finished(request)
    if finished is not None:
        return finished
    # Now: Lightning, when it is imported, lets its messages go to the terminal.
    prepare = _experiments(request, processes)
    with RunLock(directory.path) as lock:
        # It may have been finished while the claim was waited for.
        return _finished(request) or _train(request, lock.claim, prepare, processes)


def _finished(request: RunRequest) -> RunRecord | None:
    if not request.directory.record.exists():
        return None
    record = current_record(request.directory.path)
    if not is_final(record, request.config):
        return None
    before = record.environment["versions"] or {}
    now = environment(request)["versions"]
    names = {"source": "convscope", "torch": "torch"}
    changed = [name for key, name in names.items() if before.get(key) != now[key]]
    notice = f" (with a different {' and '.join(changed)} version)" if changed else ""
    log.info("%s is already %s%s; rerun=true retrains it", record.name, record.status, notice)
    return record


def _experiments(request: RunRequest, processes: WorkerProcesses | None) -> Prepare:
    """Return what makes the run's experiment: in this process, or in one for each device."""
    if request.hardware.devices > 1 or processes is not None or request.variant.impossible:
        return partial(DistributedExperiment, processes=processes)
    # Here: what brings Lightning, 4 s, need not be there to say that a run is finished already.
    from convscope.training.experiment import Experiment
    from convscope.training.loggers import make_loggers

    loggers = make_loggers(request)
    return lambda request, signals, claim: nullcontext(Experiment(request, signals, claim, loggers))


def _train(
    request: RunRequest, claim: Claim | None, prepare: Prepare, processes: WorkerProcesses | None
) -> RunRecord:
    """Train a run that is not finished.

    Args:
        request: the run.
        claim: on the run's folder; None leaves nothing on disk.
        prepare: makes the run's experiment.
        processes: as for `train`.
    """
    directory = request.directory
    if claim is not None:
        write_config(request)
    record = first_record(request)
    started = time.perf_counter()
    if request.variant.impossible is not None:
        reason = str(request.variant.impossible)
        ended = replace(record, status="skipped", reason=reason)
        duration = 0.0
    else:
        with logged_to(logging.NullHandler() if claim is None else LogFile(directory.train_log)):
            ended = _run(request, record, prepare, claim)
            if processes is None:
                # Here: where the run is trained elsewhere, this process does without PyTorch.
                from convscope.training.devices import free_memory

                free_memory(request.hardware)
        duration = time.perf_counter() - started
    ended = replace(ended, ended_at=utc_now(), duration_s=duration)
    if claim is None:
        if ended.status == "finished":
            log.info("fast_dev_run: nothing was written")
        return ended
    try:
        claim.check()
        write_record(directory.record, ended)
    except ClaimLost as lost:
        if ended.status != "interrupted":
            return replace(ended, status="failed", reason=str(lost), metrics={})
    return ended


def _run(
    request: RunRequest, record: RunRecord, prepare: Prepare, claim: Claim | None
) -> RunRecord:
    """Train, and return the record of how it ended; without a claim, errors are raised."""
    directory = request.directory
    with Signals() as signals:
        try:
            with prepare(request, signals, claim) as experiment:
                record = replace(record, resumed_from_epoch=experiment.resumed_from_epoch)
                if claim is not None:
                    claim.check()
                    write_record(directory.record, record)
                    log.info(experiment.headline())
                metrics = experiment.run()
            if experiment.pruned is not None:
                log.info("pruned: %s", experiment.pruned)
                return replace(record, status="pruned", reason=experiment.pruned)
            dataset = record.dataset if claim is None else _with_steps(record, request)
            return replace(record, status="finished", metrics=metrics, dataset=dataset)
        except (Interrupted, KeyboardInterrupt) as stop:
            signum = stop.signum if isinstance(stop, Interrupted) else signal.SIGINT
            log.debug("interrupted by %s", signum.name)
            return replace(record, status="interrupted", reason=signum.name)
        except Exception as error:
            if claim is None:
                raise
            log.exception("failed")
            reason = _one_line(error, directory.train_log)
            return replace(record, status="failed", reason=reason)


def _with_steps(record: RunRecord, request: RunRequest) -> dict[str, Any]:
    """Return the record's data set with the steps taken: `max_time` may have ended it early."""
    used = record.dataset["used"]
    steps = int(History(request.directory.history).read()[-1]["step"] or 0)
    epoch = min(used["train"], steps * request.config.data.batch_size)
    return record.dataset | {"used": used | {"train": epoch, "steps": steps}}


def _one_line(error: Exception, train_log: Path) -> str:
    if isinstance(error, UserError):
        return str(error)
    text = next(iter(str(error).strip().splitlines()), "no message")
    # The type of an error in another process is told by its text.
    kind = "" if isinstance(error, DeviceFailed) else f"{type(error).__name__}: "
    return f"{kind}{text} (see {train_log})"
