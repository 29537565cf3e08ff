import errno
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.errors import UserError
from convscope.runs import history as history_module
from convscope.runs.history import METRICS, History

Start = Callable[..., "subprocess.Popen[str]"]

HEADER = (
    "epoch,step,train/loss,train/accuracy,val/loss,val/accuracy,optim/lr,"
    "throughput/train_samples_per_sec,throughput/eval_samples_per_sec,throughput/step_ms,"
    "memory/peak_mb\n"
)
THREE = HEADER + (
    "1,10,0.5,0.75,0.25,0.8,0.01,1000.0,2000.0,1.5,\n"
    "2,20,0.4,0.8,0.2,0.85,0.005,1000.0,2000.0,1.5,\n"
    "3,30,0.30000000000000004,0.9,nan,,0.001,1000.0,2000.0,1.5,12.0\n"
)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.csv")


def test_a_row_is_written_under_its_tags(history: History) -> None:
    history.append({"epoch": 1, "step": 10, "train/loss": 0.1 + 0.2, "val/loss": math.inf})
    history.append({"epoch": 2, "step": 20, "train/accuracy": 1, "memory/peak_mb": None})
    assert history.path.read_text() == HEADER + (
        "1,10,0.30000000000000004,,inf,,,,,,\n2,20,,1.0,,,,,,,\n"
    )


def test_rows_read_back(history: History) -> None:
    assert history.read() == []
    history.path.write_text(THREE)
    rows = history.read()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 10), (2, 20), (3, 30)]
    assert rows[0]["memory/peak_mb"] is None
    assert rows[2]["train/loss"] == 0.1 + 0.2
    assert math.isnan(rows[2]["val/loss"] or 0)
    assert rows[2]["val/accuracy"] is None
    assert all(list(row) == ["epoch", "step", *METRICS] for row in rows)


@settings(deadline=None)  # File systems and busy machines have pauses.
@given(st.lists(st.floats(), min_size=len(METRICS), max_size=len(METRICS)))
def test_numbers_read_back_bit_equal(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    history = History(tmp_path_factory.mktemp("h") / "history.csv")
    history.append({"epoch": 1, "step": 1, **dict(zip(METRICS, values, strict=True))})
    read = [history.read()[0][metric] for metric in METRICS]
    assert [repr(value) for value in read] == [repr(value) for value in values]


@pytest.mark.parametrize(("epoch", "kept"), [(4, 3), (3, 2), (2, 1), (1, 0)])
def test_cut_back_keeps_the_epochs_before(history: History, epoch: int, kept: int) -> None:
    history.path.write_text(THREE)
    history.cut_back(epoch)
    assert history.path.read_text() == "".join(THREE.splitlines(keepends=True)[: kept + 1])
    assert os.listdir(history.path.parent) == ["history.csv"]
    history.append({"epoch": epoch, "step": 99})
    assert [row["epoch"] for row in history.read()] == [*range(1, kept + 1), epoch]


def test_cut_back_makes_no_file(history: History) -> None:
    history.cut_back(1)
    assert not history.path.exists()


def test_a_last_line_cut_short_is_no_row(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # Some 300 of them take seconds.
    lines = THREE.splitlines(keepends=True)
    for cut in range(1, len(THREE)):
        history.path.write_text(THREE[:cut])
        rows = max(THREE[:cut].count("\n") - 1, 0)
        assert len(history.read()) == rows
        history.append({"epoch": 9, "step": 90})
        assert history.path.read_text() == "".join(lines[: rows + 1]) + "9,90,,,,,,,,,\n"


def test_cut_back_drops_a_last_line_cut_short(history: History) -> None:
    history.path.write_text(THREE[:-10])
    history.cut_back(4)
    assert history.path.read_text() == "".join(THREE.splitlines(keepends=True)[:3])


def test_an_epoch_is_never_doubled(history: History) -> None:
    history.path.write_text(THREE)
    for epoch in (2, 3):
        with pytest.raises(ValueError, match=f"has epoch {epoch} already; cut it back first"):
            history.append({"epoch": epoch, "step": 40})
    assert history.path.read_text() == THREE


def test_a_row_is_added_without_reading_the_others(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run of many short epochs grows slower with each."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    rows = "".join(f"{epoch},{10 * epoch},0.5,,,,,,,,\n" for epoch in range(1, 2001))
    history.path.write_text(HEADER + rows + "2001,2001")
    read = []
    real = history_module._parsed
    monkeypatch.setattr(history_module, "_parsed", lambda line: read.append(line) or real(line))
    history.append({"epoch": 2001, "step": 20010, "train/loss": 0.25})
    assert read == ["2000,20000,0.5,,,,,,,,"]
    assert history.path.read_text() == HEADER + rows + "2001,20010,0.25,,,,,,,,\n"
    with pytest.raises(ValueError, match="has epoch 2001 already"):
        history.append({"epoch": 2001, "step": 20010})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"epoch": 1, "step": 1, "train/los": 0.5}, "train/los is not a column of a history"),
        ({"epoch": 1, "train/loss": 0.5}, "needs epoch and step as whole numbers"),
        ({"epoch": 1.0, "step": 1}, "needs epoch and step as whole numbers"),
    ],
)
def test_a_wrong_row_is_refused(
    history: History, row: dict[str, float | int | None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        history.append(row)
    assert not history.path.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "line 1 must be the columns of a history: epoch,step,"),
        (HEADER + "1,10,0.5\n", "line 2 is not a row of a history"),
        (THREE + "x,40,,,,,,,,,\n", "line 5 is not a row of a history"),
        (HEADER + "1,10,a,,,,,,,,\n", "line 2 is not a row of a history"),
        (HEADER + "1,10,,,,,,,,,,\n", "line 2 is not a row of a history"),
        (HEADER + "\n", "line 2 is not a row of a history"),
        (HEADER + "\udcff\n", "line 2 is not a row of a history"),
    ],
)
def test_what_is_no_history_is_named(history: History, text: str, message: str) -> None:
    history.path.write_bytes(text.encode(errors="surrogateescape"))
    for use in (
        history.read,
        lambda: history.cut_back(2),
        lambda: history.append({"epoch": 9, "step": 9}),
    ):
        with pytest.raises(UserError, match=message):
            use()
    assert history.path.read_bytes() == text.encode(errors="surrogateescape")


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_leaves_the_old_rows(
    history: History, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    history.path.write_text(THREE)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        resource = pytest.importorskip("resource")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(THREE) + 5, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"history\.csv could not be written: (No space|File too)"
        ):
            history.append({"epoch": 4, "step": 40})
    finally:
        if step == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert history.path.read_text() == THREE


