"""What a run is computed on, as really used, and whether the run fits in its memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from convscope.config.schema import TrainerConfig
from convscope.errors import UserError
from convscope.variant import Variant

_BYTES_PER_PARAMETER = {"adamw": 16, "sgd": 8, "muon": 12}
"""By optimizer, at least, in float32: the weight, its gradient, and what the optimizer keeps."""


@dataclass(frozen=True)
class Hardware:
    """Devices of one kind, with precision and threads."""

    accelerator: str
    """cpu, cuda or mps."""
    device: str
    """The device's name as its maker gives it."""
    devices: int
    precision: str
    """32-true or bf16-mixed."""
    threads: int
    """Threads that PyTorch computes one operation with on the CPU, for each device."""
    shared: bool = False
    """Whether other runs may be trained on it meanwhile, so that samples/s say less."""
    memory: int | None = None
    """Bytes that all its devices have together; None where the system does not tell."""

    @property
    def strategy(self) -> str:
        """How its devices share a run, as `trainer.strategy` says it."""
        return "ddp" if self.devices > 1 else "auto"


def prepare_environment(trainer: TrainerConfig, hardware: Hardware) -> None:
    """Tell cuBLAS, here and in processes started later, where its results must be the same.

    It must be told before the first product of matrices: what it is told later is not heard.
    """
    if trainer.deterministic and hardware.accelerator == "cuda":
        # The value of PyTorch's notes on reproducibility.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def require_memory(variant: Variant, hardware: Hardware) -> None:
    """Refuse a run that this machine's memory cannot hold.

    Raises:
        UserError: names what it takes and what there is.
    """
    needed, there = least_bytes(variant), hardware.memory
    if there is not None and needed > there:
        raise UserError(
            f"{variant.label} takes at least {needed / 1e9:,.1f} GB of memory, and there are"
            f" {there / 1e9:,.1f} GB\n"
            "set fewer model.channels, a smaller data.batch_size or a larger conv.stride"
        )


def least_bytes(variant: Variant) -> int:
    """Bytes without which no training step is possible, over all devices.

    The parameters, and four bytes per output of a conv layer: the backward pass reads it twice, as
    batch norm's input and, after ReLU, as the next layer's, each in two bytes at least. Everything
    else is left out, so that no run is refused that could be trained.
    """
    geometry, config = variant.geometry, variant.config
    if geometry is None:
        return 0
    outputs = sum(layer.activation_bytes for layer in geometry.layers if layer.kind == "conv")
    per_device = _BYTES_PER_PARAMETER[config.optim.name] * geometry.params
    parameters = per_device * config.trainer.devices
    return parameters + outputs * config.data.batch_size
