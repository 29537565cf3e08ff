"""Real processes, really killed: one run, ended by SIGTERM, then by SIGKILL, then let be."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import convscope
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History, Row
from convscope.runs.record import RunRecord, current_record
from convscope.training.request import RunRequest
from convscope.training.train import train

SOURCE = Path(convscope.__file__).parents[1]
OVERRIDES = (
    "data=digits",
    "trainer.accelerator=cpu",
    "model.channels=[4,8]",
    "trainer.max_epochs=12",
    "data.shift=2",
    "optim.lr=0.01",
)
PATIENCE_S = 180

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def untimed(row: Row) -> Row:
    return {name: row[name] for name in row if not name.startswith("throughput/")}


def start(output_dir: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from convscope.cli.train import main; main()",
            *OVERRIDES,
            f"output_dir={output_dir}",
        ],
        env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Typed:
    """A run that a process trained from beginning to end."""

    output_dir: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Typed:
    output_dir = tmp_path_factory.mktemp("undisturbed")
    process = start(output_dir)
    out, err = process.communicate(timeout=PATIENCE_S)
    return Typed(output_dir, process.returncode, out, err)


def end(process: "subprocess.Popen[str]", run: RunDirectory, epochs: int, signum: int) -> str:
    """Send a signal once so many epochs are finished, and give what stderr says."""
    give_up = time.monotonic() + PATIENCE_S
    while len(History(run.history).read()) < epochs and process.poll() is None:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    process.send_signal(signum)
    return process.communicate(timeout=PATIENCE_S)[1]


def test_a_run_of_three_processes_ends_as_one_of_one(
    ask: Callable[..., RunRequest],
    scalars: Callable[[Path], dict[str, list[tuple[int, float]]]],
    undisturbed: Typed,
    tmp_path: Path,
) -> None:
    # The fixture's own tiny settings would not last until a signal comes.
    longer = (
        *(*OVERRIDES, "trainer.limit_train_batches=1.0", "trainer.log_every_n_steps=50"),
        "diagnostics=standard",
    )
    request = ask(undisturbed.output_dir, *longer)
    same = ask(tmp_path / "ended", *longer)
    run = same.directory

    killed = start(tmp_path / "ended")
    end(killed, run, 2, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert current_record(run.path).status == "interrupted"
    finished = len(History(run.history).read())
    assert 2 <= finished < 12

    terminated = start(tmp_path / "ended")
    said = end(terminated, run, finished + 2, signal.SIGTERM)
    assert terminated.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said
    record = current_record(run.path)
    assert (record.status, record.reason) == ("interrupted", "SIGTERM")
    assert record.resumed_from_epoch in (finished, finished - 1)

    train(same)
    resumed, alone = current_record(run.path), current_record(request.directory.path)
    assert (resumed.status, alone.status) == ("finished", "finished")
    assert resumed.resumed_from_epoch >= finished + 1
    assert untimed_metrics(resumed) == untimed_metrics(alone)
    rows = History(run.history).read()
    assert [untimed(row) for row in rows] == [
        untimed(row) for row in History(request.directory.history).read()
    ]
    mine, theirs = scalars(run.path), scalars(request.directory.path)
    assert mine.keys() == theirs.keys()
    for tag in ("train/loss", "train/accuracy", "val/loss", "optim/lr", "test/loss"):
        assert mine[tag] == theirs[tag]


def untimed_metrics(record: RunRecord) -> dict[str, float | int | None]:
    timed = ("train_samples_per_sec", "step_ms")
    return {name: value for name, value in record.metrics.items() if name not in timed}


def test_the_terminal_shows_the_run_and_nothing_of_what_it_is_made_with(
    undisturbed: Typed,
) -> None:
    assert undisturbed.code == 0
    first, *epochs = undisturbed.err.splitlines()
    assert first.startswith("digits-k3-s1-p1-")
    assert [line.split()[1] for line in epochs] == [f"{n}/12" for n in range(1, 13)]
    assert undisturbed.out.splitlines()[1].split()[:2] == ["layer", "kernel-stride-padding"]
