"""What an engine's process does: one run, as a process of its own would."""

from __future__ import annotations

from dataclasses import replace

from convscope.runs.record import RunRecord
from convscope.training.request import HandedRequest


def work(handed: HandedRequest, threads: int, shared: bool, alone: bool) -> RunRecord | None:
    """Train a run here, or measure a finished one again; None where another process trains it.

    Args:
        threads: that PyTorch computes one operation with on the CPU.
        shared: whether other runs may be trained on this machine meanwhile.
        alone: measure its speed, as `measure_alone` does.

    Raises:
        UserError: this machine lacks its device or its images, or nothing can be written.
    """
    # Here: what sends this function to an engine needs none of it.
    import torch

    from convscope.sweep.alone import measure_alone
    from convscope.sweep.attempt import attempt
    from convscope.training.devices import resolve_hardware

    torch.set_num_threads(threads)
    hardware = resolve_hardware(handed.variant.config.trainer)
    request = handed.receive(replace(hardware, shared=shared))
    return measure_alone(request) if alone else attempt(request)
