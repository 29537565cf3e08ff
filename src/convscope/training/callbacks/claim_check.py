"""The run's claim on its folder, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytorch_lightning import Callback
from typing_extensions import override

from convscope.runs.lock import Claim


@dataclass(eq=False)
class ClaimCheck(Callback):
    """Checks the run's claim before anything is written; to be the first callback.

    Args:
        claim: raises ClaimLost where the run's folder was deleted, moved or replaced.
    """

    claim: Claim

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
