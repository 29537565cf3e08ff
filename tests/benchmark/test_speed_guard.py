"""Training through Lightning stays near the loop by hand: as a ratio, with a generous bound."""

import statistics
from collections.abc import Callable

import pytest
import torch

from convscope.benchmark.cases import Case
from convscope.benchmark.fastest import TimedLoop
from convscope.benchmark.plain import TensorData
from convscope.benchmark.project import ProjectRuns
from convscope.benchmark.rounds import ratio, take_turns
from convscope.training.resolve import Resolver

ROUNDS, STEPS, BOUND = 3, 120, 0.6
"""An accident in the step falls below it, such as a wait of as long as the step itself takes."""


def measured_ratio(case: Case, resolver: Resolver) -> float:
    images = case.request.images
    data = TensorData(
        images.train_images, images.train_labels, images.mean, images.std, torch.device("cpu")
    )
    loop, runs = TimedLoop(case, data, ROUNDS * STEPS), ProjectRuns(resolver, case, STEPS, False)
    rounds = take_turns(
        {
            "project": lambda: {"project": runs.long().samples_per_second},
            "plain": lambda: {"plain": loop.samples_per_second(STEPS)},
        },
        ROUNDS,
    )
    return statistics.median(ratio(row["project"], row["plain"]) or 0 for row in rounds)


@pytest.mark.exclusive
def test_training_is_not_much_slower_than_the_loop_by_hand(
    make_case: Callable[..., Case], resolver: Resolver
) -> None:
    case = make_case("conv.stride=2", "model.channels=[16,32,64]")
    first = measured_ratio(case, resolver)
    # Once more, for a machine that had other things to do.
    assert max(first, measured_ratio(case, resolver) if first < BOUND else 0) >= BOUND
