"""Ctrl-C, SIGTERM and a closed terminal: noted when they come, acted on where it does no harm."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

# Windows has none.
_HANG_UP = (signal.SIGHUP,) if sys.platform != "win32" else ()


class Interrupted(Exception):
    """A signal asked for an end.

    Args:
        signum: the signal; the process exits with 128 + signum.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signal.Signals(signum)


class Signals:
    """Within `with`, a first signal is kept until `check`; a second ends all at once."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, *_HANG_UP):
                # Under nohup, a terminal that goes away is not to end the run.
                if signum == signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._signum is not None:
            raise Interrupted(signum)
        self._signum = signum

    def check(self) -> None:
        """Raise Interrupted where a signal has come."""
        if self._signum is not None:
            raise Interrupted(self._signum)
