"""run.json: the config, environment, status and results of a run (schema 1)."""

import dataclasses
import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convscope.errors import UserError
from convscope.files import replace_file
from convscope.runs.directory import RunDirectory
from convscope.runs.lock import is_locked
from convscope.runs.pack import read_run_file
from convscope.runs.schema import SCHEMA, Status, problem_of

MAX_BYTES = 2**24
"""Largest record; most have a thousandth of it."""
KILLED = "its process ended without saying why (killed, or the machine went down)"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as described by run.json.

    Attributes:
        id: `identity` of the resolved config, 64 hex digits.
        study: Name of the study.
        name: Name of the run's folder.
        status: Status as written; see `effective_status`.
        reason: One line for each of `schema.REASON_STATUSES`; None for the others.
        variant: The variant's label, such as `k3-s2-p1`.
        command: The command line, or the call of the Python API.
        config: The resolved config, plain values.
        dataset: Keys of `schema.Dataset`: images per part, input_shape (channels, height, width);
            None if unknown because no data was loaded. `used` has the images of a training epoch
            (`train`), of a validation (`val`) and of the test (`test`), the optimizer `steps`, and
            the test images of the `most_frequent` class; older records lack it.
        geometry: `NetworkGeometry.as_records()`; empty if the variant is impossible.
        params, macs: Totals of the network; None if the variant is impossible.
        metrics: Values by `summary/` tag, without that prefix. JSON has no NaN: a value that is not
            finite is written as null and read as None.
        resumed_from_epoch: Epochs that were finished when the run was last resumed; 0 if never.
        environment: At least the keys of `schema.Environment`.
        started_at, ended_at: Times as from `utc_now`.
        duration_s: Duration in seconds.
        path: The run's folder if the record was read from one; not part of the file.
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
        """Whether samples/s were measured while other runs may have used the same machine."""
        return bool(self.environment.get("shared")) and "alone" not in self.environment


@contextmanager
def record_errors(record: RunRecord) -> Iterator[None]:
    """Raise errors at missing or malformed values of a record, within this block, as a UserError.

    Raises:
        UserError: The block found no usable value in the record.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{record.path or record.name} does not say what was trained: {error!r}"
        ) from error


def run_folder(record: RunRecord) -> Path:
    """Return the folder of a run, also where its record was not read from there.

    Raises:
        UserError: The record does not tell it.
    """
    if record.path is not None:
        return record.path
    with record_errors(record):
        return Path(os.path.join(record.config["output_dir"], record.study, record.name))


def with_metrics(
    record: RunRecord,
    names: Collection[str],
    values: Mapping[str, float | int | None],
    environment: Mapping[str, Any],
) -> RunRecord:
    """Return a record in which metrics were measured again.

    Args:
        record: The record so far.
        names: All metrics of this kind; older values of those that are not in `values` are dropped.
        values: The new values by name.
        environment: Entries of `environment` that say how they were measured.
    """
    others = {name: one for name, one in record.metrics.items() if name not in names}
    return dataclasses.replace(
        record,
        metrics={**others, **values},
        environment={**record.environment, **environment},
    )


def utc_now() -> str:
    """Return the current time in UTC, in ISO 8601: `2026-01-31T12:00:00.250Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_record(path: Path, record: RunRecord) -> None:
    """Replace run.json atomically; the caller has the run's lock.

    Args:
        path: The file.
        record: Its new content.

    Raises:
        ValueError: The record does not satisfy the schema.
        UserError: The disk is full or not writable; the old record is intact.
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
    """Return the record in run.json, with its status as written.

    Raises:
        UserError: The file cannot be read or is not a record of this schema.
    """
    try:
        data = read_run_file(path, MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise UserError(f"{path} is empty")
    try:
        # Python's literals NaN and Infinity, in records written by hand, are read as null.
        document = json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    problem = problem_of(document)
    if problem:
        raise UserError(f"{path} is not a record of a run: {problem}")
    del document["schema"]
    document["metrics"] = _finite(document["metrics"])
    return RunRecord(**document, path=path.parent)


def effective_status(run_dir: Path, record: RunRecord) -> Status:
    """Return the record's status, or `interrupted` if it is `running` and nobody has the lock."""
    if record.status == "running" and not is_locked(run_dir):
        return "interrupted"
    return record.status


def current_record(run_dir: Path) -> RunRecord:
    """Return a run's record with its effective status.

    In a process that has the run's lock itself, the record of a killed process stays `running`.

    Raises:
        UserError: As `read_record`, or the lock's file cannot be opened.
    """
    path = RunDirectory(run_dir).record
    record = read_record(path)
    if effective_status(run_dir, record) == record.status:
        return record
    # Read again: the run may have ended, and released the lock, since the first read.
    record = read_record(path)
    if record.status != "running":
        return record
    return dataclasses.replace(record, status="interrupted", reason=KILLED)


def _finite(metrics: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in metrics.items()
    }
