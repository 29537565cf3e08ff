"""One run after the other, on this machine."""

from __future__ import annotations

from convscope.config.schema import TrainerConfig
from convscope.sweep.executors.executor import Outcome
from convscope.sweep.isolated import train_isolated
from convscope.training.distributed.processes import child
from convscope.training.hardware import Hardware, prepare_environment
from convscope.training.request import RunRequest

_RESOLVE = "convscope.training.devices:resolve_hardware"
"""Called there: it brings PyTorch, which this process need not import at all."""


class SerialExecutor:
    """Trains a run when it is asked for the next one that has ended.

    In a process of its own: what crashes there, in PyTorch or for want of memory, costs one run.
    """

    in_process = True
    max_retries = 0
    max_concurrent = 1

    def capacity(self, exclusive: bool) -> int:
        return 1

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        hardware: Hardware = child().call(_RESOLVE, trainer)
        prepare_environment(trainer, hardware)
        return hardware

    def submit(self, request: RunRequest, exclusive: bool) -> None:
        self._job = request, exclusive

    def next_ended(self, timeout: float) -> tuple[str, Outcome]:
        request, exclusive = self._job
        if not exclusive:
            return request.id, train_isolated(request, child())
        # Here: TensorBoard's writer is PyTorch's.
        from convscope.sweep.remeasure import remeasure_throughput

        return request.id, remeasure_throughput(request, child())

    def cancel(self) -> None:
        """Do nothing: no job goes on."""

    def close(self) -> None:
        """Do nothing: the process of the runs ends with this one."""
