"""The runs below the logdir, read again where one has changed."""

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
    """Runs at one moment.

    Args:
        runs: `frame`'s table.
        unreadable: what could not be read.
        version: another one whenever a run, or a history that still grows, is another.
    """

    runs: DataFrame
    unreadable: list[UnreadableRun]
    version: str


class RunStore:
    """The runs of a folder; gives the same snapshot while nothing has changed on the disk.

    Args:
        logdir: a run, a study or a folder of studies.
    """

    def __init__(self, logdir: Path) -> None:
        self._reader = Reader([logdir])
        self._seen: list[Any] | None = None
        self._snapshot: Snapshot
        # TensorBoard answers every request in a thread of its own.
        self._lock = Lock()

    def refresh(self) -> Snapshot:
        """Return the runs that are there.

        Raises:
            UserError: the logdir is not there, or may not be listed.
        """
        with self._lock:
            runs, unreadable = self._reader.read()
            growing = [_history_size(path) for path in runs["path"][runs["status"] == "running"]]
            records = runs.get("record", runs["id"]).tolist()
            seen = [list(runs["path"]), records, unreadable, growing]
            if seen != self._seen:
                # The time, not a count: a page outlives the TensorBoard that it was opened from.
                self._seen = seen
                self._snapshot = Snapshot(runs, unreadable, f"{time.time_ns():x}")
            return self._snapshot


def _history_size(run: str) -> int:
    """Return the bytes of a run's history; 0 where there is none yet."""
    try:
        return os.lstat(RunDirectory(Path(run)).history).st_size
    except OSError:
        return 0
