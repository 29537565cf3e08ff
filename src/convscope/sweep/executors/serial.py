"""Executor that trains one run after the other on this machine."""

from __future__ import annotations

from typing_extensions import override

from convscope.config.schema import TrainerConfig
from convscope.sweep.executors.executor import Executor, Outcome
from convscope.sweep.isolated import train_isolated
from convscope.sweep.remeasure import remeasure_throughput
from convscope.training.distributed.processes import child
from convscope.training.hardware import Hardware, prepare_environment
from convscope.training.request import RunRequest

_RESOLVE = "convscope.training.devices:resolve_hardware"
"""Name of the function; the worker process imports it and PyTorch, which this process avoids."""


class SerialExecutor(Executor):
    """Trains each run inside `next_ended`.

    A worker process does it, so that a crash in PyTorch or for lack of memory costs only that run.
    """

    in_process = True
    max_retries = 0
    max_concurrent = 1

    @override
    def capacity(self, exclusive: bool) -> int:
        return 1

    @override
    def hardware(self, trainer: TrainerConfig) -> Hardware:
        hardware: Hardware = child().call(_RESOLVE, trainer)
        prepare_environment(trainer, hardware)
        return hardware

    @override
    def submit(self, request: RunRequest, exclusive: bool) -> None:
        self._job = request, exclusive

    @override
    def next_ended(self, timeout: float) -> tuple[str, Outcome]:
        request, exclusive = self._job
        if not exclusive:
            return request.id, train_isolated(request, child())
        return request.id, remeasure_throughput(request, child())

    @override
    def cancel(self) -> None:
        """Do nothing: no job is running."""

    @override
    def close(self) -> None:
        """Do nothing: the worker process ends with this one."""
