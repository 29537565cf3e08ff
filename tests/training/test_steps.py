"""How many steps a run takes, and the chunks in which Lightning meets them."""

from dataclasses import replace

import pytest

from convscope.config.compose import compose_config
from convscope.config.schema import TrainerConfig
from convscope.errors import UserError
from convscope.training.schedule import StepChunks, StepPlan, plan_steps


@pytest.fixture(scope="module")
def defaults() -> TrainerConfig:
    return compose_config([]).trainer


@pytest.mark.parametrize(
    ("typed", "per_epoch", "total", "epochs"),
    [
        ({}, 210, 1050, 5),
        ({"max_epochs": 1}, 210, 210, 1),
        ({"max_steps": 1049}, 210, 1049, 5),
        ({"max_steps": 211}, 210, 211, 2),
        ({"max_steps": 210}, 210, 210, 1),
        ({"max_steps": 5000}, 210, 1050, 5),
        ({"max_steps": 5000, "max_epochs": None}, 210, 5000, 24),
        ({"limit_train_batches": 7}, 7, 35, 5),
        ({"limit_train_batches": 1}, 1, 5, 5),
        ({"limit_train_batches": 1.0}, 210, 1050, 5),
        ({"limit_train_batches": 999}, 210, 1050, 5),
        ({"limit_train_batches": 0.1}, 21, 105, 5),
        ({"limit_train_batches": 0.0095}, 1, 5, 5),
        ({"limit_train_batches": 7, "max_steps": 15}, 7, 15, 3),
        ({"fast_dev_run": True}, 1, 1, 1),
        ({"fast_dev_run": 3}, 3, 3, 1),
        ({"fast_dev_run": 3, "limit_train_batches": 2}, 2, 2, 1),
        ({"fast_dev_run": 0}, 210, 1050, 5),
    ],
)
def test_steps_of_mnist(
    defaults: TrainerConfig, typed: dict[str, object], per_epoch: int, total: int, epochs: int
) -> None:
    """54,000 images make 210 full batches of 256; what is left over makes none."""
    plan = plan_steps(replace(defaults, **typed), 54_000, 256)
    assert (plan.per_epoch, plan.total, plan.epochs) == (per_epoch, total, epochs)


def test_a_batch_may_be_the_whole_training_set(defaults: TrainerConfig) -> None:
    assert plan_steps(defaults, 100, 100) == StepPlan(1, 5)


@pytest.mark.parametrize(
    ("typed", "batch_size", "message"),
    [
        ({}, 101, "data.batch_size must be at most the 100 training images, got 101"),
        (
            {"limit_train_batches": 0.09},
            10,
            "trainer.limit_train_batches must leave at least 1 of 10 batches, got 0.09",
        ),
    ],
)
def test_a_run_without_a_step_is_refused(
    defaults: TrainerConfig, typed: dict[str, object], batch_size: int, message: str
) -> None:
    with pytest.raises(UserError) as error:
        plan_steps(replace(defaults, **typed), 100, batch_size)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("plan", "chunk_steps", "start", "ends"),
    [
        (StepPlan(120, 240), 50, 0, [10, 50, 100, 120]),
        (StepPlan(120, 240), 50, 120, [130, 150, 200, 240]),
        (StepPlan(120, 215), 50, 120, [130, 150, 200, 215]),
        (StepPlan(120, 122), 50, 120, [122]),
        (StepPlan(7, 14), 50, 0, [7]),
        (StepPlan(10, 20), 50, 0, [10]),
        (StepPlan(11, 22), 50, 11, [21, 22]),
        (StepPlan(14, 14), 3, 0, [10, 12, 14]),
        (StepPlan(14, 14), 1, 0, [10, 11, 12, 13, 14]),
        (StepPlan(110, 220), 50, 100, [110]),
    ],
)
def test_chunks(plan: StepPlan, chunk_steps: int, start: int, ends: list[int]) -> None:
    starts = [start, *ends[:-1]]
    expected = [range(a, b) for a, b in zip(starts, ends, strict=True)]
    chunks = StepChunks(plan, chunk_steps, lambda: start)
    assert list(chunks) == expected
    # A process that starts here, and one that comes by, see the same.
    assert list(chunks) == expected


def test_chunks_ask_where_training_stands_when_an_epoch_begins() -> None:
    step = 0
    chunks = StepChunks(StepPlan(5, 15), 50, lambda: step)
    for step in (0, 5, 10):
        assert list(chunks) == [range(step, step + 5)]


def test_chunks_have_no_length() -> None:
    """Lightning would take it for the number of batches, and miss the last validation."""
    assert not hasattr(StepChunks(StepPlan(5, 15), 50, lambda: 0), "__len__")
