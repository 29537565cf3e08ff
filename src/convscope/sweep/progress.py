"""What the terminal shows while a sweep goes on: a line per run, a bar with the time left."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from convscope.metrics import describe
from convscope.runs.record import RunRecord
from convscope.sweep.plan import PlannedRun

log = logging.getLogger(__name__)

_START = 0.0, 0.0


class SweepProgress:
    """Counts runs and tells the time left, which follows from how those before did.

    Args:
        runs: all that are to be done, in order.
        seconds: estimates a run's wall seconds here; None where runs are trained elsewhere, or side
            by side: the time left is then told once two have ended, by what came after the first,
            since before it processes had to start.
        show_bar: draw the bar; it is drawn on a terminal alone.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        seconds: Callable[[PlannedRun], float] | None,
        show_bar: bool,
    ) -> None:
        self._runs = len(runs)
        self._done = 0
        self._is_estimated = seconds is not None
        self._cost = {run.request.id: (seconds or _operations)(run) for run in runs}
        self._whole = self._left = sum(self._cost.values())
        self._started = time.perf_counter()
        self._since = _START
        """Seconds elapsed and cost done, from where on the pace counts."""
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
        shown = describe(record.metrics, "test_accuracy", "train_samples_per_sec")
        what = record.reason or shown
        words_left = self._time_left_text()
        left = f"; {words_left}" if words_left else ""
        self._bar.update()
        self._bar.set_postfix_str(words_left)
        with tqdm.external_write_mode(file=sys.stderr):
            log.info(
                f"[{self._done}/{self._runs}] {record.variant} seed {record.config['seed']}"
                f" {record.status}: {what}{left}"
            )

    def _time_left_text(self) -> str:
        seconds = self.time_left()
        return "" if seconds is None or seconds < 0.5 else f"{clock(seconds)} left"

    def time_left(self) -> float | None:
        """Return wall seconds, by the pace so far; None where nothing tells yet."""
        began, done_before = self._since
        done = self._whole - self._left - done_before
        if done <= 0:
            return self._whole if self._is_estimated else None
        return self._left * (self.elapsed() - began) / done

    def elapsed(self) -> float:
        """Return wall seconds since the first run was begun."""
        return time.perf_counter() - self._started

    def summary(self) -> str:
        """Say how long it all took, and was estimated to take."""
        estimated = f", estimated {clock(self._whole)}" if self._is_estimated else ""
        return f"took {clock(self.elapsed())}{estimated}"

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


def clock(seconds: float) -> str:
    """75 as 1:15, 4000 as 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _operations(run: PlannedRun) -> float:
    """Return what a run costs relative to others: the MACs of its training."""
    geometry = run.request.variant.geometry
    return 0 if geometry is None else run.steps_left * geometry.macs
