"""From proposals to trials: as many runs at once as the launcher trains, until enough is known."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

from convscope.metrics import Metric
from convscope.runs.record import RunRecord
from convscope.sweep.attempt import attempt
from convscope.sweep.executors.launcher import Launcher
from convscope.sweep.progress import clock
from convscope.sweep.search.sampler import Sampler
from convscope.sweep.search.space import Candidate, read_again
from convscope.sweep.search.trials import Trial, begun, known_trials, trial_of
from convscope.sweep.search.words import outcome_words
from convscope.sweep.train_all import wait_for
from convscope.text import counted

log = logging.getLogger(__name__)


class Search:
    """The trials of one command.

    Args:
        candidates: all runs of the space, as their records stand.
        most: trials in all, known ones among them.
        again_alone: measure the speed of runs that were trained beside others again, each alone.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        objectives: Sequence[Metric],
        sampler: Sampler,
        launcher: Launcher,
        most: int,
        again_alone: bool,
    ) -> None:
        self.trials = known_trials(candidates, objectives)
        self.interrupted: RunRecord | None = None
        """What a signal ended the search with."""
        self._candidates = candidates
        self._objectives = objectives
        self._sampler = sampler
        self._launcher = launcher
        self._most = most
        self._again_alone = again_alone
        self._begun = deque(begun(candidates))
        self._running: dict[str, Candidate] = {}
        self._held: deque[Candidate] = deque()
        """Trained by another process."""
        self._alone: set[str] = set()
        """Being measured again; nothing else is begun meanwhile."""
        self._started = time.perf_counter()
        self._trained = 0
        """Trials of this command that took time."""

    def run(self) -> None:
        """Until there are `most` trials, or every candidate is one, or a signal comes.

        Raises:
            UserError: the disk is full or not writable.
        """
        self._measure_known_again()
        while self.interrupted is None:
            self._start_some()
            if self._running:
                self._end_one()
            elif self._held:
                # Nothing else is left to do.
                wait_for(self._held[0].run)
                self._start(self._held.popleft())
            else:
                return

    @property
    def unseen(self) -> list[Candidate]:
        """Neither known nor being trained."""
        seen = {trial.candidate.id for trial in self.trials} | self._running.keys()
        seen |= {candidate.id for candidate in self._held}
        return [candidate for candidate in self._candidates if candidate.id not in seen]

    def _measure_known_again(self) -> None:
        shared = [trial for trial in self.trials if self._is_to_be_alone(trial.record)]
        if shared:
            log.info(f"measuring {counted(len(shared), 'run')} again, each alone")
        for trial in shared:
            self.trials.remove(trial)
            self._start_alone(trial.candidate)

    def _start_some(self) -> None:
        at_once = self._launcher.at_once
        while not self._alone and len(self._running) < at_once:
            candidate = self._next()
            if candidate is None:
                return
            self._start(candidate)

    def _next(self) -> Candidate | None:
        self._learn()
        pending = [*self._running.values(), *self._held]
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
            self._launcher.start(candidate.run)
        else:
            # No process need be started to say so.
            self._note(candidate, attempt(candidate.run.request), was_alone=False)

    def _start_alone(self, candidate: Candidate) -> None:
        self._running[candidate.id] = candidate
        self._alone.add(candidate.id)
        self._launcher.start(candidate.run, alone=True)

    def _end_one(self) -> None:
        run, record = self._launcher.next_ended()
        was_alone = run.request.id in self._alone
        self._alone.discard(run.request.id)
        self._note(self._running.pop(run.request.id), record, was_alone)

    def _note(self, candidate: Candidate, record: RunRecord | None, was_alone: bool) -> None:
        if record is None:
            self._held.append(candidate)
        elif record.status == "interrupted":
            self.interrupted = record
        elif self._is_to_be_alone(record) and not was_alone:
            self._start_alone(candidate)
        else:
            self._tell(trial_of(candidate, record, self._objectives))

    def _tell(self, trial: Trial) -> None:
        self._trained += trial.candidate.is_possible
        self.trials.append(trial)
        log.info(self._line(trial))

    def _is_to_be_alone(self, record: RunRecord) -> bool:
        return self._again_alone and record.status == "finished" and record.speed_is_shared

    def _line(self, trial: Trial) -> str:
        done = len(self.trials)
        return f"[{done}/{self._most}] {outcome_words(trial, self._objectives)}{self._time_left()}"

    def _time_left(self) -> str:
        """By what the trials before took, were the ones to come all possible."""
        to_come = [*self.unseen, *self._running.values(), *self._held]
        left = min(self._most - len(self.trials), sum(one.is_possible for one in to_come))
        elapsed = time.perf_counter() - self._started
        seconds = elapsed / self._trained * left if self._trained else 0
        return f"; {clock(seconds)} left" if seconds >= 0.5 else ""
