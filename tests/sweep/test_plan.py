"""What a sweep says that it would do, and in which order it does it."""

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from convscope.runs.record import write_record
from convscope.sweep.plan import PlannedRun, cheap_first, done_and_left, plan_runs
from convscope.sweep.progress import clock
from convscope.training.record import first_record
from convscope.variant import VariantComposer

CONFIGS = Path(__file__).parents[2] / "configs"

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
)


def ran(folder: str) -> dict[str, dict[str, object]]:
    return {run.parent.name: json.loads(run.read_text()) for run in Path(folder).glob("*/run.json")}


def test_a_plan_writes_nothing_and_tells_each_state(command) -> None:
    # k5 s2 p0 on 28x28: 12, pool 6, 1: two layers live; k7 s2 p0: 11, pool 6, and 6 - 7 is empty.
    grid = ("-m", *TINY, "conv.kernel_size=3,5,7", "conv.stride=2", "conv.padding=0,half")
    planned = command(*grid, "plan=true")
    assert planned.code == 0
    assert list(Path().iterdir()) == []
    lines = planned.out.splitlines()
    assert lines[0].split() == [
        "variant",
        "seed",
        "state",
        "map",
        "MACs",
        "params",
        "epochs",
        "left",
        "time",
    ]
    rows = {row.split()[0]: row.split()[1:] for row in lines[2:7]}
    assert rows["k3-s2-p1"][:-1] == ["0", "to", "do", "4", "11,744", "438", "1"]
    # What is impossible is told once, with its reason.
    assert "k7-s2-p0" not in rows
    # 14x14 outputs x 4 channels x 9 weights, pooled to 7x7; 4x4 x 8 x 4 x 9; head 8 x 10.
    assert 14 * 14 * 4 * 9 + 4 * 4 * 8 * 4 * 9 + 8 * 10 == 11_744
    assert lines[7] == (
        "k7-s2-p0: conv2 would have an empty output: input 6x6, kernel_size 7, stride 2, padding 0;"
        " conv.padding=1 would make it possible"
    )
    assert re.fullmatch(
        r"6 runs: 1 impossible, 5 to do; about \d:\d\d left on this machine"
        r"|6 runs: 5 to do, 1 impossible; about \d:\d\d left on this machine",
        lines[8],
    )

    assert command("-m", *TINY, "conv.kernel_size=3", "conv.stride=2").code == 0
    again = command(*grid, "plan=true").out.splitlines()
    done = next(row.split() for row in again if row.startswith("k3-s2-p1"))
    assert done[2:] == ["finished", "4", "11,744", "438", "0", "–"]
    assert "1 finished" in again[8]
    assert len(ran("outputs/default")) == 1


def test_runs_of_one_variant_show_what_else_they_differ_in(command) -> None:
    grid = ("-m", *TINY, "model.pool=max,blur,none", "model.pool_padding=0,2")
    lines = command(*grid, "plan=true").out.splitlines()
    labels = [line.partition(")")[0] for line in lines if line.startswith("k3-s1-p1")]
    refused = (
        "pool1 would pad more than half its kernel: input 28x28, kernel_size 2, stride {}, padding"
        " 2; model.pool_padding=1 would make it possible"
    )
    assert labels == [
        f"k3-s1-p1 (pool_padding {padding}, pool {pool}"
        for pool, padding in (
            *(("max", 0), ("blur", 0), ("none", 0), ("none", 2)),
            *(("max", 2), ("blur", 2)),
        )
    ]
    assert [line.partition("): ")[2] for line in lines if "): pool1" in line] == [
        refused.format(2),
        refused.format(1),
    ]
    assert lines[-1].startswith("6 runs: 4 to do, 2 impossible; about ")


def test_repeat_is_seeds_and_a_plan_needs_no_m(command) -> None:
    ended = command(*TINY, "repeat=3", "seed=4", "conv.stride=3")
    assert ended.code == 0
    records = ran("outputs/default")
    assert sorted(record["config"]["seed"] for record in records.values()) == [4, 5, 6]
    commands = sorted(str(record["command"]) for record in records.values())
    tiny = "data=digits 'model.channels=[4,8]' trainer.max_epochs=1 trainer.limit_train_batches=12"
    assert commands[0] == f"python scripts/train.py {tiny} conv.stride=3 seed=4"
    # The same runs as one by one: repeat is no part of what a run is.
    single = command(*TINY, "seed=5", "conv.stride=3")
    assert "is already finished" in single.err
    assert len(ran("outputs/default")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("repeat=0",), "repeat must be an integer from 1 to 10,000, or auto, got 0"),
        (("plan=maybe",), "plan must be true or false, got maybe"),
        (("-m", "seed=1,1"), "seed must name each value once, got 1 twice"),
        (
            ("-m", "seed=1,2", "conv.stride=3,3"),
            "conv.stride must name each value once, got 3 twice",
        ),
    ],
)
def test_bad_input(command, arguments: tuple[str, ...], message: str) -> None:
    ended = command(*arguments, *TINY)
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {message}\n")
    assert list(Path().iterdir()) == []


