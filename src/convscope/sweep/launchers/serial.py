"""One run after the other, on this machine."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.config import TrainerConfig
    from convscope.runs.record import RunRecord
    from convscope.sweep.plan import PlannedRun
    from convscope.training.hardware import Hardware


class SerialLauncher:
    """Trains a run when it is asked for the next one that has ended.

    In a process of its own: what crashes there, in PyTorch or for want of memory, costs one run.
    """

    at_once = 1
    is_here = True

    def __init__(self) -> None:
        self._waiting: deque[tuple[PlannedRun, bool]] = deque()

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        # Here and below: mistakes in the options need not wait for PyTorch and Lightning.
        from convscope.training.hardware import resolve_hardware

        return resolve_hardware(trainer)

    def start(self, run: PlannedRun, alone: bool = False) -> None:
        self._waiting.append((run, alone))

    def next_ended(self) -> tuple[PlannedRun, RunRecord | None]:
        from convscope.sweep.alone import measure_alone
        from convscope.sweep.attempt import attempt
        from convscope.training.distributed.processes import child

        run, alone = self._waiting.popleft()
        train = measure_alone if alone else attempt
        return run, train(run.request, child())

    def cancel(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        """Nothing trains, and there is no engine."""
