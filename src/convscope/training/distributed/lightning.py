"""Lightning's part in a run on several devices: who is who, barriers, checkpoints of the first."""

from __future__ import annotations

import hashlib

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from typing_extensions import override

from convscope.errors import UserError
from convscope.training.process_group import Ranks


class UnwrappedDDP(DDPStrategy):
    """Lightning's DDP without its wrapper around the module.

    The wrapper averages gradients after one forward pass of the module, and a chunk has many: the
    step averages them itself (`convscope.training.step.update`).
    """

    @override
    def configure_ddp(self) -> None:
        """Leave the module as it is."""


class EqualWeights(Callback):
    """Makes sure, once an epoch, that all ranks have the same network, bit for bit.

    Raises:
        UserError: from the start of a validation, on every rank, where they have not.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.ranks.agree(fingerprint(pl_module), pl_module.device):
            raise UserError(
                f"the weights of the {self.ranks.size} devices differ after epoch"
                f" {trainer.current_epoch + 1}; set trainer.devices=1"
            )


def fingerprint(network: nn.Module) -> int:
    """56 bits of a hash of all weights and buffers."""
    digest = hashlib.blake2b(digest_size=7)
    for values in network.state_dict().values():
        digest.update(values.cpu().contiguous().numpy().data)
    return int.from_bytes(digest.digest())
