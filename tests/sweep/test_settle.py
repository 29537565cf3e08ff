"""`repeat=auto`: what is trained next, from what has ended so far; typed as people type it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from convscope.errors import UserError
from convscope.runs.record import RunRecord
from convscope.streams import log_to_terminal
from convscope.sweep.rounds import Records, Rounds
from convscope.sweep.settle import Settle, check_settling
from convscope.training.record import first_record
from convscope.training.request import RunRequest
from convscope.training.resolve import RunResolver

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
    "diagnostics=off",
)
NOISE = [0.006, -0.006, 0.004, -0.004, 0.007, -0.007, 0.003, -0.003, 0.005, -0.005]
Accuracy = Callable[[RunRequest], float | None]
Ask = Callable[..., list[RunRequest]]


@pytest.fixture
def ask_for(tmp_path: Path) -> Ask:
    """`ask_for("conv.stride=2", …)`: all requests of a sweep of these jobs."""
    resolver = RunResolver()

    def requests(*jobs: str, auto: Sequence[str] = ("repeat=auto",)) -> list[RunRequest]:
        each = (*TINY, *auto, f"output_dir={tmp_path}")
        prepared = resolver.prepare([[*each, *job.split()] for job in jobs])
        return [resolver.request(one) for one in prepared]

    return requests


VARIANTS = tuple(
    f"conv.kernel_size={kernel} conv.stride={stride} conv.padding=0"
    for kernel in (3, 5)
    for stride in (1, 2)
)
MEANS = {"k3-s1-p0": 0.9, "k3-s2-p0": 0.7, "k5-s1-p0": 0.89, "k5-s2-p0": 0.5}


def planted(request: RunRequest) -> float | None:
    """The accuracy of a variant, with a noise that all share."""
    return MEANS[request.variant.label] + NOISE[request.config.seed]


def ended(request: RunRequest, accuracy: Accuracy = planted) -> RunRecord:
    record = first_record(request)
    if request.variant.impossible is not None:
        return replace(record, status="skipped", reason="impossible")
    found = accuracy(request)
    if found is None:
        return replace(record, status="failed", reason="out of memory")
    metrics = {"test_accuracy": found, "best_val_accuracy": found}
    return replace(record, status="finished", metrics=metrics)


def train(strategy: Settle, accuracy: Accuracy = planted) -> list[dict[str, list[int]]]:
    """The seeds of each variant in each round."""
    rounds, found = Rounds(strategy), []
    while left := rounds.next_round():
        seeds: dict[str, list[int]] = {}
        for run in left:
            seeds.setdefault(run.request.variant.label, []).append(run.request.config.seed)
        found.append(seeds)
        rounds.records |= {run.request.id: ended(run.request, accuracy) for run in left}
    return found


def test_seeds_are_added_where_they_decide_something(ask_for: Ask) -> None:
    strategy = Settle(ask_for(*VARIANTS))
    lines: list[str] = []
    with log_to_terminal(lines.append):
        first, *others = train(strategy)
    assert first == {label: [0, 1] for label in MEANS}
    assert others[0] == {"k3-s1-p0": [2], "k5-s1-p0": [2]}
    assert all(set(one) == {"k3-s1-p0", "k5-s1-p0"} for one in others)
    assert lines[0] == (
        "look 1 of 5, 2 seeds: 2 of 4 variants are significantly worse than another one, 2 go on"
        " to 3 seeds"
    )


def test_a_ranking_settles_each_pair(ask_for: Ask) -> None:
    strategy = Settle(ask_for(*VARIANTS, auto=("repeat=auto", "settle=ranking")))
    lines: list[str] = []
    with log_to_terminal(lines.append):
        assert train(strategy)[1] == {label: [2] for label in ("k3-s1-p0", "k5-s1-p0")}
    assert lines[0] == "look 1 of 5, 2 seeds: 5 of 6 pairs are settled, 2 go on to 3 seeds"


def test_what_is_wanted_depends_on_the_records_only(ask_for: Ask) -> None:
    requests = ask_for(*VARIANTS)
    strategy = Settle(requests)
    rounds = Rounds(strategy)
    order: list[RunRequest] = []
    while left := rounds.next_round():
        order += [run.request for run in left]
        rounds.records |= {run.request.id: ended(run.request) for run in left}
    records: Records = {}
    wanted: set[str] = set()
    for request in order:
        now = {one.id for one in Settle(requests).wanted(records)}
        assert wanted <= now
        assert request.id in now
        wanted = now
        records[request.id] = ended(request)
    assert {one.id for one in Settle(requests).wanted(records)} == set(records)
    saved = len(requests) - len(order)
    assert strategy.conclusion(records)[-1] == f"{len(order)} of 40 runs: {saved} saved"
    assert "none goes on" in strategy.conclusion(records)[0]


def test_each_setting_is_settled_by_itself(ask_for: Ask) -> None:
    jobs = [f"{variant} optim.lr={rate}" for rate in (0.01, 0.02) for variant in VARIANTS[:2]]
    strategy = Settle(ask_for(*jobs))

    def accuracy(request: RunRequest) -> float:
        gap = 0.3 if request.config.optim.lr == 0.01 else 0.01
        better = request.variant.label == "k3-s1-p0"
        return 0.6 + gap * better + NOISE[request.config.seed]

    lines: list[str] = []
    with log_to_terminal(lines.append):
        rounds = train(strategy, accuracy)
    assert [sum(map(len, one.values())) for one in rounds[:2]] == [8, 2]
    assert lines[0].startswith("lr 0.02: look 1 of 5, 2 seeds: 0 of 2 variants are significantly")


def test_an_impossible_variant_has_the_records_of_the_first_look(ask_for: Ask) -> None:
    impossible = "conv.kernel_size=7 conv.stride=2 conv.padding=0"
    strategy = Settle(ask_for(*VARIANTS, impossible))
    first, *others = train(strategy)
    assert first["k7-s2-p0"] == [0, 1]
    assert not any("k7-s2-p0" in one for one in others)
    assert strategy.conclusion({}) == []


def test_a_variant_that_always_fails_is_stopped(ask_for: Ask) -> None:
    strategy = Settle(ask_for(*VARIANTS))

    def accuracy(request: RunRequest) -> float | None:
        return None if request.variant.label == "k5-s1-p0" else planted(request)

    first, *others = train(strategy, accuracy)
    assert first["k5-s1-p0"] == [0, 1]
    assert others == []


def test_a_plan_tells_what_comes_first(ask_for: Ask) -> None:
    requests = ask_for(*VARIANTS)
    strategy = Settle(requests)
    assert {one.id for one in strategy.at_most({})} == {one.id for one in requests}
    seconds = dict.fromkeys((one.id for one in requests), 10.0)
    assert strategy.plan_note({}, seconds) == (
        "8 runs of these before the next decision, about 1:20; the others only for variants that"
        " are not settled then"
    )
    records = {one.id: ended(one) for one in requests if one.config.seed < 2}
    left = {one.id for one in strategy.at_most(records)} - set(records)
    assert len(left) == 16
    assert strategy.plan_note(records, seconds).startswith("2 runs of these before the next")


def test_what_cannot_be_settled_is_refused(ask_for: Ask) -> None:
    one = "repeat must be a number where no setting has two possible variants to compare, got auto"
    with pytest.raises(UserError, match=one):
        Settle(ask_for(VARIANTS[0], "conv.kernel_size=7 conv.stride=2 conv.padding=0"))
    with pytest.raises(UserError, match=one):
        Settle(ask_for(*(f"{VARIANTS[0]} optim.lr={rate}" for rate in (0.01, 0.02))))
    with pytest.raises(UserError, match="seed must be one value with repeat=auto"):
        Settle(ask_for(*(f"{VARIANTS[0]} seed={seed}" for seed in (0, 100))))
    configs = [request.config for request in ask_for(*VARIANTS[:2])]
    configs[0] = replace(configs[0], settle="ranking")
    with pytest.raises(UserError, match="settle must be one value with repeat=auto, got ranking"):
        check_settling(configs)
    with pytest.raises(UserError, match="prune must be false with repeat=auto"):
        check_settling([replace(configs[1], prune=True)])
    with pytest.raises(UserError, match="tune must be null with repeat=auto"):
        check_settling([replace(configs[1], tune="optim.lr")])
    with pytest.raises(UserError, match="match must be null with repeat=auto"):
        check_settling([replace(configs[1], match="macs")])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("repeat=0", "repeat must be an integer from 1 to 10,000, or auto, got 0"),
        ("repeat=often", "repeat must be an integer from 1 to 10,000, or auto, got often"),
        ("repeat=true", "repeat must be an integer from 1 to 10,000, or auto, got true"),
        ("repeat=3 max_repeat=5", "max_repeat is for repeat=auto, got repeat=3"),
        ("settle=ranking", "settle is for repeat=auto, got repeat=1"),
        ("repeat=auto max_repeat=1", "max_repeat must be at least 2, got 1"),
        ("repeat=auto settle=all", "settle must be one of best, ranking, got all"),
        ("repeat=auto margin=0", "margin must be above 0, got 0"),
        (
            "repeat=auto budget=90",
            "budget must be written HH:MM:SS or DD:HH:MM:SS and above zero, got 90",
        ),
        (
            "repeat=auto seed=4294967295",
            "seed must be at most 4294967286 where repeat is auto, got 4294967295",
        ),
        ("repeat=auto", "repeat must be a number where no setting has two possible variants"),
        (
            "-m hydra/sweeper=optuna conv.stride=1,2 repeat=auto",
            "repeat must be 1 in a search, got auto",
        ),
    ],
)
def test_what_is_typed_wrong_is_told_in_a_line(command, typed: str, message: str) -> None:
    told = command(*TINY, *typed.split())
    assert (told.code, told.out) == (2, "")
    assert message in told.err.replace("\n", " ")


def states() -> dict[str, list[int]]:
    """The seeds of each variant's finished runs."""
    found: dict[str, list[int]] = {}
    for path in sorted(Path("outputs/default").glob("*/run.json")):
        record = json.loads(path.read_text())
        if record["status"] == "finished":
            found.setdefault(record["variant"], []).append(record["config"]["seed"])
    return {label: sorted(seeds) for label, seeds in found.items()}


