"""The ranks' processes as the command sees them: started, listened to, ended.

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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from convscope.runs.environment import PACKAGE
from convscope.training.distributed.messages import SHOWN, Message, Part

Said = tuple[int, Message | None]
"""Rank and message; None where the rank's process has ended."""


class RankProcesses:
    """A process per rank; messages come in the order in which they were sent."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()

    def start(self, parts: Iterable[Part]) -> None:
        for part in parts:
            with _signals_blocked():
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "convscope.training.distributed.rank"],
                    env=os.environ | {"PYTHONPATH": _source_first()},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            self._processes.append(process)
            listener = threading.Thread(
                target=self._listen, args=(part.ranks.rank, process), daemon=True
            )
            listener.start()
            _write(process, pickle.dumps(part))

    def _listen(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stdout, suppress(EOFError, pickle.UnpicklingError):
            while True:
                self._said.put((rank, pickle.load(stdout)))
        self._said.put((rank, None))

    def next_said(self, seconds: float) -> Said | None:
        """What a rank says next; None where none does by then."""
        with suppress(queue.Empty):
            return self._said.get(timeout=seconds)
        return None

    def tell_shown(self, rank: int) -> None:
        """Answer a line."""
        _write(self._processes[rank], SHOWN)

    def how_ended(self, rank: int) -> str:
        """How a process ended that says no more, in words."""
        code = self._processes[rank].wait()
        if code >= 0:
            return f"ended with exit code {code}"
        by_memory = " (too little memory, perhaps)" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{by_memory}"

    def end(self) -> None:
        # A run may be killed at any moment: what it leaves is whole, and it resumes from there.
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process started within never gets the signals that end a run.

    At a terminal all would get them, and how a run ends is for the command to decide. Ignoring them
    would not do: Lightning puts a handler of its own in the place of that.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write(process: subprocess.Popen[bytes], content: bytes) -> None:
    assert process.stdin is not None
    # A rank that is gone is told of by the thread that listens to it.
    with suppress(BrokenPipeError):
        process.stdin.write(content)
        process.stdin.flush()


def _source_first() -> str:
    """PYTHONPATH for a process that runs this very ConvScope."""
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(PACKAGE.parent), *([before] if before else [])])
