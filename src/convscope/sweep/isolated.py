"""Training of one run of a sweep, such that its errors do not end the sweep."""

from __future__ import annotations

import dataclasses

from convscope.errors import UserError
from convscope.runs.lock import RunLocked
from convscope.runs.record import RunRecord, utc_now
from convscope.streams import suspend_terminal_log
from convscope.training.distributed.processes import WorkerProcesses
from convscope.training.record import first_record
from convscope.training.request import RunRequest
from convscope.training.train import train


def train_isolated(
    request: RunRequest, processes: WorkerProcesses | None = None
) -> RunRecord | None:
    """Train a run and return its record, `failed` for an error that concerns only this run.

    A `failed` record that is due to a damaged record on disk is not written.

    Args:
        request: the run.
        processes: as for `train`.

    Returns:
        The record; None if another process trains the run.

    Raises:
        UserError: a file cannot be written, which would stop other runs too.
    """
    try:
        # The sweep prints its own lines; those of the run are in its train.log.
        with suspend_terminal_log():
            return train(request, processes)
    except RunLocked:
        return None
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return dataclasses.replace(
            first_record(request), status="failed", reason=str(error), ended_at=utc_now()
        )
