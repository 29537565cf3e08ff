"""Contender (a): this project's training as users run it."""

from __future__ import annotations

import io
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

from typing_extensions import override

from convscope.benchmark.cases import COMMON, Case
from convscope.errors import UserError
from convscope.training.resolve import RunResolver
from convscope.training.schedule import WARMUP_STEPS
from convscope.training.train import train

# In place of scripts/train.py, which is missing where ConvScope is installed as a wheel.
_TRAIN = "from convscope.cli.train import main; main()"


@dataclass(frozen=True)
class TimedRun:
    """A timed run.

    Attributes:
        samples: training images over all epochs.
        samples_per_second: the rate that the run reports.
        seconds: wall time of the whole run.
    """

    samples: int
    samples_per_second: float
    seconds: float


def run_lengths(case: Case, steps: int) -> tuple[int, int, int]:
    """Return the number of epochs, and the steps per epoch of a long and of a short run.

    Both have the same number of epochs, so validation and checkpoints cost the same in both.

    Args:
        case: the variant and batch size.
        steps: approximate number of steps of the long run.

    Raises:
        UserError: an epoch has fewer than two steps.
    """
    per_epoch = len(case.request.train_indices) // case.batch_size
    if per_epoch < 2:
        raise UserError(
            "data.batch_size must leave at least 2 steps of an epoch to be measured,"
            f" got {case.batch_size}"
        )
    # At least two epochs, because the first may be all warm-up.
    epochs = max(2, -(-steps // per_epoch))
    long = min(per_epoch, max(2, steps // epochs))
    return epochs, long, min(WARMUP_STEPS, long // 2)


def timed_run(
    resolver: RunResolver, case: Case, epochs: int, steps_per_epoch: int, compiled: bool
) -> TimedRun:
    """Train a case from scratch, in a temporary folder.

    Args:
        resolver: prepares the run.
        case: the variant and batch size.
        epochs: number of epochs.
        steps_per_epoch: training steps of each epoch.
        compiled: whether to use `torch.compile`.

    Raises:
        UserError: the run failed.
    """
    with tempfile.TemporaryDirectory(prefix="convscope-benchmark-") as folder:
        overrides = [
            *case.overrides,
            *COMMON,
            f"compile={str(compiled).lower()}",
            f"trainer.max_epochs={epochs}",
            f"trainer.limit_train_batches={steps_per_epoch}",
            f"output_dir={folder}",
        ]
        request = resolver.request(*resolver.prepare([overrides]))
        with null_terminal():
            began = time.perf_counter()
            record = train(request)
            seconds = time.perf_counter() - began
    if record.status == "interrupted" and record.reason is not None:
        raise KeyboardInterrupt(signal.Signals[record.reason])
    if record.status != "finished":
        raise UserError(f"{record.name} {record.status}: {record.reason}")
    rate = record.metrics["train_samples_per_sec"]
    assert rate is not None
    return TimedRun(epochs * steps_per_epoch * case.batch_size, rate, seconds)


def wall_slope(short: TimedRun, long: TimedRun) -> float | None:
    """Return samples/s from the difference of two runs; None if the long one was not slower.

    Start, end, validation and checkpoints take the same time in both runs and cancel out.
    """
    seconds = long.seconds - short.seconds
    return (long.samples - short.samples) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class EndToEnd:
    """A command and its wall time in seconds."""

    command: str
    seconds: float


def end_to_end(overrides: Sequence[str], epochs: int) -> EndToEnd:
    """Time `scripts/train.py` as a separate process, including imports, data and results.

    Args:
        overrides: the overrides that select the variant.
        epochs: number of epochs.

    Raises:
        UserError: the run failed.
    """
    typed = [*overrides, f"trainer.max_epochs={epochs}"]
    with tempfile.TemporaryDirectory(prefix="convscope-benchmark-") as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _TRAIN, *typed, f"output_dir={folder}"],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
    command = shlex.join(["python", "scripts/train.py", *typed])
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UserError(f"{command} failed: {reason}")
    return EndToEnd(command, seconds)


class _NullTerminal(io.TextIOBase):
    encoding = "utf-8"

    @override
    def isatty(self) -> bool:
        return True

    @override
    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def null_terminal() -> Iterator[None]:
    """Redirect output to a terminal that discards it: progress bars cost their usual time."""
    terminal = _NullTerminal()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        yield
