"""What a run's record says when its process died without writing why."""

from __future__ import annotations

from dataclasses import replace

from convscope.errors import UserError
from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord, read_record, utc_now, write_record
from convscope.training.record import first_record
from convscope.training.request import RunRequest


def record_death(request: RunRequest, reason: str, wait: bool) -> RunRecord:
    """Record a run as failed, unless it was finished when its process died.

    What it has trained stays, for the next try to resume from.

    Args:
        wait: until the dead process's claim has run out, where it was on another host; else a
            claim that still stands leaves the record as it is.

    Raises:
        UserError: the record cannot be written.
    """
    directory = request.directory
    record = first_record(request)
    lock = RunLock(directory.path)
    if lock.acquire(blocking=wait):
        try:
            if directory.record.exists():
                record = _begun(request)
            if record.status != "finished":
                record = replace(record, status="failed", reason=reason, ended_at=utc_now())
                write_record(directory.record, record)
        finally:
            lock.release()
    return record


def _begun(request: RunRequest) -> RunRecord:
    try:
        return read_record(request.directory.record)
    except UserError:
        # Damaged: the reason for the death is worth more than what cannot be read.
        return first_record(request)
