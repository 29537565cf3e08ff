"""How a signal ends a run: between two steps."""

from __future__ import annotations

import signal
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.utilities.exceptions import SIGTERMException
from typing_extensions import override

from convscope.training.signals import Interrupted, Signals


def signal_of(stop: BaseException) -> signal.Signals:
    """The signal behind what ended a run: ours, Lightning's, or Ctrl-C before ours was there."""
    if isinstance(stop, Interrupted):
        return stop.signum
    return signal.SIGTERM if isinstance(stop, SIGTERMException) else signal.SIGINT


class Interruption(Signals, Callback):
    """Acts on a signal when the step ends; `check` is to be called after each optimizer step."""

    @override
    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self.check()

    @override
    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self.check()
