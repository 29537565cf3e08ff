"""The learning rate against PyTorch's own schedule, at every step."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from convscope.training.schedule import one_cycle


@pytest.mark.parametrize("warmup", [0.05, 0.1, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 24, 1050])
def test_it_is_pytorchs_one_cycle(steps: int, warmup: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.02)
    schedule = OneCycleLR(
        optimizer, 0.02, total_steps=steps + 1, pct_start=warmup, cycle_momentum=False
    )
    for step in range(steps + 1):
        expected = optimizer.param_groups[0]["lr"]
        assert one_cycle(step, steps, 0.02, warmup) == pytest.approx(expected, rel=1e-9, abs=1e-15)
        optimizer.step()
        if step < steps:
            schedule.step()


def test_a_climb_that_ends_with_the_first_step_starts_at_the_peak() -> None:
    """PyTorch divides by zero here."""
    assert one_cycle(0, 1, 0.02, warmup=0.5) == 0.02
    assert one_cycle(1, 1, 0.02, warmup=0.5) == pytest.approx(0.02 / 25e4)
