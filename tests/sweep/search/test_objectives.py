"""What can be looked for, and what is answered to the rest."""

import re

import pytest

from convscope.errors import UserError
from convscope.sweep.search.trials import objectives, objectives_of
from convscope.training.results import summary

TAGS = (
    "val/accuracy, throughput/train_samples_per_sec, throughput/step_ms, memory/peak_mb,"
    " summary/macs, summary/params"
)


@pytest.mark.parametrize(
    ("tag", "metric", "sign"),
    [
        ("val/accuracy", "best_val_accuracy", 1),
        ("throughput/train_samples_per_sec", "train_samples_per_sec", 1),
        ("throughput/step_ms", "step_ms", -1),
        ("memory/peak_mb", "peak_mb", -1),
        ("summary/macs", "macs", -1),
        ("summary/params", "params", -1),
    ],
)
def test_a_tag_is_a_metric_and_a_direction(tag: str, metric: str, sign: int) -> None:
    (objective,) = objectives_of(tag)
    assert (objective.name, objective.sign) == (metric, sign)
    assert metric in [shown.name for shown in summary()]


def test_several_keep_their_order() -> None:
    names = ["summary/macs", "val/accuracy", "summary/params"]
    assert [objective.tag for objective in objectives_of(names)] == names
    assert ", ".join(objectives()) == TAGS


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("val/loss", f"objective must be one of {TAGS}, got val/loss"),
        (
            "val/acuracy",
            f"objective must be one of {TAGS}, got val/acuracy\n"
            "did you mean objective=val/accuracy?",
        ),
        (None, f"objective must be one of {TAGS}, got null"),
        (3, f"objective must be one of {TAGS}, got 3"),
        ([["val/accuracy"]], f"objective must be one of {TAGS}, got ['val/accuracy']"),
        ([], "objective must name each tag once, got []"),
        (
            ["val/accuracy", "val/accuracy"],
            "objective must name each tag once, got ['val/accuracy', 'val/accuracy']",
        ),
        *(
            (
                tag,
                f"objective cannot be {tag}: the test set cannot judge what it has chosen\n"
                "use objective=val/accuracy",
            )
            for tag in ("test/accuracy", "test/loss", "summary/test_accuracy", "test_accuracy")
        ),
    ],
)
def test_what_is_none_is_answered_in_one_line(typed: object, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        objectives_of(typed)
