"""What the terminal shows while a sweep goes on: a line per run, a bar with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from convscope.runs.record import RunRecord
from convscope.sweep.estimate import Estimator
from convscope.sweep.plan import PlannedRun
from convscope.tables import count, percent


class SweepProgress:
    """Counts runs; the time left follows the estimates, corrected by how they did so far.

    Args:
        runs: all that are to be done, in order.
        notify: is told a line per run.
        show_bar: draw the bar; it is drawn on a terminal alone.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        estimator: Estimator,
        notify: Callable[[str], None],
        show_bar: bool,
    ) -> None:
        self._notify = notify
        self._runs = len(runs)
        self._done = 0
        self._seconds = {run.request.id: estimator.seconds(run) for run in runs}
        self.estimated = sum(self._seconds.values())
        """Wall seconds of the whole sweep, by the estimate."""
        self._left = self.estimated
        self._started = time.perf_counter()
        self._bar: tqdm[Any] = tqdm(
            total=self._runs,
            unit="run",
            leave=False,
            dynamic_ncols=True,
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} runs {postfix}",
            disable=not (show_bar and sys.stderr.isatty()),
        )
        self._bar.set_postfix_str(f"{clock(self._left)} left")

    def begin(self, run: PlannedRun) -> None:
        self._bar.set_description(run.request.checked.variant)

    def end(self, run: PlannedRun, record: RunRecord) -> None:
        """Tell how a run ended."""
        self._done += 1
        self._left -= self._seconds[run.request.id]
        metrics = record.metrics
        what = record.reason or (
            f"test accuracy {percent(metrics.get('test_accuracy'))},"
            f" {count(metrics.get('train_samples_per_sec'))} samples/s"
        )
        left = f"; {clock(self.time_left())} left" if self._left > 0.5 else ""
        self._bar.update()
        self._bar.set_postfix_str(f"{clock(self.time_left())} left")
        with tqdm.external_write_mode(file=sys.stderr):
            self._notify(
                f"[{self._done}/{self._runs}] {record.variant} seed {record.config['seed']}"
                f" {record.status}: {what}{left}"
            )

    def time_left(self) -> float:
        """Wall seconds, by the estimate times what the estimate was off so far."""
        expected = self.estimated - self._left
        if expected <= 0:
            return self._left
        return self._left * self.elapsed() / expected

    def elapsed(self) -> float:
        return time.perf_counter() - self._started

    def close(self) -> None:
        self._bar.close()


def clock(seconds: float) -> str:
    """75 as 1:15, 4000 as 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
