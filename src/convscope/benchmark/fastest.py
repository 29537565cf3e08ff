"""Which form of the plain loop is the fastest here: as it is written, or through `torch.compile`.

On CUDA both forms are captured in a graph.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._dynamo import reset as forget_compiled

from convscope.benchmark.cases import Case
from convscope.benchmark.graph import GraphLoop
from convscope.benchmark.plain import PlainLoop, Recipe, TensorData
from convscope.training.model import ConvNet
from convscope.training.tracking.throughput import Stopwatch, synchronizer

_WARMUP_STEPS = 10
_TRIALS = 3
_TRIAL_STEPS = 50
_CLEARLY = 1.02
"""By how much `torch.compile` must be faster to be taken: noise alone must not choose it."""


@dataclass(frozen=True)
class Trial:
    """A form of the loop that was tried.

    Attributes:
        samples_per_second: None where it did not run, for the reason in `failure`.
        prepared_seconds: until it was warm: compilation, capture and first steps.
    """

    compiled: bool
    samples_per_second: float | None
    prepared_seconds: float
    failure: str | None = None


class TimedLoop:
    """A plain loop of a case, warm, and the clock beside it.

    Attributes:
        compiled: through `torch.compile`.
        prepared_seconds: what getting warm took.
    """

    def __init__(self, case: Case, data: TensorData, steps: int, compiled: bool = False) -> None:
        self._batch_size = case.batch_size
        self.compiled = compiled
        device = data.rows.device
        self._stopwatch = Stopwatch(time.perf_counter, synchronizer(device))
        began = time.perf_counter()
        self._loop = plain_loop(case, data, _WARMUP_STEPS + steps, compiled)
        if isinstance(self._loop, GraphLoop):
            self._loop.capture()
        self._loop.run(_WARMUP_STEPS - self._loop.taken)
        synchronizer(device)()
        self.prepared_seconds = time.perf_counter() - began

    def samples_per_second(self, steps: int) -> float:
        """Take the next steps."""
        self._stopwatch.start()
        self._loop.run(steps)
        self._stopwatch.count(steps * self._batch_size)
        rate = self._stopwatch.stop()
        assert rate is not None
        return rate.per_second


def plain_loop(case: Case, data: TensorData, total_steps: int, compiled: bool) -> PlainLoop:
    """The loop of a case from its first step on, with an order of batches of its own."""
    config, indices = case.request.config, torch.from_numpy(case.request.train_indices)
    batch_size = case.batch_size
    draws = torch.Generator().manual_seed(config.seed)

    def shuffled(epoch: int) -> Tensor:
        steps = len(indices) // batch_size
        order = torch.randperm(len(indices), generator=draws)[: steps * batch_size]
        return indices[order].view(steps, batch_size)

    torch.manual_seed(config.seed)
    network = ConvNet(case.request.geometry)
    recipe = Recipe(total_steps, config.optim, case.request.hardware.autocast_dtype, compiled)
    kind = GraphLoop if data.rows.device.type == "cuda" else PlainLoop
    return kind(network, data, recipe, shuffled)


def window_steps(case: Case, data: TensorData, seconds: float) -> int:
    """Optimizer steps that take the plain loop about so many seconds."""
    rate = TimedLoop(case, data, _TRIAL_STEPS).samples_per_second(_TRIAL_STEPS)
    return max(_TRIAL_STEPS, round(seconds * rate / case.batch_size))


def fastest(
    case: Case, data: TensorData, steps: int, try_compile: bool
) -> tuple[TimedLoop, list[Trial]]:
    """The form that is faster, ready for so many steps more, and what each form did."""
    forget_compiled()
    loops: dict[bool, TimedLoop] = {}
    failures: list[Trial] = []
    for compiled in (False, True) if try_compile else (False,):
        began = time.perf_counter()
        try:
            loops[compiled] = TimedLoop(case, data, _TRIALS * _TRIAL_STEPS + steps, compiled)
        except RuntimeError as error:
            # PyTorch's compiler raises these, and a capture of what it made.
            if not compiled:
                raise
            reason = str(error).strip().splitlines()[0]
            failures.append(Trial(compiled, None, time.perf_counter() - began, reason))
    rates = dict.fromkeys(loops, 0.0)
    for _ in range(_TRIALS):
        for compiled, loop in loops.items():
            rates[compiled] = max(rates[compiled], loop.samples_per_second(_TRIAL_STEPS))
    trials = [Trial(form, rates[form], loop.prepared_seconds) for form, loop in loops.items()]
    taken = rates.get(True, 0) > _CLEARLY * rates[False]
    return loops[taken], trials + failures
