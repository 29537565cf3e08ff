"""How long runs will take, from a few measured steps of each distinct cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from convscope.model import ConvNet
from convscope.step.stepper import Stepper, graph_capture
from convscope.step.update import Update, make_optimizer
from convscope.sweep.plan import PlannedRun
from convscope.tracking.throughput import synchronizer
from convscope.training.batches import train_batches, train_images
from convscope.training.request import RunRequest

WARMUP_STEPS, MEASURED_STEPS = 3, 6
RUN_SECONDS = 0.5
"""What a run takes besides its batches: files, checkpoints, pictures."""


@dataclass(frozen=True)
class StepCost:
    """Wall seconds of one training step, and of one batch of evaluation."""

    train: float
    evaluate: float


class Estimator:
    """Measures each distinct network and batch once."""

    def __init__(self) -> None:
        self._costs: dict[tuple[object, ...], StepCost | None] = {}

    def seconds(self, run: PlannedRun) -> float:
        """Wall seconds until the run is finished; 0 where nothing is left to train.

        0 too where the steps cannot be taken, for want of memory say: the run will fail, and say
        why.
        """
        if not run.steps_left:
            return 0.0
        request = run.request
        cost = self._cost(request)
        if cost is None:
            return 0.0
        evaluated = run.epochs_left * request.val_batches + request.test_batches
        return RUN_SECONDS + run.steps_left * cost.train + evaluated * cost.evaluate

    def _cost(self, request: RunRequest) -> StepCost | None:
        config = request.config
        key = (
            request.geometry.input_shape,
            request.geometry.convs,
            tuple(config.model.channels),
            tuple(config.model.pool_after),
            config.data.batch_size,
            request.hardware,
        )
        if key not in self._costs:
            try:
                self._costs[key] = measure(request)
            except (RuntimeError, MemoryError):
                self._costs[key] = None
        return self._costs[key]


def measure(request: RunRequest) -> StepCost:
    """Time a few steps on real images; what Lightning adds to a step is next to nothing."""
    hardware, config = request.hardware, request.config
    device = hardware.torch_device
    batches = train_batches(request, train_images(request, device))
    network = ConvNet(request.geometry).to(memory_format=torch.channels_last).to(device)
    stepper = Stepper(
        Update(
            network,
            make_optimizer(network, config.optim, device),
            config.trainer.gradient_clip_val,
        ),
        batches,
        lambda step: config.optim.lr,
        capacity=max(WARMUP_STEPS, MEASURED_STEPS),
        capture=graph_capture(batches),
        after_step=lambda: None,
        # The run will tell.
        notify=lambda line: None,
    )

    @torch.no_grad()
    def evaluate(steps: range) -> None:
        for step in steps:
            network(batches.batch(step)[0])

    synchronize = synchronizer(device)
    with torch.autocast(
        device.type, hardware.autocast_dtype, hardware.precision == "bf16-mixed", False
    ):
        return StepCost(_seconds(stepper.take, synchronize), _seconds(evaluate, synchronize))


def _seconds(act: Callable[[range], object], synchronize: Callable[[], None]) -> float:
    """Of one step, once warm."""
    act(range(WARMUP_STEPS))
    synchronize()
    started = time.perf_counter()
    act(range(WARMUP_STEPS, WARMUP_STEPS + MEASURED_STEPS))
    synchronize()
    return (time.perf_counter() - started) / MEASURED_STEPS
