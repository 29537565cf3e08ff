"""Worker processes of a command: started, listened to, ended.

`torch.multiprocessing`, and PyTorch's elastic launch with it, would run the script that called
`convscope.train` again in every process; Lightning's launcher would run the whole command again.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from convscope.errors import UserError
from convscope.runs.environment import PACKAGE
from convscope.training.distributed.messages import (
    Acknowledged,
    Call,
    Failed,
    Instruction,
    Message,
    Returned,
    WorkerSpec,
)

Received = tuple[int, Message | None]
"""Rank and message; None where the rank's process has ended."""
POLL_S = 0.2
"""How long a signal may wait."""


class DeviceFailed(Exception):
    """A rank ended with an error that nobody has explained."""


class WorkerTraceback(Exception):
    """The cause of an error that a rank raised, as the log shows it."""


class WorkerProcesses:
    """A process per rank; messages come in the order in which they were sent.

    Args:
        environment: variables of the processes besides those of this one.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self._processes: list[subprocess.Popen[bytes]] = []
        self._received: queue.SimpleQueue[Received] = queue.SimpleQueue()

    def start(self, specs: Iterable[WorkerSpec]) -> None:
        """Have a process train each rank's part."""
        listed = list(specs)
        self._start_processes(len(listed))
        for process, spec in zip(self._processes, listed, strict=True):
            _write(process, spec)

    def call(self, function: str, *arguments: Any) -> Any:
        """Have the one process there is call a function, `package.module:name`.

        Raises:
            UserError: the function raised one, or its process died.
            DeviceFailed: the function raised another error.
        """
        received = None
        self._start_processes(1)
        _write(self._processes[0], Call(function, arguments))
        try:
            while received is None:
                received = self.receive(POLL_S)
            _, message = received
            if isinstance(message, Failed):
                raise error_of(message)
            if message is None:
                raise UserError(f"the process {self.describe_exit(0)}")
            assert isinstance(message, Returned)
            return message.value
        finally:
            if received is None or not isinstance(received[1], Returned):
                # Interrupted, or nobody knows what it has left in memory.
                self.end()

    def _start_processes(self, number: int) -> None:
        """Start them, unless those of before still live."""
        still_live = all(process.poll() is None for process in self._processes)
        if len(self._processes) == number and still_live:
            return
        self.end()
        self._received = queue.SimpleQueue()
        for rank in range(number):
            with _signals_blocked():
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "convscope.training.distributed.worker"],
                    env=os.environ | {"PYTHONPATH": _source_first()} | self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            self._processes.append(process)
            arguments = (rank, process, self._received)
            threading.Thread(target=_listen, args=arguments, daemon=True).start()

    def receive(self, seconds: float) -> Received | None:
        """Return the next message of any rank; None where none comes in time."""
        with suppress(queue.Empty):
            return self._received.get(timeout=seconds)
        return None

    def acknowledge(self, rank: int) -> None:
        """Tell a rank that its message is logged."""
        _write(self._processes[rank], Acknowledged())

    def describe_exit(self, rank: int) -> str:
        """Return how a process ended, as part of a sentence."""
        code = self._processes[rank].wait()
        if code >= 0:
            return f"ended with exit code {code}"
        by_memory = " (too little memory, perhaps)" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{by_memory}"

    def end(self) -> None:
        """Kill the processes, and wait until they have ended."""
        # A run may be killed at any moment: what it leaves is whole, and it resumes from there.
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
        self._processes = []


def error_of(failed: Failed) -> UserError | DeviceFailed:
    """Return the error that a rank raised, to be raised here."""
    error = (UserError if failed.explained else DeviceFailed)(failed.reason)
    error.__cause__ = WorkerTraceback(failed.trace)
    return error


@cache
def child() -> WorkerProcesses:
    """Return the process that trains a command's runs one by one: a crash costs only one of them.

    It starts when it is first asked for something, goes on from run to run, since its imports take
    seconds, and ends with this process.
    """
    # Below the bar of the sweep.
    return WorkerProcesses({"TQDM_POSITION": "1"})


def _listen(
    rank: int, process: subprocess.Popen[bytes], received: queue.SimpleQueue[Received]
) -> None:
    assert process.stdout is not None
    with process.stdout as stdout, suppress(EOFError, pickle.UnpicklingError):
        while True:
            received.put((rank, pickle.load(stdout)))
    received.put((rank, None))


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start processes that never get the signals that end a run.

    At a terminal all would get them, and how a run ends is for the command to decide. Ignoring them
    would not do: Lightning puts a handler of its own instead.
    """
    if sys.platform == "win32":
        yield
        return
    blocked = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write(process: subprocess.Popen[bytes], message: Instruction) -> None:
    assert process.stdin is not None
    # A rank that is gone is told of by the thread that listens to it.
    with suppress(BrokenPipeError):
        process.stdin.write(pickle.dumps(message))
        process.stdin.flush()


def _source_first() -> str:
    """PYTHONPATH for a process that runs this very ConvScope."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(PACKAGE.parent), *([before] if before else [])])
