"""The measurement of one case: its contenders are prepared, then take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from convscope.benchmark import lightning_baseline
from convscope.benchmark.cases import Case
from convscope.benchmark.project import run_lengths, timed_run, wall_slope
from convscope.benchmark.roofline import Peaks, StepCost, step_cost
from convscope.benchmark.torch_baseline import TensorData, Trial, compile_choice, window_steps
from convscope.training.devices import autocast_dtype
from convscope.training.resolve import RunResolver

Turn = Callable[[], Mapping[str, float | None]]
"""Measures one contender once and returns figures by name."""

_TRIAL_STEPS = 30


@dataclass(frozen=True)
class Effort:
    """How long the contenders are measured.

    Attributes:
        rounds: number of measurements of each contender.
        window_s: approximate seconds of one measurement of (b); (a) takes as many steps, (c) as
            many seconds.
        try_compile: whether (b) is also tried with `torch.compile`.
        epochs: epochs of the end-to-end run.
    """

    rounds: int
    window_s: float
    try_compile: bool
    epochs: int


THOROUGH = Effort(rounds=7, window_s=3, try_compile=True, epochs=3)
QUICK = Effort(rounds=3, window_s=1, try_compile=False, epochs=1)


@dataclass(frozen=True)
class Measured:
    """The measurements of a case; the fields are keys of the JSON file.

    Attributes:
        variant: the variant's label.
        batch_size: images per step.
        steps: steps of one measurement of (a) and of (b).
        compiled: whether (a) and (b) use `torch.compile`, because it is faster.
        plain: the forms of (b) that were tried.
        workers: samples/s of (c) by number of workers; empty where (c) was not measured.
        rounds: per round, samples/s by name: `project` as the run of (a) reports it, `slope` by
            wall clock between a short and a long run, `plain` of (b), `usual` of (c); and
            `project_other_s`, the seconds of the long run outside its training steps.
        cost: MACs and bytes of a step.
        roofline_s: minimum seconds of a step.
        bound: the limit that gives this minimum, `compute` or `bandwidth`.
    """

    variant: str
    batch_size: int
    steps: int
    compiled: bool
    plain: list[Trial]
    workers: dict[int, float]
    rounds: list[dict[str, float | None]]
    cost: StepCost
    roofline_s: float
    bound: str


def measure(case: Case, resolver: RunResolver, peaks: Peaks, effort: Effort) -> Measured:
    """Prepare a case's contenders and measure them in turns.

    Args:
        case: the variant and batch size.
        resolver: prepares the runs of (a).
        peaks: the device's limits.
        effort: how long to measure.

    Raises:
        UserError: a run failed.
    """
    request, hardware = case.request, case.request.hardware
    data = TensorData(request.images, torch.device(hardware.accelerator))
    steps = window_steps(case, data, effort.window_s)
    loop, trials = compile_choice(case, data, effort.rounds * steps, effort.try_compile)
    epochs, *lengths = run_lengths(case, steps)

    def project() -> dict[str, float | None]:
        long, short = (timed_run(resolver, case, epochs, n, loop.compiled) for n in lengths)
        return {
            "project": long.samples_per_second,
            "slope": wall_slope(short, long),
            "project_other_s": long.seconds - long.samples / long.samples_per_second,
        }

    turns: list[Turn] = [project, lambda: {"plain": loop.samples_per_second(steps)}]
    workers: dict[int, float] = {}
    images = lightning_baseline.torchvision_images(case)
    if images is not None:
        workers = lightning_baseline.rates_by_workers(case, images, _TRIAL_STEPS)
        best = max(workers, key=workers.__getitem__)
        length = max(_TRIAL_STEPS, round(effort.window_s * workers[best] / case.batch_size))
        turns.append(
            lambda: {
                "usual": lightning_baseline.samples_per_second(case, images, length, best),
            }
        )
    cost = step_cost(request.geometry, case.batch_size, autocast_dtype(hardware).itemsize)
    return Measured(
        case.variant,
        case.batch_size,
        steps,
        loop.compiled,
        trials,
        workers,
        interleave(turns, effort.rounds),
        cost,
        *cost.bound(peaks),
    )


def interleave(turns: list[Turn], rounds: int) -> list[dict[str, float | None]]:
    """Return the figures of each round, in which every contender is measured once.

    So other load on the machine affects all contenders alike. Each round starts with the next one.
    """
    measured = []
    for number in range(rounds):
        first = number % len(turns)
        figures: dict[str, float | None] = {}
        for turn in turns[first:] + turns[:first]:
            figures |= turn()
        measured.append(figures)
    return measured
