"""Function that a job of a sweep runs in its process."""

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
        threads: PyTorch's CPU threads per operation.
        shared: whether other runs may use this machine at the same time.
        exclusive: as for `Executor.submit`.

    Returns:
        The run's record; None if another process trains it.

    Raises:
        UserError: this machine lacks the device or the images, or a file cannot be written.
    """
    torch.set_num_threads(threads)
    hardware = resolve_hardware(remote.variant.config.trainer)
    request = remote.materialize(replace(hardware, shared=shared))
    return remeasure_throughput(request) if exclusive else train_isolated(request)