def test_cheap_variants_of_every_level_come_first(ask, tmp_path: Path) -> None:
    def planned(*overrides: str) -> PlannedRun:
        (run,) = plan_runs([ask(tmp_path, *overrides)])
        return run

    runs = [
        planned(f"conv.kernel_size={k}", f"conv.stride={s}", "conv.padding=half", f"seed={seed}")
        for seed in (0, 1)
        for k in (3, 5)
        for s in (1, 2)
    ]
    order = [(r.request.variant.label, r.request.config.seed) for r in cheap_first(runs)]
    # By MACs k3s2 < k5s2 < k3s1 < k5s1; the first three show k3, s2, p1, k5, p2, s1.
    expected = ["k3-s2-p1", "k5-s2-p2", "k3-s1-p1", "k5-s1-p2"]
    assert order == [(variant, seed) for seed in (0, 1) for variant in expected]
    macs = [r.request.geometry.macs for r in cheap_first(runs)[:4]]
    assert macs == sorted(macs)


def test_side_by_side_no_long_run_comes_last(ask, tmp_path: Path) -> None:
    def planned(*overrides: str) -> PlannedRun:
        (run,) = plan_runs([ask(tmp_path, *overrides)])
        return run

    runs = [
        planned(f"conv.kernel_size={k}", f"conv.stride={s}", "conv.padding=2", f"seed={seed}")
        for seed in (0, 1)
        for k in (3, 5)
        for s in (1, 2, 3)
    ]
    order = [(r.request.variant.label, r.request.config.seed) for r in cheap_first(runs, 2)]
    # k3s3 < k5s3 < k3s2 < k5s2 < k3s1 < k5s1: with k3s3, k5s3, k3s2 and k3s1 every level is shown.
    first = ["k3-s3-p2", "k5-s3-p2", "k3-s2-p2", "k3-s1-p2"]
    assert order == [
        *((variant, 0) for variant in [*first, "k5-s2-p2", "k5-s1-p2"]),
        *((variant, 1) for variant in [*first, "k5-s1-p2", "k5-s2-p2"]),
    ]


def test_the_presets_are_what_they_are_called(command) -> None:
    for preset, runs, living in (
        ("grid", 12, 9),
        ("grid-seeds", 60, 45),
        # 9 variants that are possible: 5 trials, its own rate, at most one more.
        ("learning-rate", 66, 63),
    ):
        lines = command("data=digits", f"sweep={preset}", "plan=true").out.splitlines()
        (last,) = [line for line in lines if " left on this machine" in line]
        assert last.startswith(f"{runs} runs: ")
        assert f"{living} to do" in last
        assert f"{runs - living} impossible" in last


@pytest.mark.parametrize(("data", "possible"), [("mnist", 32), ("cifar10", 34)])
def test_the_reference_study_has_as_many_variants_as_its_page_says(data, possible) -> None:
    preset = yaml.safe_load((CONFIGS / "sweep" / "reference.yaml").read_text())
    params = preset["hydra"]["sweeper"]["params"]
    pools = params.pop("model.pool_after")
    assert pools == "[1],[]"
    axes = [[f"{key}={one}" for one in values.split(",")] for key, values in params.items()]
    axes.append([f"model.pool_after={one}" for one in ("[1]", "[]")])
    composer = VariantComposer()
    variants = {
        (variant.label, typed[-1]): variant
        for typed in itertools.product(*axes)
        for variant in [composer.compose([f"data={data}", *typed])]
    }
    assert math.prod(map(len, axes)) == 48
    assert len(variants) == 42
    assert sum(variant.geometry is not None for variant in variants.values()) == possible


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75.4, "1:15"), (4000, "1:06:40")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_an_impossible_run_whose_process_died_is_recorded_anew(ask, tmp_path: Path) -> None:
    request = ask(tmp_path, "conv.padding=same", "conv.stride=2")
    request.directory.path.mkdir(parents=True)
    for status, is_done in (("failed", False), ("skipped", True)):
        died = replace(first_record(request), status=status, reason="its process was killed")
        write_record(request.directory.record, died)
        done, left = done_and_left(plan_runs([request]))
        assert (len(done), len(left)) == (is_done, not is_done)
