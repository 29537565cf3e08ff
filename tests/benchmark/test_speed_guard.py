"""Training through Lightning stays near the loop by hand: as a ratio, with a generous bound."""

import statistics
from collections.abc import Callable

import pytest
import torch

from convscope.benchmark.cases import Case
from convscope.benchmark.measure import interleave
from convscope.benchmark.project import run_lengths, timed_run
from convscope.benchmark.torch_baseline import TensorData, warm_loop
from convscope.training.resolve import RunResolver

ROUNDS, STEPS, BOUND = 3, 120, 0.6
"""An accident in the step falls below it, such as a wait of as long as the step itself takes."""


def measured_ratio(case: Case, resolver: RunResolver) -> float:
    data = TensorData(case.request.images, torch.device("cpu"))
    loop = warm_loop(case, data, ROUNDS * STEPS)
    epochs, per_epoch, _ = run_lengths(case, STEPS)
    rounds = interleave(
        [
            lambda: {
                "project": timed_run(resolver, case, epochs, per_epoch, False).samples_per_second
            },
            lambda: {"plain": loop.samples_per_second(STEPS)},
        ],
        ROUNDS,
    )
    return statistics.median(row["project"] / row["plain"] for row in rounds)  # type: ignore[operator]


@pytest.mark.exclusive
def test_training_is_not_much_slower_than_the_loop_by_hand(
    make_case: Callable[..., Case], resolver: RunResolver
) -> None:
    case = make_case("conv.stride=2", "model.channels=[16,32,64]")
    first = measured_ratio(case, resolver)
    # Once more, for a machine that had other things to do.
    assert max(first, measured_ratio(case, resolver) if first < BOUND else 0) >= BOUND
