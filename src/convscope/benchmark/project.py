"""(a): this project's training as people run it."""

from __future__ import annotations

import io
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

from typing_extensions import override

from convscope.benchmark.cases import COMMON, Case
from convscope.errors import UserError
from convscope.training.resolve import Resolver
from convscope.training.steps import WARMUP_STEPS
from convscope.training.train import train

# What scripts/train.py does, also where ConvScope is installed without its scripts.
_TRAIN = "from convscope.cli.train import train; train()"


@dataclass(frozen=True)
class TimedRun:
    """A run's training images, its own samples/s, and the seconds that it took in all."""

    samples: int
    samples_per_second: float
    seconds: float


class ProjectRuns:
    """Runs of a case, each from scratch in a folder that is removed.

    Args:
        steps: optimizer steps of a long run, about; in as many epochs as they make.
        compiled: through `torch.compile`.

    Raises:
        UserError: an epoch has fewer than two steps.
    """

    def __init__(
        self,
        resolver: Resolver,
        case: Case,
        steps: int,
        compiled: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._resolver = resolver
        self._case = case
        self._compiled = compiled
        self._clock = clock
        per_epoch = len(case.request.train_indices) // case.batch_size
        if per_epoch < 2:
            raise UserError(
                "data.batch_size must leave at least 2 steps of an epoch to be measured,"
                f" got {case.batch_size}"
            )
        # Two at least: the first may be all warm-up.
        self.epochs = max(2, -(-steps // per_epoch))
        self.steps_per_epoch = min(per_epoch, max(2, steps // self.epochs))

    def long(self) -> TimedRun:
        return self._run(self.steps_per_epoch)

    def short(self) -> TimedRun:
        """As many epochs of few steps: validation and checkpoints cost what they cost in `long`."""
        return self._run(min(WARMUP_STEPS, self.steps_per_epoch // 2))

    def _run(self, steps_per_epoch: int) -> TimedRun:
        with tempfile.TemporaryDirectory(prefix="convscope-benchmark-") as folder:
            overrides = [
                *self._case.overrides,
                *COMMON,
                f"compile={str(self._compiled).lower()}",
                f"trainer.max_epochs={self.epochs}",
                f"trainer.limit_train_batches={steps_per_epoch}",
                f"output_dir={folder}",
            ]
            request = self._resolver.request(*self._resolver.prepare([overrides]))
            with null_terminal():
                began = self._clock()
                record = train(request)
                seconds = self._clock() - began
        if record.status == "interrupted" and record.reason is not None:
            raise KeyboardInterrupt(signal.Signals[record.reason])
        if record.status != "finished":
            raise UserError(f"{record.name} {record.status}: {record.reason}")
        samples = self.epochs * steps_per_epoch * self._case.batch_size
        rate = record.metrics["train_samples_per_sec"]
        assert rate is not None
        return TimedRun(samples, rate, seconds)


def wall_slope(short: TimedRun, long: TimedRun) -> float | None:
    """samples/s between two runs by wall clock; None where the long one was not the longer.

    What both do besides training, start and end, validation and checkpoints, cancels out.
    """
    seconds = long.seconds - short.seconds
    return (long.samples - short.samples) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class EndToEnd:
    """A command and the seconds of wall time that it took."""

    command: str
    seconds: float


def end_to_end(overrides: Sequence[str], epochs: int) -> EndToEnd:
    """Time `scripts/train.py` as a process of its own, imports, data and results included.

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
    """Print to a terminal that shows nothing: progress bars are drawn, and cost what they cost."""
    terminal = _NullTerminal()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        yield
