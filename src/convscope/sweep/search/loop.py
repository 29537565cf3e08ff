"""The loop of a search: propose candidates, train them on an executor, collect trials."""

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
from convscope.sweep.search.space import Candidate, reread
from convscope.sweep.search.trials import Trial, known_trials, outcome_text, started, trial_of
from convscope.sweep.train_all import wait_for
from convscope.text import counted

if TYPE_CHECKING:
    from convscope.sweep.search.sampler import Sampler

log = logging.getLogger(__name__)


class Search:
    """A search and its trials.

    Args:
        candidates: all runs of the space, with their records on disk.
        objectives: metrics to optimise.
        sampler: proposes candidates.
        executor: trains the runs.
        most: total number of trials, including known ones.
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
        """Record of the run that was being trained when a signal ended the search."""
        self._candidates = candidates
        self._objectives = objectives
        self._sampler = sampler
        self._jobs = JobQueue(executor)
        self._most = most
        self._remeasure = remeasure
        self._to_resume = deque(started(candidates))
        self._running: dict[str, Candidate] = {}
        self._elsewhere: deque[Candidate] = deque()
        """Candidates that other processes train."""
        self._exclusive: set[str] = set()
        """Ids of runs that are being re-measured; no other run starts meanwhile."""
        self._started = time.perf_counter()
        self._trained = 0
        """Number of possible variants among the trials of this command."""

    def run(self) -> None:
        """Try candidates until there are `most` trials, no candidates are left, or a signal comes.

        Raises:
            UserError: the disk is full or not writable.
        """
        self._measure_known_again()
        while self.interrupted is None:
            self._start_some()
            if self._running:
                self._wait_for_one()
            elif self._elsewhere:
                # Nothing else is left to do.
                wait_for(self._elsewhere[0].run)
                self._start(self._elsewhere.popleft())
            else:
                return

    @property
    def untried(self) -> list[Candidate]:
        """Candidates that are neither trials nor being trained."""
        tried = {trial.candidate.id for trial in self.trials} | self._running.keys()
        tried |= {candidate.id for candidate in self._elsewhere}
        return [candidate for candidate in self._candidates if candidate.id not in tried]

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
            candidate = self._next_candidate()
            if candidate is None:
                return
            self._start(candidate)

    def _next_candidate(self) -> Candidate | None:
        self._add_finished_elsewhere()
        pending = [*self._running.values(), *self._elsewhere]
        if len(self.trials) + len(pending) >= self._most:
            return None
        if self._to_resume:
            return self._to_resume.popleft()
        untried = {point: candidate for candidate in self.untried for point in candidate.points}
        if not untried:
            return None
        pending_points = [point for candidate in pending for point in candidate.points]
        return untried[self._sampler.propose(self.trials, pending_points, untried.keys())]

    def _add_finished_elsewhere(self) -> None:
        """Add trials of runs that other processes have finished, such as a second search."""
        for trial in known_trials(reread(self.untried), self._objectives):
            self._add_trial(trial)
            self._to_resume = deque(one for one in self._to_resume if one.id != trial.candidate.id)

    def _start(self, candidate: Candidate) -> None:
        if candidate.is_possible:
            self._running[candidate.id] = candidate
            self._jobs.start(candidate.run)
        else:
            # An impossible variant only needs a record: no job.
            self._ended(candidate, train_isolated(candidate.run.request), was_exclusive=False)

    def _remeasure_one(self, candidate: Candidate) -> None:
        self._running[candidate.id] = candidate
        self._exclusive.add(candidate.id)
        self._jobs.start(candidate.run, exclusive=True)

    def _wait_for_one(self) -> None:
        run, record = self._jobs.next_ended()
        was_exclusive = run.request.id in self._exclusive
        self._exclusive.discard(run.request.id)
        self._ended(self._running.pop(run.request.id), record, was_exclusive)

    def _ended(self, candidate: Candidate, record: RunRecord | None, was_exclusive: bool) -> None:
        if record is None:
            self._elsewhere.append(candidate)
        elif record.status == "interrupted":
            self.interrupted = record
        elif self._needs_remeasuring(record) and not was_exclusive:
            self._remeasure_one(candidate)
        else:
            self._add_trial(trial_of(candidate, record, self._objectives))

    def _add_trial(self, trial: Trial) -> None:
        self._trained += trial.candidate.is_possible
        self.trials.append(trial)
        log.info(self._line(trial))

    def _needs_remeasuring(self, record: RunRecord) -> bool:
        return self._remeasure and record.status == "finished" and record.speed_is_shared

    def _line(self, trial: Trial) -> str:
        done = len(self.trials)
        return f"[{done}/{self._most}] {outcome_text(trial, self._objectives)}{self._time_left()}"

    def _time_left(self) -> str:
        """Return the time left as text, from the mean time per trial so far."""
        to_come = [*self.untried, *self._running.values(), *self._elsewhere]
        left = min(self._most - len(self.trials), sum(one.is_possible for one in to_come))
        elapsed = time.perf_counter() - self._started
        seconds = elapsed / self._trained * left if self._trained else 0
        return f"; {clock(seconds)} left" if seconds >= 0.5 else ""