def test_a_row_is_flushed_to_the_disk(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        # It is written beside the old one, which it then replaces.
        synced.extend(path.read_bytes() for path in history.path.parent.iterdir())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    history.append({"epoch": 1, "step": 10})
    assert synced[0] == HEADER.encode() + b"1,10,,,,,,,,,\n"


WRITER = """
import sys
from pathlib import Path
from convscope.runs.history import History
history = History(Path(sys.argv[1]))
epoch = len(history.read())
print("ready", flush=True)
while True:
    epoch += 1
    history.cut_back(epoch)
    history.append({"epoch": epoch, "step": 10 * epoch, "train/loss": 1 / epoch})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_killed_at_random_moments_loses_and_doubles_no_epoch(
    history: History, start: Start
) -> None:
    for seed in range(8):
        before = len(history.read())
        writer = start(WRITER, history.path)
        time.sleep(random.Random(seed).uniform(0.01, 0.05))
        writer.kill()
        writer.wait()
        rows = history.read()
        assert len(rows) >= before
        assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(row["train/loss"] == 1 / (n + 1) for n, row in enumerate(rows))
    assert len(rows) > 0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([1, 1, 2], "line 3 must be of a later epoch than the line before: 1, then 1"),
        ([1, 2, 3, 2], "line 5 must be of a later epoch than the line before: 3, then 2"),
        ([0, 1], "line 2 is not a row of a history: '0,"),
    ],
)
def test_epochs_twice_or_out_of_order_are_named(
    history: History, rows: list[int], says: str
) -> None:
    lines = [f"{epoch},{10 * epoch},0.5,0.5,0.5,0.5,0.01,1.0,1.0,1.0,\n" for epoch in rows]
    history.path.write_text(HEADER + "".join(lines))
    with pytest.raises(UserError, match=says):
        history.read()


def test_a_history_of_a_version_with_fewer_columns_is_read_and_continued(history: History) -> None:
    history.path.write_text("epoch,step,train/loss,val/loss\n1,10,0.5,0.25\n")
    (row,) = history.read()
    assert {key: value for key, value in row.items() if value is not None} == {
        "epoch": 1, "step": 10, "train/loss": 0.5, "val/loss": 0.25,
    }  # fmt: skip
    assert row.keys() == set(HEADER.rstrip().split(","))
    history.append({"epoch": 2, "step": 20, "val/accuracy": 0.75})
    assert history.path.read_text() == (HEADER + "1,10,0.5,,0.25,,,,,,\n" + "2,20,,,,0.75,,,,,\n")


@pytest.mark.parametrize("header", ["step,epoch", "epoch,step,val/loss,train/loss", "epoch,step,x"])
def test_other_columns_or_another_order_are_no_history(history: History, header: str) -> None:
    history.path.write_text(f"{header}\n")
    with pytest.raises(UserError, match="line 1 must be the columns of a history"):
        history.read()
