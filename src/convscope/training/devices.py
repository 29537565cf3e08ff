"""Which devices there are to compute on, and what `auto` means among them."""

from __future__ import annotations

import gc
import logging
import os
import platform
from pathlib import Path

import torch
import torch.distributed

from convscope.config.schema import TrainerConfig
from convscope.cores import cores
from convscope.errors import UserError
from convscope.runs.record import RunRecord
from convscope.training.hardware import Hardware, prepare_environment

log = logging.getLogger(__name__)

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def resolve_hardware(trainer: TrainerConfig) -> Hardware:
    """Resolve what `auto` means on this machine.

    Raises:
        UserError: a device that is not there.
    """
    accelerator = find_accelerator(trainer.accelerator)
    available = _available(accelerator)
    if trainer.devices > available:
        raise UserError(
            f"trainer.devices must be at most {available} on this machine, got {trainer.devices}"
        )
    precision = trainer.precision
    if precision == "auto":
        precision = "bf16-mixed" if _computes_bfloat16(accelerator) else "32-true"
    hardware = Hardware(
        accelerator,
        device_name(accelerator),
        trainer.devices,
        precision,
        threads=max(1, torch.get_num_threads() // trainer.devices),
        memory=_memory(accelerator, trainer.devices),
    )
    prepare_environment(trainer, hardware)
    return hardware


def autocast_dtype(hardware: Hardware) -> torch.dtype:
    """Return the type in which autocast computes the forward pass."""
    return torch.bfloat16 if hardware.precision == "bf16-mixed" else torch.float32


def free_memory(hardware: Hardware) -> None:
    """Give a GPU's memory back when a run has ended: the cycles that it was made of hold it."""
    if hardware.accelerator != "cuda":
        return
    gc.collect()
    try:
        torch.cuda.empty_cache()
    except RuntimeError as error:
        # A capture or a kernel that failed may leave the device so: the run itself is over.
        log.warning("the GPU's memory could not be given back: %s", error)


def find_accelerator(asked: str) -> str:
    """Return the kind of device that is asked for: cpu, cuda or mps.

    Args:
        asked: a kind, auto or gpu.

    Raises:
        UserError: this machine has no such device.
    """
    modules = {"cuda": torch.cuda, "mps": torch.backends.mps}
    there = [kind for kind, module in modules.items() if module.is_available()]
    if asked == "cpu" or (asked == "auto" and not there):
        return "cpu"
    fitting = there if asked in ("auto", "gpu") else [kind for kind in there if kind == asked]
    if not fitting:
        raise UserError(
            f"trainer.accelerator={asked}: this machine has none that PyTorch can use\n"
            "leave it out, or set trainer.accelerator=cpu"
        )
    return fitting[0]


def device_of(record: RunRecord) -> torch.device:
    """Return the kind of device that the run was trained on, if there is one, else that at hand."""
    trained_on = record.environment.get("accelerator", "cpu")
    try:
        return torch.device(find_accelerator(trained_on))
    except UserError:
        return torch.device(find_accelerator("auto"))


def _available(accelerator: str) -> int:
    """Devices of a kind; on the CPU its cores, which more processes would only take turns on."""
    if accelerator == "mps" or not torch.distributed.is_available():
        return 1
    return torch.cuda.device_count() if accelerator == "cuda" else cores()


def _computes_bfloat16(accelerator: str) -> bool:
    """Whether the hardware itself multiplies in bfloat16: AVX512-BF16 or AMX, Ampere or later."""
    if accelerator == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if accelerator == "mps":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def device_name(accelerator: str) -> str:
    """Return the name of the device, or of the processor, as its maker gives it."""
    if accelerator == "cuda":
        return torch.cuda.get_device_name()
    if accelerator == "mps":
        return "Apple GPU"
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.machine())


def _memory(accelerator: str, devices: int) -> int | None:
    """Bytes that these devices have together; None where the system does not tell."""
    if accelerator == "cuda":
        return torch.cuda.get_device_properties(0).total_memory * devices
    if not hasattr(os, "sysconf"):
        return None
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdecimal() else machine
