"""One run after the other, on this machine."""

from __future__ import annotations

from collections import deque

from convscope.config.schema import TrainerConfig
from convscope.runs.record import RunRecord
from convscope.sweep.attempt import attempt
from convscope.sweep.plan import PlannedRun
from convscope.training.distributed.processes import child
from convscope.training.hardware import Hardware, prepare_environment

_RESOLVE = "convscope.training.devices:resolve_hardware"
"""Called there: it brings PyTorch, which this process need not import at all."""


class SerialLauncher:
    """Trains a run when it is asked for the next one that has ended.

    In a process of its own: what crashes there, in PyTorch or for want of memory, costs one run.
    """

    at_once = 1
    is_here = True

    def __init__(self) -> None:
        self._waiting: deque[tuple[PlannedRun, bool]] = deque()

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        hardware: Hardware = child().call(_RESOLVE, trainer)
        prepare_environment(trainer, hardware)
        return hardware

    def start(self, run: PlannedRun, alone: bool = False) -> None:
        self._waiting.append((run, alone))

    def next_ended(self) -> tuple[PlannedRun, RunRecord | None]:
        run, alone = self._waiting.popleft()
        if not alone:
            return run, attempt(run.request, child())
        # Here: TensorBoard's writer is PyTorch's.
        from convscope.sweep.alone import measure_alone

        return run, measure_alone(run.request, child())

    def cancel(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        """Nothing trains, and there is no engine."""
