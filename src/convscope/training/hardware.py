"""What a run is computed on: device, precision and threads as really used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convscope.config.schema import TrainerConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Hardware:
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
        """How its devices share a run, in the words of `trainer.strategy`."""
        return "ddp" if self.devices > 1 else "auto"

    @property
    def torch_device(self) -> torch.device:
        # Here and below: who hands hardware on to another process does without PyTorch.
        import torch

        return torch.device(self.accelerator)

    @property
    def autocast_dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16 if self.precision == "bf16-mixed" else torch.float32


def prepare_environment(trainer: TrainerConfig, hardware: Hardware) -> None:
    """Tell cuBLAS, here and in processes started later, where its results must be the same.

    It must be told before the first product of matrices: what it is told later is not heard.
    """
    if trainer.deterministic and hardware.accelerator == "cuda":
        # The value of PyTorch's notes on reproducibility.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
