"""A key that is tuned per variant, typed as people type it."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convscope.sweep.tuning import tunable

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=4",
    "diagnostics=off",
)
TWO = ("-m", *TINY, "conv.kernel_size=3,5", "conv.stride=2", "conv.padding=half")
TUNED = ("tune=optim.lr", "tune_values=[0.005,0.02,0.08]")


def records(study: str = "default") -> dict[str, dict[str, Any]]:
    """By the run's name."""
    runs = sorted(Path("outputs", study).glob("*/run.json"))
    return {run.parent.name: json.loads(run.read_text()) for run in runs}


def trials(study: str = "default") -> dict[tuple[str, float], dict[str, Any]]:
    """By variant and value."""
    return {
        (one["variant"], one["config"]["optim"]["lr"]): one
        for one in records(study).values()
        if "tuning" in one["environment"]
    }


def results(study: str = "default") -> list[tuple[str, float, int]]:
    """Variant, value and seed of each run that is no trial."""
    return sorted(
        (one["variant"], one["config"]["optim"]["lr"], one["config"]["seed"])
        for one in records(study).values()
        if "tuning" not in one["environment"]
    )


def chosen(study: str = "default") -> dict[str, float]:
    """By hand: the value with the highest validation accuracy, the nearest to 0.02 of several."""
    best = {}
    found = trials(study)
    for variant in {variant for variant, _ in found}:
        of_it = {
            v: one["metrics"]["best_val_accuracy"] for (k, v), one in found.items() if k == variant
        }
        equal = [value for value, one in of_it.items() if one == max(of_it.values())]
        best[variant] = min(equal, key=lambda value: max(value / 0.02, 0.02 / value))
    return best


def expected(repeat: int, study: str = "default") -> list[tuple[str, float, int]]:
    best = chosen(study)
    return sorted(
        (variant, value, seed)
        for variant in ("k3-s2-p1", "k5-s2-p2")
        for value in {0.02, best[variant]}
        for seed in range(repeat)
    )


def test_trials_choose_and_fresh_seeds_compare(command) -> None:
    # These are the very runs that a sweep without tune trains.
    assert command(*TWO).code == 0
    before = {path: path.read_bytes() for path in Path("outputs").rglob("run.json")}
    ended = command(*TWO, *TUNED)
    assert ended.code == 0
    found = trials()
    assert set(found) == {
        (variant, value) for variant in ("k3-s2-p1", "k5-s2-p2") for value in (0.005, 0.02, 0.08)
    }
    for one in found.values():
        assert one["config"]["seed"] == 10_000
        assert one["environment"]["tuning"] == {
            "key": "optim.lr",
            "values": [0.005, 0.02, 0.08],
            "own": 0.02,
        }
        assert "tune" not in one["command"]
        assert one["config"]["diagnostics"] == "off"
    assert results() == expected(1)
    assert all(path.read_bytes() == text for path, text in before.items())
    assert "tuning optim.lr of 2 variants: 0.005, 0.02 and 0.08, one run each\n" in ended.err
    assert "2 of 8 runs are done already\n" in ended.err
    assert "lr 0.005 " in ended.out  # The table of trials.

    # More final seeds later: no new trial.
    untouched = {one["name"]: one["started_at"] for one in found.values()}
    more = command(*TWO, *TUNED, "repeat=2")
    assert more.code == 0
    assert {one["name"]: one["started_at"] for one in trials().values()} == untouched
    assert results() == expected(2)

    # All of it is there: nothing is trained.
    again = command(*TWO, *TUNED, "repeat=2")
    assert again.code == 0
    assert not [line for line in again.err.splitlines() if line.startswith("[")]


def test_a_single_variant_is_a_sweep_too(command) -> None:
    ended = command(*TINY, "conv=k3-s2-p1", *TUNED)
    assert ended.code == 0
    assert len(trials()) == 3
    assert [variant for variant, *_ in results()] == ["k3-s2-p1"] * len(results())


def test_a_run_that_was_trained_before_becomes_a_trial(command) -> None:
    alone = (*TINY, "conv=k3-s2-p1")
    assert command(*alone, "optim.lr=0.08", "seed=10000").code == 0
    assert not trials()
    assert command(*alone, *TUNED).code == 0
    assert len(trials()) == 3
    # It may be no result afterwards: it chose a value.
    refused = command("-m", *alone, "optim.lr=0.08", "seed=10000,10001")
    assert refused.code == 2
    assert refused.err.startswith("error: seed must not be 10000: digits-k3-s2-p1-")
    assert refused.err.endswith("was trained with it to tune optim.lr, and is no result\n")


def test_failed_trials_are_no_candidates_and_no_failure(command, monkeypatch) -> None:
    ended = command(*TINY, "conv=k3-s2-p1", "optim=sgd", "tune=optim.lr", "tune_values=[0.02,1e30]")
    assert ended.code == 0
    statuses = Counter(one["status"] for one in trials().values())
    assert statuses == {"finished": 1, "failed": 1}
    assert "chosen by validation: 0.02 for k3-s2-p1" in ended.err
    assert "failed" in ended.out


