"""Ctrl-C and SIGTERM: noted when they come, acted on between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import SIGTERMException
from typing_extensions import override


class Interrupted(Exception):
    """A signal asked the run to end.

    Args:
        signum: the signal; the process exits with 128 + signum.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signal.Signals(signum)


def signal_of(stop: BaseException) -> signal.Signals:
    """The signal behind what ended a run: ours, Lightning's, or Ctrl-C before ours was there."""
    if isinstance(stop, Interrupted):
        return stop.signum
    return signal.SIGTERM if isinstance(stop, SIGTERMException) else signal.SIGINT


class Interruption(Callback):
    """Within `with`, a first signal is kept until the next step ends; a second ends all at once."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
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
        """To be called after each optimizer step; the hooks below call it after other batches.

        Raises:
            Interrupted: a signal has come.
        """
        if self._signum is not None:
            raise Interrupted(self._signum)

    @override
    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self.check()

    @override
    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self.check()
