"""One run of a sweep, which must not take the others down."""

from __future__ import annotations

import dataclasses

from convscope.errors import UserError
from convscope.runs.lock import RunLocked
from convscope.runs.record import RunRecord, utc_now
from convscope.streams import no_terminal_lines
from convscope.training.distributed.processes import WorkerProcesses
from convscope.training.record import first_record
from convscope.training.request import RunRequest
from convscope.training.train import train


def train_isolated(
    request: RunRequest, processes: WorkerProcesses | None = None
) -> RunRecord | None:
    """Train a run, and return its record; None where another process trains it.

    Where an old record is damaged, the one returned says so, and is not written.

    Args:
        request: the run.
        processes: as for `train`.

    Raises:
        UserError: what is written cannot be: no other run could write either.
    """
    try:
        # A sweep tells of its runs; what a run tells is in its train.log.
        with no_terminal_lines():
            return train(request, processes)
    except RunLocked:
        return None
    except UserError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return dataclasses.replace(
            first_record(request), status="failed", reason=str(error), ended_at=utc_now()
        )
