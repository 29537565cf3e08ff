"""Signals, acted on between two batches that are evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytorch_lightning import Callback
from typing_extensions import override

from convscope.training.signals import Signals


@dataclass(eq=False)
class Interruption(Callback):
    """Acts on a signal when a batch has been evaluated.

    Args:
        signals: raise Interrupted where one has come.
    """

    signals: Signals

    @override
    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self.signals.check()

    @override
    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self.signals.check()
