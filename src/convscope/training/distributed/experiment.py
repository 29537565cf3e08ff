"""An experiment in worker processes: one for each device of the run."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

from convscope.errors import UserError
from convscope.runs.lock import Claim
from convscope.training.distributed.messages import Failed, Finished, LogRecord, Started, WorkerSpec
from convscope.training.distributed.processes import (
    POLL_S,
    DeviceFailed,
    Received,
    WorkerProcesses,
    error_of,
)
from convscope.training.request import RunRequest, to_remote
from convscope.training.signals import Signals

SHUTDOWN_GRACE_S = 10.0
"""Time for the other ranks to say how they ended, and for the first to close its files."""


class DistributedExperiment:
    """An `Experiment` that worker processes run, one per device.

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
        processes: WorkerProcesses | None = None,
    ) -> None:
        self._request = request
        self._signals = signals
        self._claim = claim
        self._size = request.hardware.devices
        self._are_kept = processes is not None
        self._processes = processes or WorkerProcesses()
        self._are_idle = False
        self._finished: dict[int, Finished] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="convscope-")
        try:
            self._processes.start(map(self._spec, range(self._size)))
            self._started = self._wait_for_start()
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
        """Epochs that an earlier run had finished."""
        return self._started.resumed_from_epoch

    @property
    def pruned(self) -> str | None:
        """See `Experiment.pruned`."""
        return self._finished[0].pruned

    def headline(self) -> str:
        """Return what is about to be trained, in one line."""
        return self._started.headline

    def run(self) -> dict[str, float]:
        """See `Experiment.run`."""
        while len(self._finished) < self._size:
            rank, message = self._next()
            if isinstance(message, Finished):
                self._finished[rank] = message
        self._are_idle = True
        return self._finished[0].metrics

    def _spec(self, rank: int) -> WorkerSpec:
        rendezvous = Path(self._folder.name) / "rendezvous"
        remote = to_remote(self._request)
        # The worker may have another working directory.
        claim = self._claim and replace(self._claim, run_dir=remote.directory.path)
        return WorkerSpec(remote, self._request.hardware, rank, self._size, rendezvous, claim)

    def _wait_for_start(self) -> Started:
        while True:
            _, message = self._next()
            if isinstance(message, Started):
                return message

    def _next(self) -> tuple[int, Started | Finished]:
        """Return the next message of a rank; log here what ranks log meanwhile."""
        while True:
            received = self._receive()
            if received is None:
                continue
            rank, message = received
            if isinstance(message, LogRecord):
                logging.getLogger(message.record.name).handle(message.record)
                self._processes.acknowledge(rank)
            elif isinstance(message, Started | Finished):
                return rank, message
            elif rank not in self._finished:
                assert message is None or isinstance(message, Failed)
                raise self._failure(rank, message)

    def _receive(self) -> Received | None:
        """Return the next message of a rank; None where none came for a moment."""
        self._signals.check()
        return self._processes.receive(POLL_S)

    def _failure(self, rank: int, message: Failed | None) -> UserError | DeviceFailed:
        """Return why the run failed: an explained error, else a death that caused the others."""
        final = {rank: message} | self._final_messages(besides=rank)
        for failed in final.values():
            if failed is not None and failed.explained:
                self._are_idle = self._size == 1
                return error_of(failed)
        for dead, failed in final.items():
            if failed is None:
                how = self._processes.describe_exit(dead)
                of = f" of device {dead + 1} of {self._size}" if self._size > 1 else ""
                return UserError(f"the process{of} {how}")
        assert message is not None
        return error_of(message)

    def _final_messages(self, besides: int) -> dict[int, Failed | None]:
        """Return how the other ranks end, where they do in time; None for one that does not say."""
        final: dict[int, Failed | None] = {}
        others = set(range(self._size)) - self._finished.keys() - {besides}
        give_up = time.monotonic() + SHUTDOWN_GRACE_S
        while others and time.monotonic() < give_up:
            received = self._receive()
            if received is None:
                continue
            rank, message = received
            if rank in others and (message is None or isinstance(message, Failed)):
                final[rank] = message
                others.remove(rank)
        return final
