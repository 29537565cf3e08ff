"""What ends a run before its time: a signal, or the loss of its folder."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback
from typing_extensions import override

from convscope.runs.lock import Claim
from convscope.training.signals import Signals


class Interruption(Callback):
    """Acts on a signal when a batch has been evaluated.

    Args:
        signals: raise Interrupted where one has come.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    @override
    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self.signals.check()

    @override
    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self.signals.check()


class ClaimCheck(Callback):
    """Looks at the run's claim before anything is written; to be the first callback.

    Args:
        claim: raises ClaimLost where the run's folder was deleted, moved or replaced.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim

    @override
    def on_fit_start(self, *_: Any) -> None:
        self.claim.check()

    @override
    def on_validation_end(self, *_: Any) -> None:
        self.claim.check()

    @override
    def on_train_epoch_end(self, *_: Any) -> None:
        self.claim.check()

    @override
    def on_test_end(self, *_: Any) -> None:
        self.claim.check()
