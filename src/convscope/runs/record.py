"""run.json: what one run was, and what came of it (schema 1)."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convscope.errors import UserError
from convscope.files import read_regular, replace_file
from convscope.runs.directory import RunDirectory
from convscope.runs.lock import is_locked
from convscope.runs.schema import SCHEMA, Status, problem_of

MOST_BYTES = 2**24
"""Of a record: a thousand times as many as most have."""
KILLED = "its process ended without saying why (killed, or the machine went down)"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run, as run.json holds it.

    Args:
        id: `identity` of the resolved config, 64 hex digits.
        reason: One line for `interrupted`, `failed` and `skipped`; None for the others.
        variant: The geometry's label, `k3-s2-p1`.
        command: What the user typed, or the call.
        config: The resolved config, plain values.
        dataset: `schema.Dataset`: images per part, input_shape (channels, height, width);
            None for what is not known because no data was loaded. `used`: images of an epoch's
            training (`train`), of a validation (`val`) and of the test (`test`), optimizer
            `steps`, and test images of the `most_frequent` class; older records lack it.
        geometry: `NetworkGeometry.as_records()`; empty where the variant is impossible.
        params, macs: Of the whole network; None where the variant is impossible.
        metrics: The `summary/` tags without their prefix. JSON has no NaN: a value that is not
            finite is written as null and reads as None.
        resumed_from_epoch: Epochs that were finished when the run was last resumed; 0 if never.
        environment: `schema.Environment` at least.
        started_at, ended_at: ISO 8601 in UTC, as `utc_now` gives them.
        path: The run's folder, where it was read from one; not part
            of the file.
    """

    id: str
    study: str
    name: str
    status: Status
    reason: str | None = None
    variant: str
    command: str
    config: dict[str, Any]
    dataset: dict[str, Any]
    geometry: list[dict[str, Any]]
    params: int | None
    macs: int | None
    metrics: Mapping[str, float | int | None] = dataclasses.field(default_factory=dict)
    resumed_from_epoch: int = 0
    environment: dict[str, Any]
    started_at: str
    ended_at: str | None = None
    duration_s: float | None = None
    path: Path | None = dataclasses.field(default=None, compare=False)

    @property
    def speed_is_shared(self) -> bool:
        """Whether its samples/s are of a time when other runs may have had its machine too."""
        return bool(self.environment.get("shared")) and "alone" not in self.environment


@contextmanager
def reading(record: RunRecord) -> Iterator[None]:
    """Within it, what a record lacks of what is read from it is told in one line.

    Raises:
        UserError: the record does not say what was trained.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{record.path or record.name} does not say what was trained: {error!r}"
        ) from error


def utc_now() -> str:
    """Return the time as records have it: `2026-01-31T12:00:00.250Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_record(path: Path, record: RunRecord) -> None:
    """Replace run.json whole; the caller holds the run's lock.

    Raises:
        ValueError: `read_record` would refuse it.
        UserError: The disk is full or not writable; the old record is whole.
    """
    document = {"schema": SCHEMA} | {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name != "path"
    }
    document["metrics"] = _finite(record.metrics)
    problem = problem_of(document)
    if problem:
        raise ValueError(f"{path}: {problem}")
    text = json.dumps(document, indent=1, allow_nan=False)
    replace_file(path, text.encode("ascii") + b"\n")


def read_record(path: Path) -> RunRecord:
    """Read run.json, its status as it stands there.

    Raises:
        UserError: It cannot be read or is no record of this schema; names the file and why.
    """
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise UserError(f"{path} is empty")
    try:
        # Python's own literals NaN and Infinity, in records made by hand, read as null.
        document = json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no valid JSON: {error}") from error
    problem = problem_of(document)
    if problem:
        raise UserError(f"{path} is no record of a run: {problem}")
    del document["schema"]
    document["metrics"] = _finite(document["metrics"])
    return RunRecord(**document, path=path.parent)


def effective_status(run_dir: Path, record: RunRecord) -> Status:
    """Return the status to believe: `running` while nobody has the run's lock is `interrupted`."""
    if record.status == "running" and not is_locked(run_dir):
        return "interrupted"
    return record.status


def current_record(run_dir: Path) -> RunRecord:
    """Read a run's record with the status to believe.

    To a process that holds the run's lock itself, what a killed one left reads as `running`.

    Raises:
        UserError: As `read_record`, or the lock's file may not be opened.
    """
    path = RunDirectory(run_dir).record
    record = read_record(path)
    if effective_status(run_dir, record) == record.status:
        return record
    # Read again: it may have ended, and let go of the lock, since the first look.
    record = read_record(path)
    if record.status != "running":
        return record
    return dataclasses.replace(record, status="interrupted", reason=KILLED)


def _finite(metrics: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }
