"""history.csv: one row per finished epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from convscope.errors import UserError
from convscope.files import replace_file
from convscope.runs.pack import read_run_file

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
_HEADER = ",".join(COLUMNS) + "\n"
_MAX_BYTES = 2**28
"""Largest history, enough for a million epochs."""
_LARGEST = 2**53
"""Largest epoch or step: up to it a float represents every integer."""

Row = dict[str, float | int | None]


class History:
    """The rows of a run's history.csv; the caller has the run's lock when it writes.

    A row has `epoch` (finished epochs, counted from 1), `step` (optimizer steps so far) and
    `METRICS`, named by their TensorBoard tags; a metric that was not measured is an empty cell.
    Numbers are written by `repr`, so that they are read back bit-equal, NaN included.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, float | int | None]) -> None:
        """Append the row of an epoch and flush it to the disk.

        Raises:
            ValueError: A key is not a column, or the epoch is not later than the last one.
            UserError: The disk is full or not writable, or the file is not a history.
        """
        line = _line(row)
        rows = self._rows() or _HEADER
        if not rows.startswith(_HEADER):
            # A version with fewer columns wrote it.
            rows = "".join((_HEADER, *(f"{_line(row)}\n" for row in self.read())))
        last = rows[rows.rfind("\n", 0, -1) + 1 :].rstrip("\n")
        if rows != _HEADER and _parsed(last) is None:
            self.read()  # Raises UserError, which names the line.
        if rows != _HEADER and int(last.partition(",")[0]) >= _epoch(row):
            raise ValueError(f"{self.path} has epoch {row['epoch']} already; cut it back first")
        replace_file(self.path, f"{rows}{line}\n".encode())

    def read(self) -> list[Row]:
        """Return all rows; [] if there is no file. An incomplete last line is ignored.

        Raises:
            UserError: The file cannot be read or is not a history; the message names the line.
        """
        header, *lines = (self._rows() or _HEADER).split("\n")[:-1]
        columns = tuple(header.split(","))
        if columns[:2] != COLUMNS[:2] or columns != tuple(c for c in COLUMNS if c in columns):
            raise UserError(
                f"{self.path} line 1 must be the columns of a history: {','.join(COLUMNS)}"
            )
        rows: list[Row] = []
        for number, line in enumerate(lines, start=2):
            row = _parsed(line, columns)
            if row is None:
                raise UserError(f"{self.path} line {number} is not a row of a history: {line!r}")
            if rows and _epoch(row) <= _epoch(rows[-1]):
                raise UserError(
                    f"{self.path} line {number} must be of a later epoch than the line before:"
                    f" {_epoch(rows[-1])}, then {_epoch(row)}"
                )
            rows.append(row)
        return rows

    def cut_back(self, epoch: int) -> None:
        """Delete the rows from `epoch` on, the one to be trained next (counted from 1).

        Raises:
            UserError: As `read` and `append`.
        """
        kept = [_line(row) for row in self.read() if _epoch(row) < epoch]
        if self.path.exists():
            replace_file(self.path, "".join((_HEADER, *(f"{line}\n" for line in kept))).encode())

    def _rows(self) -> str:
        """Return header and complete rows, each with its newline; "" if there is no file."""
        try:
            text = read_run_file(self.path, _MAX_BYTES).decode("ascii", errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror or error}") from error
        # A last line without a newline is incomplete: its writer was killed.
        return text[: text.rfind("\n") + 1]


def _parsed(line: str, columns: Sequence[str] = COLUMNS) -> Row | None:
    """Return a line's values by column, None where it lacks one; None if it is not a row."""
    cells = line.split(",")
    try:
        counts = list(map(int, cells[:2]))
        if not all(0 <= count <= _LARGEST for count in counts) or counts[0] == 0:
            return None
        numbers = [*counts, *(float(cell) if cell else None for cell in cells[2:])]
        return dict.fromkeys(COLUMNS) | dict(zip(columns, numbers, strict=True))
    except ValueError:
        return None


def _epoch(row: Mapping[str, float | int | None]) -> int:
    return int(row["epoch"] or 0)


def _line(row: Mapping[str, float | int | None]) -> str:
    unknown = row.keys() - set(COLUMNS)
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is not a column of a history")
    if not all(type(row.get(key)) is int for key in ("epoch", "step")):
        raise ValueError("a row of a history needs epoch and step as whole numbers")
    cells = [str(row["epoch"]), str(row["step"])]
    for metric in METRICS:
        value = row.get(metric)
        cells.append("" if value is None else repr(float(value)))
    return ",".join(cells)