SWEEP = ("-m", *TINY, "conv.stride=1,2,3", "repeat=auto", "max_repeat=3")


def test_a_sweep_from_the_command_line(command) -> None:
    told = command(*SWEEP)
    assert told.code == 0
    first = states()
    assert all(seeds[:2] == [0, 1] for seeds in first.values())
    assert len(first) == 3
    number = sum(map(len, first.values()))
    assert f"{number} of 9 runs: {9 - number} saved\n" in told.err
    assert "look 1 of 2, 2 seeds: " in told.err
    assert "Seeds were added in looks" in told.out
    again = command(*SWEEP)
    assert (again.code, again.out, states()) == (0, told.out, first)
    assert f"{number} of 9 runs: {9 - number} saved\n" in again.err
    plan = command(*SWEEP, "plan=true")
    assert plan.out.splitlines()[-1].startswith("0 runs of these before the next decision")


def test_a_budget_that_is_used_up(command) -> None:
    told = command(*SWEEP, "budget=00:00:01")
    assert told.code == 0
    assert 0 < sum(map(len, states().values())) < 6
    assert "budget=00:00:01 is used up" in told.err
    command(*SWEEP)
    assert all(seeds[:2] == [0, 1] for seeds in states().values())
    assert len(states()) == 3


def test_killed_and_started_twice_it_decides_the_same(command, tmp_path: Path) -> None:
    """The runs are bit-equal, so the same variants are stopped."""
    command(*SWEEP)
    whole = states()
    again = tmp_path / "again"
    again.mkdir()
    script = str(Path(__file__).parents[2] / "scripts" / "train.py")
    typed = [sys.executable, script, *SWEEP]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(typed, cwd=again, stdout=-3, stderr=-3, start_new_session=True)

    killed = start()
    while not list(again.glob("outputs/default/*seed1*/run.json")):
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    both = [start(), start()]
    assert [process.wait() for process in both] == [0, 0]
    os.chdir(again)
    assert states() == whole
