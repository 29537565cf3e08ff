"""What a run writes for TensorBoard, held against its history and its record."""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.record import RunRecord, read_record
from convscope.training.callbacks.metrics import LateCopy, RunMetrics, suggest_lower_lr
from convscope.training.callbacks.throughput import Throughput
from convscope.training.request import RunRequest
from convscope.training.tensorboard.logger import (
    RunTensorBoardLogger,
    cut_back,
    event_sizes,
)
from convscope.training.train import train

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Trained:
    record: RunRecord
    folder: Path
    history: list[dict[str, float | int | None]]
    points: dict[str, Points]


@pytest.fixture(scope="module")
def trained(
    ask: Callable[..., RunRequest],
    scalars: Callable[[Path], dict[str, Points]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    request = ask(tmp_path_factory.mktemp("outputs"), "conv.stride=2", "trainer.max_epochs=3")
    record = train(request)
    assert record.status == "finished", record.reason
    folder = request.directory.path
    history = History(request.directory.history).read()
    return Trained(read_record(folder / "run.json"), folder, history, scalars(folder))


def float32(value: object) -> float:
    """What TensorBoard keeps of a number."""
    return float(np.float32(value))  # type: ignore[arg-type]


def test_every_tag_of_the_contract_is_there_and_no_other(trained: Trained) -> None:
    layers, axes = ("conv1", "pool1", "conv2"), ("height", "width", "channels")
    assert set(trained.points) == {
        *(f"{part}/{name}" for part in ("train", "val", "test") for name in ("loss", "accuracy")),
        "optim/lr",
        "throughput/train_samples_per_sec",
        "throughput/eval_samples_per_sec",
        "throughput/step_ms",
        *(f"feature_map/{layer}/{axis}" for layer in layers for axis in axes),
        "feature_map/height",
        "feature_map/width",
        "summary/test_accuracy",
        "summary/best_val_accuracy",
        "summary/train_samples_per_sec",
        "summary/step_ms",
        "summary/params",
        "summary/macs",
        "summary/final_map",
    }


@pytest.mark.parametrize(
    "tag",
    [
        "val/loss",
        "val/accuracy",
        "throughput/train_samples_per_sec",
        "throughput/eval_samples_per_sec",
        "throughput/step_ms",
    ],
)
def test_points_of_an_epoch_are_the_rows_of_the_history(trained: Trained, tag: str) -> None:
    assert trained.points[tag] == [(row["step"], float32(row[tag])) for row in trained.history]
    assert [step for step, _ in trained.points[tag]] == [12, 24, 36]


@pytest.mark.parametrize("tag", ["train/loss", "train/accuracy"])
def test_points_of_chunks_average_to_the_history(trained: Trained, tag: str) -> None:
    """Chunks end ten steps into an epoch, at multiples of five after that, and with the epoch."""
    points = dict(trained.points[tag])
    assert list(points) == [10, 12, 22, 24, 34, 35, 36]
    for row, ends in zip(
        trained.history, ([0, 10, 12], [12, 22, 24], [24, 34, 35, 36]), strict=True
    ):
        total = sum(points[end] * (end - start) for start, end in pairwise(ends))
        assert total / 12 == pytest.approx(row[tag], rel=1e-6)


def test_the_learning_rate_is_one_cycle(trained: Trained) -> None:
    """Its peak, 0.01, lies at 0.3 of 37 points less one: 10.1; then a cosine falls to 4e-8."""
    points = dict(trained.points["optim/lr"])

    def fall(step: int) -> float:
        share = (step - 10.1) / (36 - 10.1)
        return 4e-8 + (0.01 - 4e-8) * (1 + np.cos(np.pi * share)) / 2

    for step in (12, 22, 24, 34, 36):
        assert points[step] == pytest.approx(fall(step), rel=1e-5)
    assert [row["optim/lr"] for row in trained.history] == pytest.approx(
        [fall(step) for step in (12, 24, 36)]
    )


def test_what_is_told_once_is_told_once(trained: Trained) -> None:
    record = trained.record
    for tag, points in trained.points.items():
        group, _, name = tag.partition("/")
        if group == "summary":
            assert points == [(0, float32(record.metrics[name]))]
        if group == "test":
            assert points == [(36, float32(record.metrics[f"test_{name}"]))]
        if group == "feature_map" and "/" in name:
            layer, _, axis = name.partition("/")
            shape = next(row["out_shape"] for row in record.geometry if row["name"] == layer)
            assert points == [(0, shape[("channels", "height", "width").index(axis)])]


def test_event_files_are_cut_back_to_what_they_were(
    tmp_path: Path, scalars: Callable[[Path], dict[str, Points]]
) -> None:
    def write(step: int) -> None:
        writer = SummaryWriter(str(tmp_path))
        writer.add_scalar("a", step, step, new_style=True)
        writer.close()

    write(1)
    write(2)
    first, second = sorted(event_sizes(tmp_path))
    sizes = event_sizes(tmp_path)
    assert sizes == {name: (tmp_path / name).stat().st_size for name in (first, second)}
    with (tmp_path / second).open("ab") as file:
        file.write(struct.pack("<Q", 1000) + b"cut short by a kill")
    write(3)
    (tmp_path / "history.csv").touch()
    cut_back(tmp_path, sizes)
    assert event_sizes(tmp_path) == sizes
    # Files of one second go by a counter: the tenth comes before the ninth.
    assert sorted(scalars(tmp_path)["a"]) == [(1, 1.0), (2, 2.0)]
    cut_back(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_a_checkpoint_knows_the_size_of_all_that_was_written_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's writer is a thread of its own, here a slow one."""
    write = RecordWriter.write

    def slowly(self: RecordWriter, data: bytes) -> None:
        time.sleep(0.02)
        write(self, data)

    monkeypatch.setattr(RecordWriter, "write", slowly)
    throughput = Throughput(torch.device("cpu"))
    logger = RunTensorBoardLogger(str(tmp_path))
    metrics = RunMetrics(RunDirectory(tmp_path), throughput, 32, lambda step: 0.01, 0.01, [logger])
    for step in range(10):
        logger.log_metrics({"a": step}, step)
    state = metrics.state_dict()
    logger.close()
    assert state == {"epochs": 0, "event_sizes": event_sizes(tmp_path)}


def test_a_late_copy_is_what_was_given() -> None:
    values = torch.tensor([[1.0, 2.0], [0.25, 0.5]])
    assert torch.equal(LateCopy(values).read(), values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_late_copy_from_a_device_is_read_when_it_is_there() -> None:
    values = torch.rand(2, 1000, device="cuda")
    copy = LateCopy(values * 2)
    assert torch.equal(copy.read(), values.cpu() * 2)


@pytest.mark.parametrize(
    ("lr", "lower"), [(0.01, "0.001"), (1.0, "0.1"), (0.03, "0.003"), (1e6, "1e+05"), (20, "2")]
)
def test_a_lower_learning_rate_is_a_tenth(lr: float, lower: str) -> None:
    assert suggest_lower_lr(lr) == lower


def test_checkpoints_have_the_keys_of_0_1_0(trained: Trained) -> None:
    """So a run that was interrupted with an older version resumes."""
    checkpoint = torch.load(trained.folder / "checkpoints" / "last.ckpt", weights_only=True)
    names = sorted(key.partition("{")[0] for key in checkpoint["callbacks"])
    assert names == ["MovableCheckpoint", "MovableCheckpoint", "RunTracker"]
    assert set(checkpoint["callbacks"]["RunTracker"]) == {"epochs", "event_sizes"}
