"""The roofline, by hand, and the peaks under it by a patched clock."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from convscope.benchmark.roofline import Peaks, StepCost, measure_peaks, shortest, step_cost
from convscope.training.hardware import Hardware

from ..convs import parse_conv, stack_geometry


def test_macs_and_bytes_of_a_step() -> None:
    """28x28, two layers k3 s2 p1 with a pool between them: 14x14, 7x7, 4x4; a batch of 2."""
    geometry = stack_geometry((1, 28, 28), parse_conv(3, 2, 1, 2), [4, 8], [1], 10)
    conv1, conv2, head = 36 * 14 * 14, 288 * 4 * 4, 80
    macs = 2 * (2 * conv1 + 3 * conv2 + 3 * head)
    # Input, output and weights of each; the image has no gradient.
    values = 2 * (2 * (784 + 784) + 36) + 3 * (2 * (196 + 128) + 288) + 3 * (2 * (8 + 10) + 80)
    assert step_cost(geometry, 2, 4) == StepCost(macs, 4 * values)
    assert step_cost(geometry, 2, 2) == StepCost(56_352, 19_000)


def test_the_higher_of_the_two_limits_bounds_a_step() -> None:
    cost = StepCost(macs=3_000_000, bytes=8_000)
    computing, copying = Peaks(1e9, 4e6), Peaks(1e9, 2e6)
    assert cost.bound(computing) == (0.003, "compute")
    assert cost.bound(copying) == (0.004, "bandwidth")


def ticks(seconds: Sequence[float]) -> Callable[[], float]:
    """A clock that is read before and after each piece of work, of so many seconds."""

    def readings() -> Iterator[float]:
        now = 0.0
        for passed in seconds:
            yield now
            now += passed
            yield now

    clock = readings()
    return lambda: next(clock)


def test_a_peak_is_the_quickest_repeat_after_the_first() -> None:
    told: list[str] = []
    clock = ticks([0.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3])
    found = shortest(lambda: told.append("work"), lambda: told.append("wait"), clock)
    assert found == pytest.approx(0.3)
    assert told == ["wait", "work", "wait"] * 13


def test_long_work_is_not_repeated() -> None:
    """bfloat16 where the processor has no instructions for it: 13 products took 7 minutes."""
    told: list[str] = []
    assert shortest(lambda: told.append("work"), lambda: None, ticks([33.0, 31.0])) == 31.0
    assert told == ["work", "work"]


def test_peaks_count_a_macs_cube_and_both_ways_of_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.benchmark.roofline.shortest", lambda *_: 2.0)
    peaks = measure_peaks(Hardware("cpu", "a CPU", 1, "32-true", 1))
    assert peaks == Peaks(2048**3 / 2, 2**28)
