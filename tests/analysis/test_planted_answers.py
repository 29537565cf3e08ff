"""How often a difference is found by image, falsely or rightly, in studies with a known truth.

docs/decisions/paired_by_image.py draws 1,000 studies of each kind; here are fewer.
"""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from .planted_answers import ACCURACIES, Plan, error_and_power, qualities, quick, studies

EQUAL = np.full(12, 0.978)


def test_the_quick_way_is_that_of_the_table() -> None:
    plan = Plan(np.linspace(0.95, 0.98, 5), 3, 2_000)
    rng = np.random.default_rng(0)
    for by_image, without in studies(plan, 5):
        right = plan.draw(rng)
        assert_frame_equal(quick(right, by_image=True), by_image)
        assert_frame_equal(quick(right, by_image=False), without)


@pytest.mark.parametrize("kind", ["equal", "pair"])
def test_falsely_different_in_at_most_5_percent(kind: str) -> None:
    """Of 100 studies, 5 are expected at most; 11 or more in 1 of 100 series."""
    found = error_and_power(Plan(EQUAL, 3, quality=qualities(12, kind)), 100)
    assert found.loc["by image", "false"] <= 0.10


def test_without_answers_the_images_are_taken_as_fixed() -> None:
    """Why answers are compared by image: each variant gets other images right."""
    found = error_and_power(Plan(EQUAL, 10, 4_000), 60)
    assert found.loc["without answers", "false"] > 0.2
    assert found.loc["by image", "false"] <= 0.10


@pytest.mark.parametrize(("kind", "more"), [("equal", 0.0), ("pair", 0.2)])
def test_more_is_found_than_without_answers(kind: str, more: float) -> None:
    """Twelve real accuracies, all of the same difficult images: there both are valid.

    Two variants whose networks differ much make all other pairs uncertain only without answers.
    """
    plan = Plan(ACCURACIES, 5, interaction=0, quality=qualities(12, kind))
    found = error_and_power(plan, 30)["power"]
    assert found["by image"] > found["without answers"] + more
