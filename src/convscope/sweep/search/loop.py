"""From proposals to trials: as many runs at once as the executor trains, until enough is known."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convscope.metrics import Metric
from convscope.runs.record import RunRecord
from convscope.sweep.executors.executor import Executor, JobQueue
from convscope.sweep.isolated import train_isolated
from convscope.sweep.progress import clock
from convscope.sweep.search.space import Candidate, read_again
from convscope.sweep.search.trials import Trial, begun, known_trials, outcome_text, trial_of
from convscope.sweep.train_all import wait_for
from convscope.text import counted

if TYPE_CHECKING:
    from convscope.sweep.search.sampler import Sampler

log = logging.getLogger(__name__)


class Search:
    """The trials of one command.

    Args:
        candidates: all runs of the space, as their records stand.
        most: trials in all, known ones among them.
        remeasure: measure runs that shared a machine again, each exclusively.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        objectives: Sequence[Metric],
        sampler: Sampler,
        executor: Executor,
        most: int,
        remeasure: bool,
    ) -> None:
        self.trials = known_trials(candidates, objectives)
        self.interrupted: RunRecord | None = None
        """The record of the run that a signal ended, and the search with it."""
        self._candidates = candidates
        self._objectives = objectives
        self._sampler = sampler
        self._jobs = JobQueue(executor)
        self._most = most
        self._remeasure = remeasure
        self._begun = deque(begun(candidates))
        self._running: dict[str, Candidate] = {}
        self._elsewhere: deque[Candidate] = deque()
        """Trained by another process."""
        self._exclusive: set[str] = set()
        """Being measured again; nothing else is begun meanwhile."""
        self._started = time.perf_counter()
        self._trained = 0
        """Trials of this command that took time."""

    def run(self) -> None:
        """Try candidates until there are `most` trials, none is left, or a signal comes.

        Raises:
            UserError: the disk is full or not writable.
        """
        self._measure_known_again()
        while self.interrupted is None:
            self._start_some()
            if self._running:
                self._end_one()
            elif self._elsewhere:
                # Nothing else is left to do.
                wait_for(self._elsewhere[0].run)
                self._start(self._elsewhere.popleft())
            else:
                return

    @property
    def unseen(self) -> list[Candidate]:
        """Neither known nor being trained."""
        seen = {trial.candidate.id for trial in self.trials} | self._running.keys()
        seen |= {candidate.id for candidate in self._elsewhere}
        return [candidate for candidate in self._candidates if candidate.id not in seen]

    def _measure_known_again(self) -> None:
        shared = [trial for trial in self.trials if self._needs_remeasuring(trial.record)]
        if shared:
            log.info(f"measuring {counted(len(shared), 'run')} again, each exclusively")
        for trial in shared:
            self.trials.remove(trial)
            self._remeasure_one(trial.candidate)

    def _start_some(self) -> None:
        most = self._jobs.executor.max_concurrent
        while not self._exclusive and len(self._running) < most:
            candidate = self._next()
            if candidate is None:
                return
            self._start(candidate)

    def _next(self) -> Candidate | None:
        self._learn()
        pending = [*self._running.values(), *self._elsewhere]
        if len(self.trials) + len(pending) >= self._most:
            return None
        if self._begun:
            return self._begun.popleft()
        unseen = {point: candidate for candidate in self.unseen for point in candidate.points}
        if not unseen:
            return None
        busy = [point for candidate in pending for point in candidate.points]
        return unseen[self._sampler.propose(self.trials, busy, unseen.keys())]

    def _learn(self) -> None:
        """Take in what other processes, a second search say, have finished since."""
        for trial in known_trials(read_again(self.unseen), self._objectives):
            self._tell(trial)
            self._begun = deque(one for one in self._begun if one.id != trial.candidate.id)

    def _start(self, candidate: Candidate) -> None:
        if candidate.is_possible:
            self._running[candidate.id] = candidate
            self._jobs.start(candidate.run)
        else:
            # No process need be started to say so.
            self._note(candidate, train_isolated(candidate.run.request), was_exclusive=False)

    def _remeasure_one(self, candidate: Candidate) -> None:
        self._running[candidate.id] = candidate
        self._exclusive.add(candidate.id)
        self._jobs.start(candidate.run, exclusive=True)

    def _end_one(self) -> None:
        run, record = self._jobs.next_ended()
        was_exclusive = run.request.id in self._exclusive
        self._exclusive.discard(run.request.id)
        self._note(self._running.pop(run.request.id), record, was_exclusive)

    def _note(self, candidate: Candidate, record: RunRecord | None, was_exclusive: bool) -> None:
        if record is None:
            self._elsewhere.append(candidate)
        elif record.status == "interrupted":
            self.interrupted = record
        elif self._needs_remeasuring(record) and not was_exclusive:
            self._remeasure_one(candidate)
        else:
            self._tell(trial_of(candidate, record, self._objectives))

    def _tell(self, trial: Trial) -> None:
        self._trained += trial.candidate.is_possible
        self.trials.append(trial)
        log.info(self._line(trial))

    def _needs_remeasuring(self, record: RunRecord) -> bool:
        return self._remeasure and record.status == "finished" and record.speed_is_shared

    def _line(self, trial: Trial) -> str:
        done = len(self.trials)
        return f"[{done}/{self._most}] {outcome_text(trial, self._objectives)}{self._time_left()}"

    def _time_left(self) -> str:
        """Say how long is left, by what the trials before took."""
        to_come = [*self.unseen, *self._running.values(), *self._elsewhere]
        left = min(self._most - len(self.trials), sum(one.is_possible for one in to_come))
        elapsed = time.perf_counter() - self._started
        seconds = elapsed / self._trained * left if self._trained else 0
        return f"; {clock(seconds)} left" if seconds >= 0.5 else ""
