"""Whose turn it is, and which calls count: with a clock that the network itself advances."""

from collections import defaultdict
from itertools import cycle

import pytest
import torch
from torch import Tensor, nn

from convscope.latency.measure import turn_of
from convscope.latency.turns import MOST_CALLS, ROUNDS, WARM_UP_CALLS, calls_per_turn, in_turns

CPU = torch.device("cpu")


class Clock:
    """Seconds that pass only when a network computes."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Timed(nn.Module):
    """A network whose forward pass takes the next of these times."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        super().__init__()
        self.clock, self.seconds = clock, cycle(seconds)
        self.passed: list[float] = []
        self.images: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.images.append(images)
        self.passed.append(next(self.seconds))
        self.clock.now += self.passed[-1]
        return images


def test_a_turn_times_each_call_but_the_first() -> None:
    clock = Clock()
    network = Timed(clock, [9.0, 1.0, 2.0, 4.0])
    turn = turn_of(network, CPU, "32-true", (3, 8, 6), 2, clock)
    assert turn(3) == [1.0, 2.0, 4.0]
    assert turn(1) == [1.0]
    images = network.images[0]
    assert images.shape == (2, 3, 8, 6)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(images, other) for other in network.images)


@pytest.mark.parametrize(
    ("precision", "kind"), [("32-true", "float32"), ("bf16-mixed", "bfloat16")]
)
def test_a_call_computes_as_an_evaluation_does(precision: str, kind: str) -> None:
    found: list[tuple[str, bool, bool]] = []

    class Noted(nn.Conv2d):
        def forward(self, images: Tensor) -> Tensor:
            scores = super().forward(images)
            dtype = str(scores.dtype).removeprefix("torch.")
            found.append((dtype, torch.is_inference_mode_enabled(), self.training))
            return scores

    turn_of(Noted(1, 2, 3).eval(), CPU, precision, (1, 8, 8), 4)(2)
    assert found == [(kind, True, False)] * 3


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [(0.004, 25), (0.0999, 1), (5.0, 1), (0.0011, 90), (0.00001, MOST_CALLS)],
)
def test_a_turn_lasts_a_tenth_of_a_second(seconds: float, calls: int) -> None:
    clock = Clock()
    # The first calls of all, which make a device ready, are many times slower.
    network = Timed(clock, [60.0, 30.0, *[seconds] * 4])
    assert calls_per_turn(turn_of(network, CPU, "32-true", (1, 1, 1), 1, clock)) == calls
    assert len(network.passed) == 1 + WARM_UP_CALLS


def test_they_take_turns() -> None:
    order: list[str] = []

    def turn(name: str):
        def calls(number: int) -> list[float]:
            order.append(name)
            return [float(len(order))] * number

        return calls

    names = ["a", "b", "c"]
    found = in_turns({name: turn(name) for name in names}, {"a": 1, "b": 2, "c": 1})
    assert order == names * ROUNDS
    assert found["a"] == [1.0 + 3 * number for number in range(ROUNDS)]
    assert found["b"] == [2.0 + 3 * number for number in range(ROUNDS) for _ in range(2)]


def test_a_machine_that_slows_down_slows_all_of_them() -> None:
    """Of two equal networks, the second would seem twice as slow if it were measured after."""
    clock = Clock()
    seconds: dict[str, list[float]] = defaultdict(list)

    def turn(name: str):
        def calls(number: int) -> list[float]:
            took = [0.001 * (1 + (clock.now - 100) / 0.02) for _ in range(number)]
            clock.now += 0.001
            seconds[name] += took
            return took

        return calls

    found = in_turns({name: turn(name) for name in "ab"}, dict.fromkeys("ab", 1))
    medians = [sorted(found[name])[ROUNDS // 2] for name in "ab"]
    assert found == seconds
    assert max(found["b"]) / min(found["b"]) > 1.8
    assert medians[1] / medians[0] < 1.05
