"""A launcher over an engine that trains runs in processes of its own, here or elsewhere.

The runs' records stay the only truth: such a process claims and trains its run as it would alone,
and an engine does no more than start processes and tell how they end.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from convscope.config.schema import TrainerConfig
from convscope.runs.record import RunRecord
from convscope.sweep.executors.death import record_death
from convscope.sweep.plan import PlannedRun
from convscope.training.hardware import Hardware
from convscope.training.record import first_record
from convscope.training.request import HandedRequest, hand
from convscope.training.signals import Interrupted, Signals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Death:
    """A process that ended before its run's record says how the run ended.

    Attributes:
        reason: in one line.
        may_pass: whether another try may end well: so where it was killed, not where it raised.
    """

    reason: str
    may_pass: bool


class EngineLost(Exception):
    """An engine is gone: it starts no process any more and tells of none, in one line."""


Outcome = RunRecord | Death | None
"""What `work` returned (None: another process trains the run), or why it did not return."""


class Engine(Protocol):
    @property
    def at_once(self) -> int:
        """Processes side by side."""

    def takes(self, alone: bool) -> int:
        """Runs that it is to have at a time, all of them alone or none."""

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        """As `Launcher.hardware`."""

    def submit(self, handed: HandedRequest, alone: bool) -> None:
        """Have a process do `worker.work` with it.

        Args:
            alone: have a machine's CPUs, and one GPU where there are any, for it alone.
        """

    def next_ended(self, seconds: float) -> tuple[str, Outcome] | None:
        """Identity and outcome of a run whose process has ended; None where none has by then.

        Raises:
            EngineLost: the engine is gone.
        """

    def cancel(self) -> None:
        """Ask processes to end as Ctrl-C does, and wait until they have."""

    def close(self) -> None:
        """Let go of the engine."""


_POLL_S = 0.5
"""How long a signal may wait."""


class EngineLauncher:
    """Starts every run, and again those whose process dies.

    What the engine does not take yet waits here, in order: engines start what they have in an order
    of their own.

    Args:
        max_retries: times that one run is started again.
    """

    is_here = False

    def __init__(self, engine: Engine, max_retries: int) -> None:
        self.engine = engine
        self.max_retries = max_retries
        self._waiting: deque[tuple[PlannedRun, bool]] = deque()
        """With whether alone."""
        self._running: dict[str, tuple[PlannedRun, bool]] = {}
        """By identity."""
        self._deaths: Counter[str] = Counter()

    @property
    def at_once(self) -> int:
        return self.engine.at_once

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        return self.engine.hardware(trainer)

    def start(self, run: PlannedRun, alone: bool = False) -> None:
        self._waiting.append((run, alone))
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and len(self._running) < self.engine.takes(self._waiting[0][1]):
            run, alone = self._waiting.popleft()
            self._running[run.request.id] = run, alone
            self.engine.submit(hand(run.request), alone)

    def next_ended(self) -> tuple[PlannedRun, RunRecord | None]:
        with Signals() as signals:
            while True:
                try:
                    ended = self.engine.next_ended(_POLL_S)
                except EngineLost as lost:
                    return self._ended_by(str(lost))
                try:
                    signals.check()
                except Interrupted as stop:
                    return self._interrupted(stop)
                if ended is None:
                    # The engine may have grown.
                    self._hand_over()
                    continue
                run, alone = self._running.pop(ended[0])
                record = self._settled(run, ended[1])
                if isinstance(record, Death):
                    self._waiting.appendleft((run, alone))
                self._hand_over()
                if not isinstance(record, Death):
                    return run, record

    def _settled(self, run: PlannedRun, outcome: Outcome) -> Outcome:
        """The outcome to believe; a Death where the run is worth another try."""
        if isinstance(outcome, RunRecord) and outcome.status == "interrupted":
            # Nobody has asked for that here: its process alone was asked to end.
            outcome = Death(f"its process was ended by {outcome.reason}", may_pass=True)
        if not isinstance(outcome, Death):
            return outcome
        self._deaths[run.request.id] += 1
        deaths = self._deaths[run.request.id]
        again = outcome.may_pass and deaths <= self.max_retries
        record = record_death(run.request, outcome.reason, wait=not again)
        if record.status == "finished" or not again:
            return record
        name = run.request.directory.name
        log.info(f"{name}: {outcome.reason}; tried again, {deaths} of {self.max_retries}")
        return outcome

    def _interrupted(self, stop: Interrupted) -> tuple[PlannedRun, RunRecord]:
        # A second signal: whoever sends it does not want to wait.
        with suppress(Interrupted):
            self.engine.cancel()
        return self._ended_by(stop.signum.name)

    def _ended_by(self, reason: str) -> tuple[PlannedRun, RunRecord]:
        """A run that stands for all that were being trained: what is on disk can be resumed."""
        run, _ = next(iter(self._running.values()))
        return run, replace(first_record(run.request), status="interrupted", reason=reason)

    def cancel(self) -> None:
        self._waiting.clear()
        self.engine.cancel()

    def close(self) -> None:
        self.engine.close()
