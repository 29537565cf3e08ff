"""Measurement of the wall seconds of a training step and of an evaluation batch."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from convscope.data.augment import mean_with_mirrored
from convscope.modules import build_network
from convscope.sweep.estimate import StepCost
from convscope.training.batches import train_batches, train_images
from convscope.training.callbacks.throughput import synchronizer
from convscope.training.devices import autocast_dtype, free_memory
from convscope.training.hardware import Hardware
from convscope.training.optimizers import make_optimizer
from convscope.training.request import RemoteRequest, RunRequest
from convscope.training.train_step import EagerRunner, TrainStep, step_runner

WARMUP_STEPS, MEASURED_STEPS = 3, 6


def measure_remote(remote: RemoteRequest, hardware: Hardware) -> StepCost:
    """Measure a run's steps in this process, with the threads that the run will have.

    Raises:
        UserError: the run's images or device are unavailable.
        RuntimeError: a step failed, for example for lack of memory.
    """
    torch.set_num_threads(hardware.threads)
    cost = measure(remote.materialize(hardware))
    free_memory(hardware)
    return cost


def measure(request: RunRequest) -> StepCost:
    """Measure a few steps on the run's images, without Lightning, whose overhead is negligible."""
    hardware, config = request.hardware, request.config
    device = torch.device(hardware.accelerator)
    batches = train_batches(request, train_images(request, device))
    network = build_network(request.geometry).to(memory_format=torch.channels_last).to(device)
    optimizer = make_optimizer(network, config.optim, device)
    train_step = TrainStep(network, optimizer, config.trainer.gradient_clip_val)
    eager = EagerRunner(train_step, batches, lambda step: config.optim.lr, lambda: None)
    runner = step_runner(eager, capacity=max(WARMUP_STEPS, MEASURED_STEPS))

    @torch.no_grad()
    def evaluate(steps: range) -> None:
        for step in steps:
            images, _ = batches.batch(step)
            mean_with_mirrored(network, images) if config.data.test_flip else network(images)

    synchronize = synchronizer(device)
    with torch.autocast(
        device.type, autocast_dtype(hardware), hardware.precision == "bf16-mixed", False
    ):
        return StepCost(_seconds(runner.run, synchronize), _seconds(evaluate, synchronize))


def _seconds(act: Callable[[range], object], synchronize: Callable[[], None]) -> float:
    """Return seconds per step after warm-up."""
    act(range(WARMUP_STEPS))
    synchronize()
    started = time.perf_counter()
    act(range(WARMUP_STEPS, WARMUP_STEPS + MEASURED_STEPS))
    synchronize()
    return (time.perf_counter() - started) / MEASURED_STEPS
