"""What a run uses of its data set: worked out by hand, limits with Lightning's meaning."""

from typing import Any

import pytest

from convscope.runs.usage import planned_usage

SIZES = {"train": 54_000, "val": 6_000, "test": 10_000}


def use(batch_size: int = 256, **trainer: Any) -> dict[str, int | None]:
    config = {"data": {"batch_size": batch_size}, "trainer": {"max_epochs": 5} | trainer}
    return planned_usage(config, SIZES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # 54,000 = 210 * 256 + 240: what is left of the last batch is not trained on.
        ({}, (53_760, 6_000, 10_000, 1_050)),
        ({"batch_size": 1}, (54_000, 6_000, 10_000, 270_000)),
        ({"limit_test_batches": 8}, (53_760, 6_000, 2_048, 1_050)),
        # 10,000 images are 40 batches, the last of 16 images.
        ({"limit_test_batches": 39}, (53_760, 6_000, 9_984, 1_050)),
        ({"limit_test_batches": 40}, (53_760, 6_000, 10_000, 1_050)),
        ({"limit_test_batches": 0.5, "limit_val_batches": 0.5}, (53_760, 3_072, 5_120, 1_050)),
        ({"limit_train_batches": 8}, (2_048, 6_000, 10_000, 40)),
        ({"limit_train_batches": 0.1}, (5_376, 6_000, 10_000, 105)),
        ({"limit_train_batches": 1.0, "limit_val_batches": 1}, (53_760, 256, 10_000, 1_050)),
        ({"max_steps": 300}, (53_760, 6_000, 10_000, 300)),
        ({"max_steps": 40}, (10_240, 6_000, 10_000, 40)),
        ({"max_epochs": None, "max_steps": 2_000}, (53_760, 6_000, 10_000, 2_000)),
        ({"max_time": "00:00:01:00"}, (53_760, 6_000, 10_000, None)),
        ({"fast_dev_run": 3}, (768, 768, 768, 3)),
        ({"fast_dev_run": True}, (256, 256, 256, 1)),
        ({"fast_dev_run": 0}, (53_760, 6_000, 10_000, 1_050)),
    ],
)
def test_what_a_config_uses(given: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    assert tuple(use(**given).values()) == expected


def test_what_is_not_known_stays_open() -> None:
    config = {"data": {"batch_size": 32}, "trainer": {"max_epochs": 1}}
    assert planned_usage(config, dict.fromkeys(SIZES)) == {
        **dict.fromkeys(("train", "val", "test", "steps"))
    }
