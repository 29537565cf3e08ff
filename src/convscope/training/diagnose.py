"""Which finished runs lack diagnostics or answers, and where they are measured; without PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.predictions import read_answers
from convscope.runs.record import RunRecord, run_folder
from convscope.text import counted
from convscope.training.distributed.processes import child

log = logging.getLogger(__name__)

_DIAGNOSE = "convscope.training.diagnosis:diagnose"
"""Name of the function that measures; a worker process imports it."""

Diagnose = Callable[[Path, str], RunRecord]


def lacks_diagnostics(record: RunRecord, level: str) -> bool:
    """Return whether a run is finished, and has not been measured at a level, or at `full`.

    Args:
        record: of the run.
        level: `standard`, `full` or `off`.
    """
    if level == "off" or record.status != "finished":
        return False
    known = record.environment.get("diagnostics", {}).get("level")
    return known not in (level, "full")


def _lacks_answers(record: RunRecord, folder: Path, level: str) -> bool:
    """Return whether it is not known which test images a finished run is right on."""
    accuracy = record.metrics.get("test_accuracy")
    if level == "off" or record.status != "finished" or accuracy is None:
        return False
    return read_answers(folder, accuracy) is None


def with_diagnostics(
    records: Sequence[RunRecord], level: str, diagnose: Diagnose | None = None
) -> list[RunRecord]:
    """Return the records, with the diagnostics and answers of finished runs that lack them.

    A failure is logged in one line per run: the run itself is finished.

    Args:
        records: of runs, finished or not.
        level: `standard`, `full` or `off`.
        diagnose: measures the run in a folder and writes what it finds; by default in a process of
            its own.
    """
    folders = {record.id: run_folder(record) for record in records}
    lacking = [
        record
        for record in records
        if (lacks_diagnostics(record, level) or _lacks_answers(record, folders[record.id], level))
        # Not with `trainer.fast_dev_run`, which writes nothing.
        and RunDirectory(folders[record.id]).record.exists()
    ]
    if len(lacking) > 1:
        log.info(f"diagnostics of {counted(len(lacking), 'run')}")
    new: dict[str, RunRecord] = {}
    for record in lacking:
        try:
            # Absolute: the process may have been started in another folder.
            new[record.id] = (diagnose or _in_child)(folders[record.id].absolute(), level)
        except Exception as error:  # noqa: BLE001 (logged; the run is trained and tested)
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            reason = " ".join(str(error).split())
            log.warning("%s has no diagnostics: %s%s", record.name, kind, reason)
    return [new.get(record.id, record) for record in records]


def _in_child(folder: Path, level: str) -> RunRecord:
    record: RunRecord = child().call(_DIAGNOSE, folder, level)
    return record
