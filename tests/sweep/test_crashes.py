"""Runs, and estimates of runs, whose process is killed: they cost themselves and nothing else."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from convscope.sweep import estimate
from convscope.training.distributed.processes import child

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=12",
)
MEASURE = """
import os, signal
from convscope.sweep.estimate import StepCost

def measure(remote, hardware):
    batch_size = remote.variant.config.data.batch_size
    if batch_size == 64:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    if batch_size == 128:
        os.kill(os.getpid(), signal.SIGSEGV)
    return StepCost(train=1.0, evaluate=0.0)
"""


def reasons() -> dict[str, tuple[str, str | None]]:
    """Status and reason of each variant's run."""
    records = (json.loads(path.read_text()) for path in Path("outputs").glob("*/*/run.json"))
    return {record["variant"]: (record["status"], record["reason"]) for record in records}


def test_a_crash_costs_one_run_which_the_same_command_tries_again(command, on_each_line) -> None:
    crashed: list[str] = []

    def crash_once(line: str) -> None:
        if line.startswith("epoch 1/") and not crashed:
            crashed.append(line)
            os.kill(child()._processes[0].pid, signal.SIGSEGV)

    on_each_line(crash_once)
    sweep = ("-m", *TINY, "conv.stride=1,2,3")
    ended = command(*sweep)

    assert ended.code == 1
    # The cheapest goes first.
    assert reasons() == {
        "k3-s3-p1": ("failed", "the process was killed by SIGSEGV"),
        "k3-s2-p1": ("finished", None),
        "k3-s1-p1": ("finished", None),
    }
    assert "- k3-s3-p1 failed, seed 0: the process was killed by SIGSEGV" in ended.out.splitlines()
    assert "Traceback" not in ended.err

    again = command(*sweep)
    assert (again.code, reasons()["k3-s3-p1"]) == (0, ("finished", None))
    assert "2 of 3 runs are done already\n" in again.err


@pytest.fixture
def planted_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Steps of 1 s at batch size 32; at 64 too little memory, at 128 a crash."""
    (tmp_path / "planted_costs.py").write_text(MEASURE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(estimate, "MEASURE", "planted_costs:measure")
    child().end()
    yield
    child().end()


@pytest.mark.usefixtures("planted_costs")
def test_what_cannot_be_measured_stops_no_plan(command) -> None:
    ended = command("-m", *TINY, "data.batch_size=32,64,128", "plan=true", "trainer.max_epochs=1")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["0:12", "–", "–"]
    assert lines[5:] == [
        "k3-s1-p1 (batch_size 64) could not be measured: RuntimeError: DefaultCPUAllocator: can't"
        " allocate memory",
        "k3-s1-p1 (batch_size 128) could not be measured: the process was killed by SIGSEGV",
        "3 runs: 3 to do; about 0:12 left on this machine",
    ]
