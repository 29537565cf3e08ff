"""As `convscope.training.experiment`, in processes of its own: on several devices, or on one."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

from convscope.errors import UserError
from convscope.runs.lock import Claim
from convscope.training.distributed.messages import Begun, Ended, Failed, Logged, Part
from convscope.training.distributed.processes import (
    POLL_S,
    DeviceFailed,
    RankProcesses,
    Said,
    error_of,
)
from convscope.training.request import RunRequest, to_remote
from convscope.training.signals import Signals

_LAST_WORDS_S = 10.0
"""For the other ranks to say what they know, and for the first to close its files."""


class RanksExperiment:
    """An `Experiment` by a process per device.

    Args:
        signals: asked often; what they raise ends the processes.
        claim: on the run's folder; None where nothing is written.
        processes: are kept for the next run where they have said how this one ended; by default
            they end with `with`.

    Raises:
        UserError: from `with` or `run`, where a rank raised one, or its process died.
        DeviceFailed: likewise, where a rank raised another error.
    """

    def __init__(
        self,
        request: RunRequest,
        signals: Signals,
        claim: Claim | None,
        processes: RankProcesses | None = None,
    ) -> None:
        self._request = request
        self._signals = signals
        self._claim = claim
        self._size = request.hardware.devices
        self._are_kept = processes is not None
        self._processes = processes or RankProcesses()
        self._are_idle = False
        self._ended: dict[int, Ended] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="convscope-")
        try:
            self._processes.start(map(self._part, range(self._size)))
            self._begun = self._until_begun()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not (self._are_kept and self._are_idle):
            self._processes.end()
        self._folder.cleanup()

    @property
    def resumed_from_epoch(self) -> int:
        return self._begun.resumed_from_epoch

    def headline(self) -> str:
        return self._begun.headline

    def run(self) -> dict[str, float]:
        """As `Experiment.run`."""
        while len(self._ended) < self._size:
            rank, message = self._next()
            if isinstance(message, Ended):
                self._ended[rank] = message
        self._are_idle = True
        return self._ended[0].metrics

    def _part(self, rank: int) -> Part:
        meeting = Path(self._folder.name) / "meeting"
        remote = to_remote(self._request)
        # The working directory there may be another.
        claim = self._claim and replace(self._claim, run_dir=remote.directory.path)
        return Part(remote, self._request.hardware, rank, self._size, meeting, claim)

    def _until_begun(self) -> Begun:
        while True:
            _, message = self._next()
            if isinstance(message, Begun):
                return message

    def _next(self) -> tuple[int, Begun | Ended]:
        """What a rank says next; what it logs is logged here meanwhile."""
        while True:
            said = self._heard()
            if said is None:
                continue
            rank, message = said
            if isinstance(message, Logged):
                logging.getLogger(message.record.name).handle(message.record)
                self._processes.tell_shown(rank)
            elif isinstance(message, Begun | Ended):
                return rank, message
            elif rank not in self._ended:
                assert message is None or isinstance(message, Failed)
                raise self._failure(rank, message)

    def _heard(self) -> Said | None:
        """What a rank says next; None where none says anything for a moment."""
        self._signals.check()
        return self._processes.next_said(POLL_S)

    def _failure(self, rank: int, message: Failed | None) -> UserError | DeviceFailed:
        """Why the run failed: what is explained, else a death; other errors may be its echo."""
        last = {rank: message} | self._last_words(besides=rank)
        for words in last.values():
            if words is not None and words.explained:
                self._are_idle = self._size == 1
                return error_of(words)
        for dead, words in last.items():
            if words is None:
                how = self._processes.how_ended(dead)
                of = f" of device {dead + 1} of {self._size}" if self._size > 1 else ""
                return UserError(f"the process{of} {how}")
        assert message is not None
        return error_of(message)

    def _last_words(self, besides: int) -> dict[int, Failed | None]:
        """How the other ranks end, where they do before long; None where one does not say."""
        words: dict[int, Failed | None] = {}
        others = set(range(self._size)) - self._ended.keys() - {besides}
        give_up = time.monotonic() + _LAST_WORDS_S
        while others and time.monotonic() < give_up:
            said = self._heard()
            if said is None:
                continue
            rank, message = said
            if rank in others and (message is None or isinstance(message, Failed)):
                words[rank] = message
                others.remove(rank)
        return words
