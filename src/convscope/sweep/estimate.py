"""Estimates of how long runs will take, from a few measured steps of each distinct network."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from tqdm import tqdm

from convscope.errors import UserError
from convscope.sweep.plan import PlannedRun
from convscope.training.distributed.processes import DeviceFailed, child
from convscope.training.request import RunRequest, to_remote

RUN_SECONDS = 0.5
"""Seconds that a run takes besides its batches: files, checkpoints, pictures."""
MEASURE = "convscope.sweep.step_cost:measure_remote"
"""Name of the measuring function; a worker process imports it, as importing Lightning is slow."""


@dataclass(frozen=True)
class StepCost:
    """Wall seconds of one training step, and of one batch of evaluation."""

    train: float
    evaluate: float


class Estimator:
    """Measures the step cost of each distinct network and batch size once, in a worker process."""

    def __init__(self) -> None:
        self._costs: dict[tuple[object, ...], StepCost | str] = {}

    def measure(self, runs: Iterable[PlannedRun]) -> None:
        """Measure the costs of these runs that are not known yet, with a progress bar."""
        requests = {_key(run.request): run.request for run in runs if run.steps_left}
        new = {key: request for key, request in requests.items() if key not in self._costs}
        if not new:
            return
        with tqdm(
            new.items(), "measuring steps", leave=False, disable=not sys.stderr.isatty()
        ) as bar:
            for key, request in bar:
                self._costs[key] = _measured(request)

    def seconds(self, run: PlannedRun) -> float:
        """Return wall seconds until the run is finished.

        0 if no steps are left, or if they could not be measured (see `problem`).
        """
        cost = self._cost(run)
        if not isinstance(cost, StepCost):
            return 0.0
        evaluated = run.epochs_left * run.request.val_batches + run.request.test_batches
        return RUN_SECONDS + run.steps_left * cost.train + evaluated * cost.evaluate

    def problem(self, run: PlannedRun) -> str | None:
        """Return why a run's steps could not be measured; None if they could or none are left."""
        cost = self._cost(run)
        return cost if isinstance(cost, str) else None

    def _cost(self, run: PlannedRun) -> StepCost | str | None:
        if not run.steps_left:
            return None
        self.measure([run])
        return self._costs[_key(run.request)]


def _key(request: RunRequest) -> tuple[object, ...]:
    config = request.config
    return (
        request.geometry.input_shape,
        request.geometry.graph,
        config.data.batch_size,
        request.hardware,
    )


def _measured(request: RunRequest) -> StepCost | str:
    """Return the cost, or the reason why it could not be measured."""
    try:
        cost: StepCost = child().call(MEASURE, to_remote(request), request.hardware)
    except (UserError, DeviceFailed) as error:
        return str(error)
    return cost
