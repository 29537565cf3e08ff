"""Progress of a sweep in the terminal: a line per run, and a bar with the time left."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from convscope.metrics import describe
from convscope.runs.record import RunRecord
from convscope.sweep.plan import PlannedRun, run_labels

log = logging.getLogger(__name__)

_START = 0.0, 0.0


class SweepProgress:
    """Counts runs that ended, and estimates the time left from the pace so far.

    Args:
        runs: all runs, in order.
        seconds: estimates the wall seconds of a run on this machine. None if runs are trained
            elsewhere or side by side: the pace is then measured from the end of the first run, as
            the time before it includes starting processes.
        show_bar: draw the bar if standard error is a terminal.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        seconds: Callable[[PlannedRun], float] | None,
        show_bar: bool,
    ) -> None:
        self._runs = len(runs)
        self._labels = run_labels(runs)
        self._done = 0
        self._is_estimated = seconds is not None
        self._cost = {run.request.id: (seconds or _operations)(run) for run in runs}
        self._whole = self._left = sum(self._cost.values())
        self._started = time.perf_counter()
        self._since = _START
        """Elapsed seconds and finished cost from which the pace is measured."""
        self._bar: tqdm[Any] = tqdm(
            total=self._runs,
            unit="run",
            leave=False,
            dynamic_ncols=True,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} runs {postfix}",
            disable=not (show_bar and sys.stderr.isatty()),
        )
        self._bar.set_postfix_str(self._time_left_text())

    def end(self, run: PlannedRun, record: RunRecord) -> None:
        """Log how a run ended."""
        self._done += 1
        cost = self._cost[run.request.id]
        self._left -= cost
        if cost and not self._is_estimated and self._since == _START:
            self._since = self.elapsed(), self._whole - self._left
        metrics = describe(record.metrics, "test_accuracy", "train_samples_per_sec")
        time_left = self._time_left_text()
        suffix = f"; {time_left}" if time_left else ""
        self._bar.update()
        self._bar.set_postfix_str(time_left)
        with tqdm.external_write_mode(file=sys.stderr):
            log.info(
                f"[{self._done}/{self._runs}] {self._labels[run.request.id]} seed"
                f" {record.config['seed']}"
                f" {record.status}: {record.reason or metrics}{suffix}"
            )

    def _time_left_text(self) -> str:
        seconds = self.time_left()
        return "" if seconds is None or seconds < 0.5 else f"{clock(seconds)} left"

    def time_left(self) -> float | None:
        """Return the estimated wall seconds left; None while there is no estimate."""
        began, done_before = self._since
        done = self._whole - self._left - done_before
        if done <= 0:
            return self._whole if self._is_estimated else None
        return self._left * (self.elapsed() - began) / done

    def elapsed(self) -> float:
        """Return wall seconds since the first run started."""
        return time.perf_counter() - self._started

    def summary(self) -> str:
        """Return the total time, and the estimate at the start if there was one, as text."""
        estimated = f", estimated {clock(self._whole)}" if self._is_estimated else ""
        return f"took {clock(self.elapsed())}{estimated}"

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def clock(seconds: float) -> str:
    """Return seconds as a clock time: 75 as 1:15, 4000 as 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _operations(run: PlannedRun) -> float:
    """Return the cost of a run relative to others: MACs per image times steps left."""
    geometry = run.request.variant.geometry
    return 0 if geometry is None else run.steps_left * geometry.macs
