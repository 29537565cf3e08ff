"""Equal weights on all devices, checked once an epoch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from typing_extensions import override

from convscope.errors import UserError
from convscope.training.process_group import ProcessGroup


@dataclass(eq=False)
class EqualWeights(Callback):
    """Makes sure, once an epoch, that all ranks have the same network, bit for bit.

    Raises:
        UserError: from the start of a validation, on every rank, where they have not.
    """

    process_group: ProcessGroup

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.process_group.all_equal(fingerprint(pl_module), pl_module.device):
            raise UserError(
                f"the weights of the {self.process_group.world_size} devices differ after epoch"
                f" {trainer.current_epoch + 1}; set trainer.devices=1"
            )


def fingerprint(network: nn.Module) -> int:
    """Return 56 bits of a hash of all weights and buffers."""
    digest = hashlib.blake2b(digest_size=7)
    for values in network.state_dict().values():
        digest.update(values.cpu().contiguous().numpy().data)
    return int.from_bytes(digest.digest())
