"""One run after the other, in this process."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convscope.config import TrainerConfig
    from convscope.runs.record import RunRecord
    from convscope.sweep.plan import PlannedRun
    from convscope.training.hardware import Hardware


class SerialLauncher:
    """Trains a run when it is asked for the next one that has ended."""

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

        run, alone = self._waiting.popleft()
        return run, measure_alone(run.request) if alone else attempt(run.request)

    def close(self) -> None:
        """Nothing trains, and there is no engine."""
