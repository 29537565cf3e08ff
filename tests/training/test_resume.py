"""A run that was killed or asked to stop ends as one that never stopped, bit by bit.

What `kill -9` leaves is what lies on the disk at that moment: copies of the run's folder, taken
while one run trains undisturbed, stand for as many kills.
"""

import functools
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope.data.batches import TrainBatches
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.record import RunRecord, current_record, read_record
from convscope.training.callbacks import checkpoints
from convscope.training.module import VariantModule
from convscope.training.request import RunRequest
from convscope.training.tensorboard.logger import RunTensorBoardLogger
from convscope.training.train import train

OVERRIDES = ("trainer.max_epochs=3", "data.shift=2", "data.flip=true", "data.cutout=4")
TIMED = ("train_samples_per_sec", "eval_samples_per_sec", "step_ms", "peak_mb")

# Where a kill comes, and the epochs that are finished by then. 12 steps make an epoch.
KILLS = {
    "training_batch 3": 0,
    "training_batch 11": 0,
    "validation_batch 1": 0,
    "training_batch 12": 1,
    "training_batch 17": 1,
    "history 1": 1,  # The row is there, the checkpoint of the epoch is not.
    "best 0": 0,  # best.ckpt is half written, the last of the epoch not begun.
    "last 1": 1,  # last.ckpt of the second epoch is half written.
    "training_batch 35": 2,
    "test_batch 0": 3,
    "test_batch 5": 3,
    "summary 0": 3,
}

Moment = Callable[[str], None]


@dataclass(frozen=True)
class Undisturbed:
    record: RunRecord
    folder: Path
    kills: Path
    """A copy of the folder for each of KILLS."""


