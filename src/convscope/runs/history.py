"""history.csv: one row per finished epoch."""

import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from convscope.errors import UserError
from convscope.files import open_regular, read_regular
from convscope.runs.replace import replace_file, sync_folder

METRICS = (
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "optim/lr",
    "throughput/train_samples_per_sec",
    "throughput/eval_samples_per_sec",
    "throughput/step_ms",
    "memory/peak_mb",
)
COLUMNS = ("epoch", "step", *METRICS)
_HEADER = ",".join(COLUMNS)
_MOST_BYTES = 2**28
"""A million epochs."""
_LARGEST = 2**53
"""Epoch or step: up to it a float has every whole number."""
_TAIL = 4096
"""Bytes that hold the last row, and what a kill left after it, many times over."""

Row = dict[str, float | int | None]


class History:
    """The rows of one run; written under the run's lock.

    A row holds `epoch` (counted from 1: epoch 3 is the third, finished), `step` (optimizer steps
    so far) and `METRICS` under their TensorBoard tags; a metric that was not measured is an empty
    cell. Numbers are written as `repr` gives them and read back bit-equal, NaN included.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, float | int | None]) -> None:
        """Add the row of an epoch after the last one and flush it to the disk.

        Raises:
            ValueError: A key is no column, or the epoch is there already.
            UserError: The disk is full or not writable, or the file is no history.
        """
        line = _line(row)
        if self._last_epoch() >= _epoch(row):
            raise ValueError(f"{self.path} has epoch {row['epoch']} already; cut it back first")
        try:
            self._append(line)
        except OSError as error:
            raise UserError(f"{self.path} could not be written: {error.strerror}") from error

    def read(self) -> list[Row]:
        """All rows; [] where there is no file. A last line that was cut short is no row.

        Raises:
            UserError: The file cannot be read, or is no history; names the line.
        """
        lines = self._lines()
        if lines and lines[0] != _HEADER:
            raise UserError(f"{self.path} line 1 must be the columns of a history: {_HEADER}")
        rows = [self._row(line, number) for number, line in enumerate(lines[1:], start=2)]
        for number, (before, row) in enumerate(pairwise(rows), start=3):
            if _epoch(row) <= _epoch(before):
                raise UserError(
                    f"{self.path} line {number} must be of a later epoch than the line before:"
                    f" {_epoch(before)}, then {_epoch(row)}"
                )
        return rows

    def cut_back(self, epoch: int) -> None:
        """Keep the rows of the epochs before `epoch`, the one to be trained next (from 1).

        Raises:
            UserError: As `read` and `append`.
        """
        kept = [_line(row) for row in self.read() if _epoch(row) < epoch]
        if self.path.exists():
            replace_file(self.path, "".join(f"{line}\n" for line in (_HEADER, *kept)).encode())

    def _last_epoch(self) -> int:
        """Of the last row, 0 where there is none; the others are not read, however many."""
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                header = file.readline(_TAIL)
                size = file.seek(0, os.SEEK_END)
                file.seek(max(len(header), size - _TAIL))
                lines = file.read().decode("ascii", errors="replace").split("\n")[:-1]
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror or error}") from error
        is_whole = header.endswith(b"\n") or len(header) == _TAIL
        if is_whole and header != f"{_HEADER}\n".encode():
            self.read()
        if not lines:
            return 0
        row = _parsed(lines[-1])
        return _epoch(row or self.read()[-1])

    def _lines(self) -> list[str]:
        try:
            text = read_regular(self.path, _MOST_BYTES).decode("ascii", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror or error}") from error
        # A row ends with its newline: what follows the last one was cut short by a kill.
        return text.split("\n")[:-1]

    def _row(self, line: str, number: int) -> Row:
        row = _parsed(line)
        if row is None:
            raise UserError(f"{self.path} line {number} is no row of a history: {line!r}")
        return row

    def _append(self, line: str) -> None:
        descriptor = open_regular(self.path, os.O_RDWR | os.O_CREAT)
        # Unbuffered: what a full disk refused must not be tried again when the file is closed.
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
            file.seek(start)
            newline = file.read().rfind(b"\n")
            end = start + newline + 1 if newline >= 0 else 0
            file.truncate(end)
            file.seek(end)
            data = (line if end else f"{_HEADER}\n{line}").encode() + b"\n"
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
        if not end:
            sync_folder(self.path.parent)


def _parsed(line: str) -> Row | None:
    """A line's cells; None where it is no row."""
    cells = line.split(",")
    try:
        counts = list(map(int, cells[:2]))
        if not all(0 <= count <= _LARGEST for count in counts) or counts[0] == 0:
            return None
        numbers = [*counts, *(float(cell) if cell else None for cell in cells[2:])]
        return dict(zip(COLUMNS, numbers, strict=True))
    except ValueError:
        return None


def _epoch(row: Mapping[str, float | int | None]) -> int:
    return int(row["epoch"] or 0)


def _line(row: Mapping[str, float | int | None]) -> str:
    unknown = row.keys() - set(COLUMNS)
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is no column of a history")
    if not all(type(row.get(key)) is int for key in ("epoch", "step")):
        raise ValueError("a row of a history needs epoch and step as whole numbers")
    cells = [str(row["epoch"]), str(row["step"])]
    for metric in METRICS:
        value = row.get(metric)
        cells.append("" if value is None else repr(float(value)))
    return ",".join(cells)