def test_a_plan_trains_nothing_and_shows_what_is_trained_at_most(command) -> None:
    planned = command(*TWO, *TUNED, "repeat=2", "plan=true")
    assert planned.code == 0
    assert list(Path().iterdir()) == []
    lines = planned.out.splitlines()
    # 2 variants x (3 trials + 2 seeds x 2 values).
    assert lines[-2].startswith("14 runs: 14 to do; about ")
    assert lines[-1] == (
        "at most: each of 2 variants is trained again at the optim.lr that its trials choose, here"
        " shown as 0.005"
    )


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("tune=conv.stride",), f"tune must be one of {', '.join(tunable())}, got conv.stride"),
        (("tune=seed",), f"tune must be one of {', '.join(tunable())}, got seed"),
        (("tune=study",), f"tune must be one of {', '.join(tunable())}, got study"),
        (
            ("tune=trainer.max_epochs",),
            f"tune must be one of {', '.join(tunable())}, got trainer.max_epochs",
        ),
        (
            ("tune_values=[1,2]",),
            "tune_values must be null where tune is null, got [1, 2]\n"
            "name the key to tune, such as tune=optim.lr",
        ),
        (
            ("tune=optim.lr", "tune_values=[1]"),
            "tune_values must be two or more different values, got [1]",
        ),
        (
            ("tune=optim.lr", "tune_values=[a,b]"),
            "tune_values must be a list of numbers for optim.lr, got ['a', 'b']",
        ),
        (
            ("tune=data.batch_size", "tune_values=[1.5,2]"),
            "tune_values must be a list of integers for data.batch_size, got [1.5, 2]",
        ),
        (
            ("tune=optim.momentum",),
            "tune_values must name the values of optim.momentum to try, as the config's own is 0.0",
        ),
        (
            ("tune=optim.weight_decay", "tune_values=[-1,2]"),
            "tune=optim.weight_decay tries -1.0, but optim.weight_decay must be at least 0, got"
            " -1.0",
        ),
        (
            ("tune=optim.lr", "optim.lr=0.1,0.2"),
            "optim.lr must have one value where it is tuned, got 0.1 and 0.2\n"
            "name the values to try, such as tune_values=[0.005,0.01,0.02]",
        ),
        (
            ("tune=optim.lr,optim.warmup",),
            "tune must be one key for all runs of a sweep, got several",
        ),
        (
            ("tune=optim.lr", "tune_values=0.1,0.2"),
            "tune_values must be one list for all runs of a sweep, such as"
            " tune_values=[0.005,0.01,0.02]",
        ),
        (
            ("tune=optim.lr", "fail_fast=true"),
            "fail_fast must be false with tune=optim.lr: a value with which training fails is not"
            " chosen, and the sweep goes on",
        ),
        (
            ("tune=optim.lr", "match=macs", "conv=k5-s2-p2"),
            "match must be null with tune=optim.lr, which compares at equal channels",
        ),
        (
            ("tune=optim.lr", "prune=true"),
            "prune must be false with tune=optim.lr, whose trials all have the same budget, got"
            " true",
        ),
        (
            ("tune=optim.lr", "seed=0,10000"),
            "seed must not be 10000, which tune=optim.lr takes for its trials",
        ),
    ],
)
def test_bad_input(command, typed: tuple[str, ...], message: str) -> None:
    ended = command("-m", *TINY, *typed)
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {message}\n")
    assert list(Path().iterdir()) == []


def test_what_can_be_tuned() -> None:
    assert tunable() == {
        "data.batch_size": int,
        "data.shift": int,
        "data.cutout": int,
        "optim.lr": float,
        "optim.momentum": float,
        "optim.weight_decay": float,
        "optim.warmup": float,
        "optim.label_smoothing": float,
        "trainer.gradient_clip_val": float,
    }


def test_a_search_refuses_it(command) -> None:
    pytest.importorskip("optuna")
    ended = command(
        "-m", *TINY, "hydra/sweeper=optuna", "conv.kernel_size=3,5", "tune=optim.lr", "trials=2"
    )
    assert ended.code == 2
    assert ended.err == (
        "error: tune must be null in a search, got optim.lr\n"
        "search first, then sweep the best variants with tune=optim.lr\n"
    )


def test_the_python_api_refuses_it() -> None:
    import convscope

    with pytest.raises(convscope.UserError, match="tune must be null for a single run"):
        convscope.train(*TINY, "tune=optim.lr")


def test_a_sweep_that_was_stopped_goes_on(command, on_each_line) -> None:
    lines: list[str] = []

    def stop_at(number: int) -> None:
        def act(line: str) -> None:
            lines.append(line)
            if sum(one.startswith("[") for one in lines) == number:
                lines.append("[stopped")
                os.kill(os.getpid(), signal.SIGINT)

        on_each_line(act)

    stop_at(4)
    stopped = command(*TWO, *TUNED)
    assert stopped.code == 128 + signal.SIGINT
    number = len(trials()) + len(results())
    assert command(*TWO, *TUNED).code == 0
    assert number < len(trials()) + len(results())
    assert results() == expected(1)
