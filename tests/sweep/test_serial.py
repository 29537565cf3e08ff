"""A grid in one process, typed as people type it."""

import itertools
import json
import os
import signal
import statistics
from pathlib import Path

import pytest

from convscope.data import sources
from convscope.runs.lock import RunLock

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
)
LIMITS = "channels4-8-max_epochs1-limit_train_batches12"
NEEDS = "conv.padding=same needs stride 1, as in PyTorch, but conv1 has stride 2;"


def records() -> dict[str, dict[str, object]]:
    """By what tells the runs' names apart."""
    runs = sorted(Path("outputs/default").glob("*/run.json"))
    return {run.parent.name[:-9]: json.loads(run.read_text()) for run in runs}


def table(out: str) -> list[list[str]]:
    """The words of each line of the table at a sweep's end, less the mark before it."""
    lines = out.splitlines()
    if not any(set(line) == {"─"} for line in lines):
        return []
    below = itertools.dropwhile(lambda line: set(line) != {"─"}, lines)
    marked = (line.lstrip("*~+ ") for line in list(below)[1:])
    return [line.split() for line in itertools.takewhile(lambda line: line[:1] == "k", marked)]


def variants(out: str) -> list[str]:
    return [row[0] for row in table(out)]


def contents(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_grid(command, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    def resolve_auto(root: str) -> tuple[str, str]:
        searched.append(root)
        return "digits", "there is no network"

    monkeypatch.setattr(sources, "resolve_auto", resolve_auto)
    grid = ("-m", *TINY[1:], "conv.stride=1,2", "conv.padding=1,half,same")
    ended = command(*grid)

    assert ended.code == 0
    assert len(searched) == 1
    found = records()
    assert {name: record["status"] for name, record in found.items()} == {
        f"digits-k3-s1-p1-{LIMITS}-seed0": "finished",
        f"digits-k3-s2-p1-{LIMITS}-seed0": "finished",
        f"digits-k3-s2-psame-{LIMITS}-seed0": "skipped",
    }
    skipped = found[f"digits-k3-s2-psame-{LIMITS}-seed0"]
    assert skipped["reason"] == f"{NEEDS} use conv.padding=half"
    assert (skipped["metrics"], skipped["geometry"]) == ({}, [])
    assert skipped["command"] == (
        "python scripts/train.py 'model.channels=[4,8]' trainer.max_epochs=1"
        " trainer.limit_train_batches=12 conv.stride=2 conv.padding=same"
    )

    told = ended.err.splitlines()
    assert told[0] == "data=auto takes digits: there is no network"
    assert told[1] == "6 jobs are 3 different runs"
    # The impossible one costs nothing, the cheap one goes first.
    assert [" ".join(line.split()[:5]) for line in told if line.startswith("[")] == [
        "[1/3] k3-s2-psame seed 0 skipped:",
        "[2/3] k3-s2-p1 seed 0 finished:",
        "[3/3] k3-s1-p1 seed 0 finished:",
    ]
    lines = ended.out.splitlines()
    assert lines[1] == "default: 3 runs of 3 variants (2 finished, 1 skipped)"
    assert {tuple(row[-2:]) for row in table(ended.out)} == {("84,752", "438"), ("11,744", "438")}
    assert f"- k3-s2-psame skipped, seed 0: {NEEDS} use conv.padding=half" in lines
    assert "tensorboard --logdir outputs" in lines
    assert all(line == line.rstrip() for line in lines)
    rates = [record["metrics"].get("train_samples_per_sec") for record in found.values()]
    assert rates[0] != rates[1]

    # Nothing of Hydra's: no multirun.yaml, no .hydra, no log; and again, nothing is trained.
    assert [path.name for path in Path().iterdir()] == ["outputs"]
    assert [path.name for path in Path("outputs").iterdir()] == ["default"]
    before = contents("outputs")
    assert not [path for path in before if ".hydra" in path or "multirun" in path]
    again = command(*grid)
    assert (again.code, again.out) == (0, ended.out)
    assert contents("outputs") == before
    assert "3 of 3 runs are done already\n" in again.err


def test_a_variant_that_fails_does_not_stop_the_others(command) -> None:
    ended = command("-m", *TINY, "optim.lr=1e30,0.02")
    assert ended.code == 1
    found = records()
    failed = found[f"digits-k3-s1-p1-{LIMITS.replace('-max', '-lr1e_30-max')}-seed0"]
    assert failed["status"] == "failed"
    assert str(failed["reason"]).startswith("the loss is nan at step 2;")
    assert found[f"digits-k3-s1-p1-{LIMITS}-seed0"]["status"] == "finished"
    assert [row[:2] for row in table(ended.out)] == [["k3-s1-p1", "0.02"]]
    failure = f"- k3-s1-p1 (lr 1e+30) failed, seed 0: {failed['reason']}"
    assert failure in ended.out.splitlines()
    assert "Traceback" not in ended.err


def test_a_sweep_ends_at_its_first_failure_where_that_is_asked_for(command) -> None:
    sweep = ("-m", *TINY, "optim.lr=1e30,0.02", "fail_fast=true")
    ended = command(*sweep)
    assert ended.code == 1
    assert [record["status"] for record in records().values()] == ["failed"]
    assert ended.err.endswith(
        "the sweep ended at its first failed run (fail_fast=true); the same command goes on\n"
    )


def test_seeds_and_presets_make_a_grid(command) -> None:
    ended = command("-m", *TINY, "conv=k3-s2-p1,k5-s2-p2", "seed=range(2)")
    assert ended.code == 0
    rows = {row[0]: row[1:] for row in table(ended.out)}
    assert rows.keys() == {"k3-s2-p1", "k5-s2-p2"}
    for variant, row in rows.items():
        accuracies = [
            record["metrics"]["test_accuracy"]
            for record in records().values()
            if record["variant"] == variant
        ]
        mean, std = statistics.mean(accuracies), statistics.stdev(accuracies)
        # The validation accuracy stands before it.
        assert row[2:7] == [f"{100 * mean:.2f}", "±", f"{100 * std:.2f}", "%", "2"]


def test_a_run_that_another_process_trains_and_a_damaged_one_do_not_stop_the_others(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ("-m", *TINY, "conv.kernel_size=1,3,5")
    assert command(*grid).code == 0
    names = [run.parent.name for run in sorted(Path("outputs/default").glob("*/run.json"))]
    one, three, five = (Path("outputs/default") / name for name in names)
    (one / "run.json").unlink()
    (three / "run.json").write_text('{"schema": 1')
    damaged = contents(str(three))
    lock = RunLock(one)
    lock.acquire()
    # The other process ends while this one waits for it.
    monkeypatch.setattr("convscope.runs.lock.time.sleep", lambda _: lock.release())
    ended = command(*grid)
    assert ended.code == 1
    assert sorted(variants(ended.out)) == ["k1-s1-p1", "k5-s1-p1"]
    assert f"waiting for {one}, which another process trains\n" in ended.err
    assert f"- k3-s1-p1 failed, seed 0: {three / 'run.json'} is not valid JSON" in ended.out
    assert json.loads((one / "run.json").read_text())["status"] == "finished"
    assert contents(str(three)) == damaged
    assert json.loads((five / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_stops_the_rest(
    signum: signal.Signals, code: int, command, on_each_line
) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("epoch 1/"):
            os.kill(os.getpid(), signum)

    on_each_line(interrupt)
    ended = command("-m", *TINY, "trainer.max_epochs=50", "conv.stride=2,3")
    assert ended.code == code
    (record,) = records().values()
    assert (record["variant"], record["status"]) == ("k3-s3-p1", "interrupted")
    assert record["reason"] == signum.name
    assert "Traceback" not in ended.err
    assert variants(ended.out) == []
    assert f"- k3-s3-p1 interrupted, seed 0: {signum.name}" in ended.out.splitlines()


def test_a_bad_job_at_the_end_lets_none_start(command) -> None:
    ended = command("-m", *TINY, "conv.stride=1,2", "data.batch_size=32,1294")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: data.batch_size must be at most the 1293 training images, got 1294\n"
    )
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "typed",
    [
        ("-m", "trainer.devices=1,2"),
        ("-m", "trainer.devices=2", "trainer.strategy=ddp", "conv.stride=1,2"),
        ("repeat=3", "trainer.devices=2"),
        ("plan=true", "trainer.devices=2"),
    ],
)
def test_a_run_of_a_sweep_has_one_device(command, typed: tuple[str, ...]) -> None:
    ended = command(*typed, *TINY)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: trainer.devices must be 1 in a sweep, got 2: several devices train its runs sooner"
        " side by side, one on each (hydra/launcher=ray)\n"
    )
    assert list(Path().iterdir()) == []


def test_a_disk_that_cannot_be_written_ends_a_sweep_with_one_line(command) -> None:
    Path("outputs").write_text("mine")
    ended = command("-m", *TINY, "conv.stride=1,2")
    assert (ended.code, ended.out) == (2, "")
    errors = [line for line in ended.err.splitlines() if not line.startswith("[")]
    assert len(errors) == 1
    assert errors[0].startswith("error: outputs/default/digits-k3-s2-p1-")


def test_fast_dev_run_of_a_grid_leaves_nothing(command) -> None:
    ended = command("-m", *TINY, "trainer.fast_dev_run=true", "conv.stride=1,2")
    assert ended.code == 0
    assert sorted(variants(ended.out)) == ["k3-s1-p1", "k3-s2-p1"]
    assert list(Path().iterdir()) == []
