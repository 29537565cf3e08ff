"""Measures one case: contenders are prepared, then take turns."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.benchmark.cases import Case
from convscope.benchmark.fastest import Trial, fastest, window_steps
from convscope.benchmark.plain import TensorData
from convscope.benchmark.project import ProjectRuns, wall_slope
from convscope.benchmark.roofline import Peaks, StepCost, step_cost
from convscope.benchmark.rounds import Turn, take_turns
from convscope.benchmark.usual import UsualPipeline, usual_images
from convscope.training.resolve import Resolver

_TRIAL_STEPS = 30


@dataclass(frozen=True)
class Effort:
    """How long is measured.

    Attributes:
        window_s: seconds that one turn of the plain loop takes, about; others take as many steps,
            or in (c) as many seconds.
        try_compile: whether the plain loop is tried through `torch.compile` too.
        epochs: of the run from prompt to prompt.
    """

    rounds: int
    window_s: float
    try_compile: bool
    epochs: int


THOROUGH = Effort(rounds=7, window_s=3, try_compile=True, epochs=3)
QUICK = Effort(rounds=3, window_s=1, try_compile=False, epochs=1)


@dataclass(frozen=True)
class Measured:
    """What came of a case.

    Attributes:
        steps: of a turn of (a) and of (b).
        compiled: whether (a) and (b) go through `torch.compile`, as it is faster.
        plain: what was tried for (b).
        workers: samples/s of (c) by number of workers; empty where (c) was not measured.
        rounds: samples/s by name: `project` as the run reports it, `slope` by wall clock between a
            short and a long run, `plain`, `usual`; and `project_other_s`, the seconds of the long
            run besides its steps.
        roofline_s: least seconds of a step, and `bound`, what it is bound by.
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


def measure(case: Case, resolver: Resolver, peaks: Peaks, effort: Effort) -> Measured:
    """Prepare a case's contenders and let them take turns.

    Raises:
        UserError: a run failed.
    """
    request = case.request
    images, hardware = request.images, request.hardware
    data = TensorData(
        images.train_images,
        images.train_labels,
        images.mean,
        images.std,
        hardware.torch_device,
    )
    steps = window_steps(case, data, effort.window_s)
    loop, trials = fastest(case, data, effort.rounds * steps, effort.try_compile)
    runs = ProjectRuns(resolver, case, steps, loop.compiled)

    def project() -> dict[str, float | None]:
        long, short = runs.long(), runs.short()
        return {
            "project": long.samples_per_second,
            "slope": wall_slope(short, long),
            "project_other_s": long.seconds - long.samples / long.samples_per_second,
        }

    turns: dict[str, Turn] = {
        "project": project,
        "plain": lambda: {"plain": loop.samples_per_second(steps)},
    }
    workers: dict[int, float] = {}
    usual = usual_images(case)
    if usual is not None:
        pipeline = UsualPipeline(case, usual)
        workers = pipeline.best_workers(_TRIAL_STEPS)
        best = max(workers, key=workers.__getitem__)
        length = max(_TRIAL_STEPS, round(effort.window_s * workers[best] / case.batch_size))
        turns["usual"] = lambda: {"usual": pipeline.samples_per_second(length, best)}
    cost = step_cost(request.geometry, case.batch_size, hardware.autocast_dtype.itemsize)
    return Measured(
        case.variant,
        case.batch_size,
        steps,
        loop.compiled,
        trials,
        workers,
        take_turns(turns, effort.rounds),
        cost,
        cost.seconds(peaks),
        cost.bound(peaks),
    )
