"""The runs below the logdir, which are read again when they change."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from pandas import DataFrame

from convscope.analysis.frame import Reader
from convscope.runs.directory import RunDirectory, UnreadableRun


@dataclass(frozen=True)
class Snapshot:
    """State of the runs at one time.

    Args:
        runs: table from `frame`.
        unreadable: unreadable runs.
        version: changes whenever a run, or the history of a running one, changes.
    """

    runs: DataFrame
    unreadable: list[UnreadableRun]
    version: str


class RunStore:
    """The runs of a folder; the snapshot stays the same until something changes on disk.

    Args:
        logdir: a run, a study or a folder of studies.
    """

    def __init__(self, logdir: Path) -> None:
        self._reader = Reader([logdir])
        self._seen: list[Any] | None = None
        self._snapshot: Snapshot
        # TensorBoard handles each request in a separate thread.
        self._lock = Lock()

    def refresh(self) -> Snapshot:
        """Return the current runs.

        Raises:
            UserError: the logdir does not exist or cannot be listed.
        """
        with self._lock:
            runs, unreadable = self._reader.read()
            growing = [_history_size(path) for path in runs["path"][runs["status"] == "running"]]
            records = runs.get("record", runs["id"]).tolist()
            seen = [list(runs["path"]), records, unreadable, growing]
            if seen != self._seen:
                # A time, not a counter: an open page may outlive its TensorBoard.
                self._seen = seen
                self._snapshot = Snapshot(runs, unreadable, f"{time.time_ns():x}")
            return self._snapshot


def _history_size(run: str) -> int:
    """Return the size of a run's history in bytes; 0 if it does not exist yet."""
    try:
        return os.lstat(RunDirectory(Path(run)).history).st_size
    except OSError:
        return 0