def tell(patch: pytest.MonkeyPatch, moment: Moment) -> None:
    """Have `moment` called with a place in the run, `training_batch 0` and so on, at each one."""

    def before(owner: Any, name: str, label: str) -> None:
        real, count = getattr(owner, name), iter(range(10**6))

        @functools.wraps(real)
        def call(*args: Any, **kwargs: Any) -> Any:
            moment(f"{label} {next(count)}")
            return real(*args, **kwargs)

        patch.setattr(owner, name, call)

    before(TrainBatches, "make", "training_batch")
    before(VariantModule, "validation_step", "validation_batch")
    before(VariantModule, "test_step", "test_batch")
    before(RunTensorBoardLogger, "end_row", "summary")
    append, rows = History.append, iter(range(10**6))

    def append_then_tell(self: History, row: dict[str, Any]) -> None:
        append(self, row)
        moment(f"history {next(rows)}")

    replace, saved = checkpoints.replace_file, Counter[str]()

    def write_half_then_tell(path: Path, data: bytes) -> None:
        path.with_name(f".{path.name}.tmp").write_bytes(data[: len(data) // 2])
        moment(f"{path.stem} {saved[path.stem]}")
        saved[path.stem] += 1
        replace(path, data)

    patch.setattr(History, "append", append_then_tell)
    patch.setattr(checkpoints, "replace_file", write_half_then_tell)


def signal_at(place: str, signum: signal.Signals) -> Moment:
    def moment(here: str) -> None:
        if here == place:
            os.kill(os.getpid(), signum)

    return moment


@pytest.fixture(scope="module")
def request_run(ask: Callable[..., RunRequest]) -> Callable[[Path], RunRequest]:
    return lambda output_dir: ask(output_dir, *OVERRIDES)


@pytest.fixture(scope="module")
def undisturbed(
    request_run: Callable[[Path], RunRequest], tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    output_dir, kills = tmp_path_factory.mktemp("outputs"), tmp_path_factory.mktemp("kills")
    request = request_run(output_dir)
    with pytest.MonkeyPatch.context() as patch:

        def keep(place: str) -> None:
            if place in KILLS:
                shutil.copytree(request.directory.path, kills / place)

        tell(patch, keep)
        record = train(request)
    assert record.status == "finished", record.reason
    assert {path.name for path in kills.iterdir()} == set(KILLS)
    return Undisturbed(record, request.directory.path, kills)


@pytest.fixture
def assert_same(
    undisturbed: Undisturbed, scalars: Callable[[Path], dict[str, list[tuple[int, float]]]]
) -> Callable[[RunRecord], None]:
    """That a run ended as the undisturbed one, in whatever does not measure time."""

    def untimed(values: Any) -> dict[str, Any]:
        return {name: values[name] for name in values if not name.endswith(TIMED)}

    def check(record: RunRecord) -> None:
        assert record.status == "finished", record.reason
        assert record.path is not None
        mine, other = RunDirectory(record.path), RunDirectory(undisturbed.folder)
        assert untimed(record.metrics) == untimed(undisturbed.record.metrics)
        assert [untimed(row) for row in History(mine.history).read()] == [
            untimed(row) for row in History(other.history).read()
        ]
        assert untimed(scalars(mine.path)) == untimed(scalars(other.path))
        for ours, theirs in ((mine.best, other.best), (mine.last, other.last)):
            weights = torch.load(theirs, weights_only=True)["state_dict"]
            for name, value in torch.load(ours, weights_only=True)["state_dict"].items():
                assert torch.equal(value, weights[name]), name

    return check


def finish(request: RunRequest) -> RunRecord:
    train(request)
    return read_record(request.directory.record)


@pytest.mark.parametrize(("place", "epochs"), KILLS.items(), ids=KILLS)
def test_a_killed_run_ends_as_one_that_never_stopped(
    undisturbed: Undisturbed,
    request_run: Callable[[Path], RunRequest],
    assert_same: Callable[[RunRecord], None],
    tmp_path: Path,
    place: str,
    epochs: int,
) -> None:
    request = request_run(tmp_path)
    shutil.copytree(undisturbed.kills / place, request.directory.path)
    assert current_record(request.directory.path).status == "interrupted"
    record = finish(request)
    assert record.resumed_from_epoch == epochs
    assert_same(record)
    assert not list(request.directory.checkpoints.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("places", "signum", "epochs"),
    [
        (["training_batch 4"], signal.SIGINT, [0]),
        (["training_batch 23"], signal.SIGTERM, [1]),
        (["validation_batch 2"], signal.SIGTERM, [0]),
        (["test_batch 3"], signal.SIGINT, [3]),
        (["training_batch 14", "training_batch 13", "training_batch 2"], signal.SIGTERM, [1, 2, 2]),
    ],
)
def test_a_run_asked_to_stop_ends_as_one_that_never_stopped(
    request_run: Callable[[Path], RunRequest],
    assert_same: Callable[[RunRecord], None],
    tmp_path: Path,
    places: list[str],
    signum: signal.Signals,
    epochs: list[int],
) -> None:
    request = request_run(tmp_path)
    resumed = []
    for place in places:
        with pytest.MonkeyPatch.context() as patch:
            tell(patch, signal_at(place, signum))
            record = train(request)
        assert (record.status, record.reason) == ("interrupted", signum.name)
        assert current_record(request.directory.path) == record
        assert record.metrics == {}
        resumed.append(record.resumed_from_epoch)
    record = finish(request)
    assert [*resumed[1:], record.resumed_from_epoch] == epochs
    assert_same(record)


def test_an_interrupted_run_stops_before_its_next_step(
    request_run: Callable[[Path], RunRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places: list[str] = []

    def stop(place: str) -> None:
        places.append(place)
        if place == "training_batch 4":
            os.kill(os.getpid(), signal.SIGTERM)

    tell(monkeypatch, stop)
    train(request_run(tmp_path))
    assert places[-1] == "training_batch 4"


def test_a_run_whose_folder_was_moved_keeps_its_best_epoch(
    undisturbed: Undisturbed,
    request_run: Callable[[Path], RunRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lightning forgets the best score so far where the folder's path is another."""
    request = request_run(tmp_path)
    shutil.copytree(undisturbed.kills / "training_batch 35", request.directory.path)
    before = torch.load(request.directory.best, weights_only=True)
    count = VariantModule.validation_step

    def all_wrong(self: VariantModule, batch: Any) -> None:
        count(self, batch)
        self.confusion.fill_diagonal_(0)

    monkeypatch.setattr(VariantModule, "validation_step", all_wrong)
    record = finish(request)
    rows = History(request.directory.history).read()
    accuracies = [float(row["val/accuracy"] or 0) for row in rows]
    assert accuracies[2] == 0
    assert record.metrics["best_val_accuracy"] == max(accuracies)
    after = torch.load(request.directory.best, weights_only=True)
    assert after["epoch"] == before["epoch"] == accuracies.index(max(accuracies))


@pytest.mark.parametrize("name", ["best", "last"])
def test_checkpoints_hold_nothing_but_data(undisturbed: Undisturbed, name: str) -> None:
    content = torch.load(undisturbed.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    assert ("optimizer_states" in content) == (name == "last")


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_damaged_checkpoint_is_named_in_one_line(
    undisturbed: Undisturbed, request_run: Callable[[Path], RunRequest], tmp_path: Path, name: str
) -> None:
    request = request_run(tmp_path)
    shutil.copytree(undisturbed.kills / "test_batch 0", request.directory.path)
    damaged = request.directory.checkpoints / f"{name}.ckpt"
    os.truncate(damaged, 2000)
    record = train(request)
    assert record.status == "failed"
    assert str(record.reason).startswith(f"cannot read {damaged}: missing or damaged checkpoint (")
    assert str(record.reason).endswith("or add rerun=true")
    assert "\n" not in str(record.reason)
