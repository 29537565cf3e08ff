"""How a run on two devices ends before its end, and goes on: deaths, signals, errors."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import convscope
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.record import RunRecord, current_record, read_record
from convscope.streams import log_to_terminal
from convscope.training.request import RunRequest
from convscope.training.train import train

SOURCE = Path(convscope.__file__).parents[1]
PATIENCE_S = 180

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

ProcessGroup = list["subprocess.Popen[bytes]"]
Scalars = dict[str, list[tuple[int, float]]]


def untimed(run: RunDirectory) -> list[dict[str, object]]:
    rows = History(run.history).read()
    return [{k: row[k] for k in row if not k.startswith("throughput/")} for row in rows]


def train_and_at_the_end_of_epoch(
    number: int, act: Callable[[], None], request: RunRequest
) -> RunRecord:
    """Act before the epoch's checkpoint is written: the first rank waits for its line's answer."""

    def look(line: str) -> None:
        if line.startswith(f"epoch {number}/"):
            act()

    with log_to_terminal(look):
        return train(request)


def test_after_a_rank_that_died_and_a_signal_it_ends_as_one_undisturbed(
    ask: Callable[..., RunRequest],
    two: tuple[str, ...],
    trained: RunRequest,
    ranks: ProcessGroup,
    scalars: Callable[[Path], Scalars],
    tmp_path: Path,
) -> None:
    request = ask(tmp_path, *two)
    # auto means ddp.
    assert request.id == trained.id

    killed_at = 0.0

    def kill_the_second() -> None:
        nonlocal killed_at
        killed_at = time.monotonic()
        ranks[1].kill()

    failed = train_and_at_the_end_of_epoch(2, kill_the_second, request)
    assert time.monotonic() - killed_at < 30
    assert failed == read_record(request.directory.record)
    assert (failed.status, failed.reason) == (
        "failed",
        "the process of device 2 of 2 was killed by SIGKILL (too little memory, perhaps)",
    )
    assert [rank.poll() is not None for rank in ranks] == [True, True]

    def end_the_command() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    interrupted = train_and_at_the_end_of_epoch(3, end_the_command, request)
    assert (interrupted.status, interrupted.reason) == ("interrupted", "SIGTERM")
    assert interrupted.resumed_from_epoch == 1
    assert [rank.poll() is not None for rank in ranks] == [True] * 4

    def signal_the_ranks() -> None:
        for rank in ranks[-2:]:
            rank.send_signal(signal.SIGINT)
            rank.terminate()

    ended = train_and_at_the_end_of_epoch(3, signal_the_ranks, request)
    assert (ended.status, ended.resumed_from_epoch) == ("finished", 2)
    undisturbed = read_record(trained.directory.record)
    for name in ("test_accuracy", "test_loss", "best_val_accuracy"):
        assert ended.metrics[name] == undisturbed.metrics[name]
    assert untimed(request.directory) == untimed(trained.directory)
    mine, theirs = (torch.load(r.directory.last, weights_only=True) for r in (request, trained))
    for name, values in theirs["state_dict"].items():
        assert torch.equal(mine["state_dict"][name], values), name
    shown, before = scalars(request.directory.path), scalars(trained.directory.path)
    for tag in ("train/loss", "val/loss", "optim/lr", "test/loss"):
        assert shown[tag] == before[tag]


def test_a_loss_that_diverges_says_so_as_on_one_device(
    ask: Callable[..., RunRequest], ranks: ProcessGroup, tmp_path: Path
) -> None:
    request = ask(tmp_path, "trainer.devices=2", "optim.lr=1e30")
    record = train(request)
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason.startswith("the loss is nan at step ")
    assert record.reason.endswith("; the learning rate is the likely cause: try optim.lr=1e+29")
    assert "metrics.py" in request.directory.train_log.read_text()
    assert [rank.poll() is not None for rank in ranks] == [True, True]


@pytest.fixture
def started(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The command in a process group of its own, as at a terminal, once an epoch is finished."""
    overrides = (
        "data=digits",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "model.channels=[4,8]",
        "trainer.max_epochs=500",
        f"output_dir={tmp_path}",
    )
    command = subprocess.Popen(
        [sys.executable, "-c", "from convscope.cli.train import main; main()", *overrides],
        env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "2"},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    give_up = time.monotonic() + PATIENCE_S
    while not list(tmp_path.glob("*/*/history.csv")):
        assert time.monotonic() < give_up
        assert command.poll() is None
        time.sleep(0.02)
    yield command
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)


def its_record(output_dir: Path) -> RunRecord:
    (folder,) = output_dir.glob("*/*/")
    return current_record(folder)


def no_process_left(group: int) -> bool:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_ctrl_c_reaches_all_and_the_command_decides(
    started: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    os.killpg(started.pid, signal.SIGINT)
    said = started.communicate(timeout=PATIENCE_S)[1].decode()
    assert started.returncode == 128 + signal.SIGINT
    assert said.splitlines()[-1].endswith("was stopped (SIGINT); the same command resumes it")
    assert "Traceback" not in said
    record = its_record(tmp_path)
    assert (record.status, record.reason) == ("interrupted", "SIGINT")
    assert no_process_left(started.pid)


def test_a_rank_ends_at_once_with_the_command() -> None:
    """What it is about does not matter: here it sleeps."""
    code = (
        "import time\n"
        "from convscope.training.distributed.worker import Command\n"
        "print('not a message', Command().next_instruction())\n"
        "time.sleep(100)"
    )
    rank = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert rank.stdin is not None
    assert rank.stderr is not None
    rank.stdin.write(pickle.dumps("its part"))
    rank.stdin.flush()
    assert rank.stderr.readline() == b"not a message its part\n"
    # This is what a killed command leaves of a pipe: its end.
    assert rank.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert rank.returncode == 1


def test_a_script_need_not_be_importable(tmp_path: Path) -> None:
    """It runs once: the ranks do not run it again, as multiprocessing's processes would."""
    script = tmp_path / "script.py"
    script.write_text(
        "import convscope\n"
        "print('once')\n"
        "record = convscope.train('data=digits', 'trainer.accelerator=cpu', 'trainer.devices=2',\n"
        "    'model.channels=[4,8]', 'trainer.fast_dev_run=2')\n"
        "print(record.status, record.environment['devices'])\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    said = done.stdout.splitlines()
    assert said[:1] == ["once"], done.stderr
    assert said[-2:] == ["fast_dev_run: nothing was written", "finished 2"]
    assert [file.name for file in tmp_path.iterdir()] == ["script.py"]
