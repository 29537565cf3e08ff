"""What a job of a sweep does in its process."""

from __future__ import annotations

from dataclasses import replace

import torch

from convscope.runs.record import RunRecord
from convscope.sweep.isolated import train_isolated
from convscope.sweep.remeasure import remeasure_throughput
from convscope.training.devices import resolve_hardware
from convscope.training.request import RemoteRequest


def run_job(remote: RemoteRequest, threads: int, shared: bool, exclusive: bool) -> RunRecord | None:
    """Train a run in a job's process, or re-measure a finished one.

    Args:
        remote: the run.
        threads: that PyTorch computes one operation with on the CPU.
        shared: whether other runs may be trained on this machine meanwhile.
        exclusive: as for `Executor.submit`.

    Returns:
        The run's record; None where another process trains it.

    Raises:
        UserError: this machine lacks its device or its images, or nothing can be written.
    """
    torch.set_num_threads(threads)
    hardware = resolve_hardware(remote.variant.config.trainer)
    request = remote.materialize(replace(hardware, shared=shared))
    return remeasure_throughput(request) if exclusive else train_isolated(request)
