"""The paths and the name of a run, and the runs of a study."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from convscope.errors import UserError

MAX_STUDY_BYTES = 100
MAX_RUN_BYTES = 180
REPLACED = "replaced"
"""Folder of a study for replaced runs; no run or study may have this name."""
EVENT_FILES = "events.out.tfevents.*"
"""Pattern of a run's event files; TensorBoard reads any file with `tfevents` in its name."""

_DATASET_BYTES = 32
_VARIANT_BYTES = 64
_DIFFERENCE_BYTES = 40
_WINDOWS_CHARACTERS = '<>:"|?*'
_WINDOWS_DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}


class _PathInRun:
    """A path relative to a run's folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: RunDirectory, kind: type | None = None) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run; nothing is created or read."""

    path: Path
    record = _PathInRun("run.json")
    config = _PathInRun("config.yaml")
    history = _PathInRun("history.csv")
    checkpoints = _PathInRun("checkpoints")
    best = _PathInRun("checkpoints/best.ckpt")
    last = _PathInRun("checkpoints/last.ckpt")
    train_log = _PathInRun("train.log")
    predictions = _PathInRun("predictions.npz")
    diagnostics = _PathInRun("diagnostics.npz")
    lock = _PathInRun(".lock")
    heartbeat = _PathInRun(".heartbeat")

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.path.name


class UnreadableRun(NamedTuple):
    """An entry of a study's folder that cannot be read as a run; `reason` names the path too."""

    path: Path
    reason: str


def study_runs(study: Path) -> tuple[list[RunDirectory], list[UnreadableRun]]:
    """Return the folders of `study` that have a record, by name; `read_study` reads the records.

    Links are not followed, which avoids loops and folders outside the study. Folders without a
    record (`REPLACED`, or of a run that was killed at its start) are ignored.

    Raises:
        UserError: `study` is not a folder, or cannot be listed.
    """
    try:
        with os.scandir(study) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{study} cannot be listed: {error.strerror or error}") from error
    runs: list[RunDirectory] = []
    unreadable: list[UnreadableRun] = []
    for entry in entries:
        run = RunDirectory(Path(entry.path))
        try:
            if entry.is_symlink():
                unreadable.append(UnreadableRun(run.path, f"{run.path} is a link, not followed"))
            elif entry.is_dir() and _has_record(run):
                runs.append(run)
        except OSError as error:
            reason = f"{run.path} cannot be opened: {error.strerror or error}"
            unreadable.append(UnreadableRun(run.path, reason))
    return runs, unreadable


def _has_record(run: RunDirectory) -> bool:
    try:
        os.lstat(run.record)
    except FileNotFoundError:
        return False
    return True


def run_name(
    dataset: str, variant: str, differences: Sequence[str], seed: int, identity: str
) -> str:
    """Return a run's name: `<dataset>-<variant>[-<difference>…]-seed<n>-<8 digits of identity>`.

    The name is for people: it is shortened to `MAX_RUN_BYTES` (`~`, `and2more`), and only the
    identity distinguishes runs.

    Args:
        dataset: Name of the data set.
        variant: The variant's label.
        differences: Other settings that differ from the defaults: `optim.lr=0.01` becomes `lr0.01`,
            and `=resnet20`, without a key, `resnet20`.
        seed: The run's seed.
        identity: The run's identity, in hex.
    """
    head = [
        _cut(_safe(dataset).strip("._-") or "data", _DATASET_BYTES),
        _cut(_safe(variant), _VARIANT_BYTES),
    ]
    tail = [f"seed{seed}", identity[:8]]
    shown = [_cut(_short(difference), _DIFFERENCE_BYTES) for difference in differences]
    for kept in range(len(shown), -1, -1):
        left_out = len(shown) - kept
        more = [f"and{left_out}more"] if left_out else []
        name = "-".join([*head, *shown[:kept], *more, *tail])
        if len(name.encode()) <= MAX_RUN_BYTES:
            return name
    raise ValueError(f"seed {seed} is too long for a folder's name")


def _short(difference: str) -> str:
    key, _, value = difference.partition("=")
    value = _safe(value)
    if not key:
        return value
    # No '=': Hydra does not accept a path with one as a value.
    return _safe(key.rpartition(".")[2]) + (value if value[:1].isdigit() else f"_{value}")


def _safe(text: str) -> str:
    """Return the text with commas replaced by dots, and all else but letters and digits by `_`."""
    text = re.sub(r"[\[\]'\"]", "", unicodedata.normalize("NFC", text))
    text = re.sub(r"\s*,\s*", ".", text)
    text = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)
    return re.sub(r"_{2,}", "_", text)


def _cut(text: str, limit: int) -> str:
    data = text.encode()
    return text if len(data) <= limit else data[: limit - 1].decode(errors="ignore") + "~"


def check_study_name(name: str) -> None:
    """Check that a study's name is a valid folder name on Linux, macOS and Windows.

    Raises:
        UserError: It is not; the message names the rule.
    """
    problem = _study_problem(name)
    if problem:
        raise UserError(f"study must {problem}, got {name!r}")


def _study_problem(name: str) -> str | None:
    if not name:
        return "not be empty"
    if "/" in name or "\\" in name or name in (".", ".."):
        return "be one folder name, not a path"
    # Including unpaired surrogates and characters that change the direction of writing.
    if not name.isprintable():
        return "have no control or invisible characters"
    if name == REPLACED:
        return f"not be {REPLACED}, the folder of replaced runs"
    if name[0] in ". " or name[-1] in ". ":
        return "not begin or end with a dot or a space"
    if any(character in _WINDOWS_CHARACTERS for character in name):
        return f"have none of {_WINDOWS_CHARACTERS} (not allowed on Windows)"
    if name.partition(".")[0].rstrip().upper() in _WINDOWS_DEVICES:
        return "not be a device name of Windows"
    if len(name.encode()) > MAX_STUDY_BYTES:
        return f"be at most {MAX_STUDY_BYTES} bytes long"
    return None
