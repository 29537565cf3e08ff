"""A sweep in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from convscope.errors import UserError
from convscope.runs.record import RunRecord
from convscope.training.record import first_record
from convscope.training.request import RunRequest
from convscope.training.train import train


def run_serially(requests: Sequence[RunRequest], notify: Callable[[str], None]) -> list[RunRecord]:
    """Train each distinct run; one that fails does not stop the others, an interruption does.

    Returns:
        A record per run that was reached, in order.

    Raises:
        UserError: what is written cannot be: no other run could write either.
    """
    distinct = list({request.id: request for request in requests}.values())
    if len(distinct) < len(requests):
        notify(f"{len(requests)} jobs are {len(distinct)} different runs")
    records = []
    for number, request in enumerate(distinct, start=1):
        notify(f"[{number}/{len(distinct)}] {request.checked.variant}")
        try:
            record = train(request, notify)
        except UserError as error:
            if isinstance(error.__cause__, OSError):
                raise
            # Trained by another process, or its old record is damaged: nothing is written over it.
            record = replace(first_record(request), status="failed", reason=str(error))
        if record.reason is not None:
            notify(f"{record.variant} {record.status}: {record.reason}")
        records.append(record)
        if record.status == "interrupted":
            break
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return records
