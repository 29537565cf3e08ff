"""Latency for a command: measured in a process of its own, without PyTorch in this one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.errors import UserError
from convscope.metrics import latencies
from convscope.runs.directory import RunDirectory
from convscope.runs.record import RunRecord, run_folder
from convscope.text import counted
from convscope.training.distributed.processes import DeviceFailed, child
from convscope.training.resolve import request_one

if TYPE_CHECKING:
    from convscope.latency.measure import Measured

log = logging.getLogger(__name__)

MEASURE = "convscope.latency.measure:measure"
"""Name of the function that measures; a worker process imports it."""


def train_one(overrides: Sequence[str]) -> RunRecord:
    """Train the one run that these overrides ask for, and measure its latency if they ask for it.

    Raises:
        UserError: bad input, an impossible variant, data that are not available, or `repeat`.
    """
    request = request_one(overrides)
    # Imports what trains, for which a mistake in the overrides need not wait.
    from convscope.training.train import train

    record = train(request)
    return with_latency([record])[0] if request.config.latency else record


def record_latency(folders: Sequence[Path]) -> dict[Path, RunRecord]:
    """Measure the networks of finished runs in turns, and write the latencies into their records.

    Networks and runs that cannot be measured are logged, a line each.

    Args:
        folders: of runs, finished or not.

    Returns:
        The new records by folder.

    Raises:
        UserError: nothing could be measured, the measuring process died, or a record cannot be
            written.
    """
    try:
        # Absolute: the process may have been started in another folder.
        measured: Measured = child().call(MEASURE, [folder.absolute() for folder in folders])
    except DeviceFailed as error:
        raise UserError(f"latency was not measured: {error}") from error
    for line in measured.problems:
        log.info(line)
    if not measured.records:
        raise UserError("latency was not measured: no finished run has a usable checkpoint")
    log.info(f"latency: {counted(measured.networks, 'network')} measured in turns")
    return {
        folder: measured.records[folder.absolute()]
        for folder in folders
        if folder.absolute() in measured.records
    }


def with_latency(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the records, with the latencies of finished runs measured if any of them has none.

    What goes wrong is logged: the runs themselves are trained.
    """
    folders = {
        record.id: folder
        for record in records
        if record.status == "finished"
        # Not with `trainer.fast_dev_run`, which writes nothing.
        and RunDirectory(folder := run_folder(record)).record.exists()
    }
    known = (record.metrics for record in records if record.id in folders)
    if all(name in metrics for metrics in known for name in latencies()):
        return list(records)
    try:
        measured = record_latency(list(folders.values()))
    except UserError as error:
        log.warning("%s", error)
        return list(records)
    return [measured.get(folders.get(record.id, Path()), record) for record in records]
