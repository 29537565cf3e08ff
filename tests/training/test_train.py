"""One run from request to record: what it leaves, and what becomes of it when asked for again."""

import gc
import hashlib
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import timer
from torch import nn

from convscope.data.batches import BatchInputs, TrainBatches
from convscope.errors import UserError
from convscope.modules.graph_net import GraphNet
from convscope.runs.history import History
from convscope.runs.lock import RunLock, RunLocked
from convscope.runs.record import RunRecord, current_record, read_record
from convscope.streams import log_to_terminal
from convscope.training.experiment import Experiment
from convscope.training.hardware import Hardware
from convscope.training.module import VariantModule
from convscope.training.request import RunRequest
from convscope.training.train import train

Ask = Callable[..., RunRequest]


@pytest.fixture(scope="module")
def trained(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    request = ask(tmp_path_factory.mktemp("outputs"), "conv.stride=2")
    train(request)
    record = read_record(request.directory.record)
    assert record.status == "finished", record.reason
    return record


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_a_run_leaves_these_files_and_no_others(trained: RunRecord) -> None:
    assert trained.path is not None
    names = {name for name in content(trained.path) if not name.startswith("events.out.tfevents.")}
    assert names == {
        ".lock",
        "run.json",
        "config.yaml",
        "history.csv",
        "train.log",
        "predictions.npz",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    assert len(list(trained.path.glob("events.out.tfevents.*"))) == 1
    assert [path.name for path in trained.path.parents[1].iterdir()] == ["default"]


def test_the_record_says_what_was_trained(trained: RunRecord) -> None:
    """Digits: 1,797 images, a fifth of each class for the test, a tenth of the rest held back."""
    assert trained.variant == "k3-s2-p1"
    assert trained.dataset["input_shape"] == [1, 28, 28]
    assert trained.dataset["train"] + trained.dataset["val"] + trained.dataset["test"] == 1797
    assert [(layer["name"], layer["out_shape"]) for layer in trained.geometry] == [
        ("conv1", [4, 14, 14]),
        ("pool1", [4, 7, 7]),
        ("conv2", [8, 4, 4]),
    ]
    assert trained.params == 36 + 288 + 8 + 16 + 90
    assert trained.macs == 36 * 196 + 288 * 16 + 80
    assert trained.config["conv"]["stride"] == [[2, 2], [2, 2]]
    assert trained.resumed_from_epoch == 0
    assert trained.reason is None
    assert trained.duration_s is not None
    assert 0 < trained.duration_s < 60


def test_the_metrics_are_those_of_the_history(trained: RunRecord) -> None:
    assert trained.path is not None
    rows = History(trained.path / "history.csv").read()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 12), (2, 24)]
    metrics = trained.metrics
    assert metrics["best_val_accuracy"] == max(float(row["val/accuracy"] or 0) for row in rows)
    assert metrics["params"] == trained.params
    assert metrics["macs"] == trained.macs
    assert metrics["final_map"] == 16
    for name in ("train_samples_per_sec", "step_ms"):
        measured = [row[f"throughput/{name}"] for row in rows]
        assert metrics[name] == pytest.approx(sum(measured) / 2)  # type: ignore[arg-type]
    for row in rows:
        product = float(row["throughput/train_samples_per_sec"] or 0)
        product *= float(row["throughput/step_ms"] or 0)
        assert product == pytest.approx(1000 * 32)


def test_the_record_says_what_was_used_of_the_data(trained: RunRecord, ask: Ask) -> None:
    """12 of the batches of 32 per epoch, two epochs, and all images to validate and to test."""
    request = ask(Path("unused"), "conv.stride=2")
    assert trained.dataset["used"] == {
        "train": 12 * 32,
        "val": trained.dataset["val"],
        "test": trained.dataset["test"],
        "steps": 24,
        "most_frequent": int(np.bincount(request.images.test_labels).max()),
    }


def test_the_record_says_what_the_last_epoch_gained(trained: RunRecord) -> None:
    assert trained.path is not None
    first, last = History(trained.path / "history.csv").read()
    gained = float(last["val/accuracy"] or 0) - float(first["val/accuracy"] or 0)
    assert trained.metrics["val_accuracy_rise"] == gained
    fall = float(first["val/loss"] or 0) - float(last["val/loss"] or 0)
    assert trained.metrics["val_loss_fall"] == fall


def test_limits_are_those_of_the_images_that_were_tested(ask: Ask, tmp_path: Path) -> None:
    """An accuracy is a whole number of the images that the record calls used."""
    request = ask(
        tmp_path,
        "trainer.limit_test_batches=3",
        "trainer.limit_val_batches=0.5",
        "trainer.max_epochs=1",
        "trainer.max_steps=5",
    )
    record = train(request)
    assert record.status == "finished", record.reason
    used = record.dataset["used"]
    # 143 images to validate are 5 batches, half of them 2.
    assert [used[part] for part in ("train", "val", "test", "steps")] == [160, 64, 96, 5]
    for metric, images in (("test_accuracy", used["test"]), ("best_val_accuracy", used["val"])):
        share = record.metrics[metric]
        assert share == np.float32(round(share * images)) / np.float32(images)
    assert "val_accuracy_rise" not in record.metrics


def test_accuracies_are_counts_of_images(trained: RunRecord) -> None:
    for metric, images in (("test_accuracy", "test"), ("best_val_accuracy", "val")):
        share, count = trained.metrics[metric], trained.dataset[images]
        assert share is not None
        assert share == np.float32(round(share * count)) / np.float32(count)


def test_a_finished_run_is_not_trained_again(
    ask: Ask, trained: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained.path is not None
    before = content(trained.path)
    monkeypatch.delattr("convscope.training.experiment.Experiment")
    said: list[str] = []
    again = ask(trained.path.parents[1], "conv.stride=2")
    with log_to_terminal(said.append):
        assert train(again) == trained
    assert content(trained.path) == before
    assert said == [f"{trained.name} is already finished; rerun=true retrains it"]


def test_a_notice_tells_of_another_source_and_torch(ask: Ask, trained: RunRecord) -> None:
    assert trained.path is not None
    path = trained.path / "run.json"
    document = json.loads(path.read_text())
    document["environment"]["versions"] |= {"torch": "2.0.0", "source": "0" * 64}
    text = path.read_text()
    path.write_text(json.dumps(document))
    said: list[str] = []
    with log_to_terminal(said.append):
        train(ask(trained.path.parents[1], "conv.stride=2"))
    path.write_text(text)
    assert said == [
        f"{trained.name} is already finished (with a different convscope and torch version);"
        " rerun=true retrains it"
    ]


def test_rerun_moves_the_finished_run_aside(ask: Ask, tmp_path: Path) -> None:
    request = ask(tmp_path, "trainer.max_epochs=1")
    first = train(request)
    before = content(request.directory.path)
    said: list[str] = []
    with log_to_terminal(said.append):
        second = train(ask(tmp_path, "trainer.max_epochs=1", "rerun=true"))
    aside = request.directory.path.parent / "replaced" / f"{first.name}-1"
    assert said[0] == f"rerun=true: previous run moved to {aside}"
    # Under a name that TensorBoard does not take for a run's.
    hidden = {name.replace("tfevents", "replaced"): digest for name, digest in before.items()}
    assert content(aside) == hidden
    assert second.status == "finished"
    assert second.started_at > str(first.ended_at)
    assert second.metrics["test_accuracy"] == first.metrics["test_accuracy"]
    assert len(list(request.directory.path.glob("events.*"))) == 1


def test_a_run_that_another_process_trains_is_left_to_it(ask: Ask, tmp_path: Path) -> None:
    request = ask(tmp_path)
    with RunLock(request.directory.path):
        with pytest.raises(RunLocked, match=request.directory.name):
            train(request)
        left = sorted(path.name for path in request.directory.path.iterdir())
        assert left == [".heartbeat", ".lock"]


def test_a_limited_epoch_validates_and_counts_optimizer_steps(ask: Ask, tmp_path: Path) -> None:
    """40 batches of training: 0.3 of them are 12; 15 steps are an epoch and a quarter."""
    request = ask(
        tmp_path,
        "trainer.limit_train_batches=0.3",
        "trainer.max_steps=15",
        "trainer.max_epochs=null",
        "trainer.limit_val_batches=2",
        "trainer.limit_test_batches=0.5",
    )
    record = train(request)
    assert record.status == "finished", record.reason
    rows = History(request.directory.history).read()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 12), (2, 15)]
    for row in rows:
        # Of 2 batches of 32 images, where all 145 were otherwise.
        assert float(row["val/accuracy"] or 0) * 64 % 1 == 0
    last = torch.load(request.directory.last, weights_only=True)
    assert last["global_step"] == 15


@pytest.mark.parametrize(("part", "batches"), [("train", 40), ("val", 5), ("test", 12)])
def test_a_limit_that_leaves_no_batch_is_refused(
    ask: Ask, tmp_path: Path, part: str, batches: int
) -> None:
    with pytest.raises(UserError) as error:
        ask(tmp_path, f"trainer.limit_{part}_batches=0.001")
    assert str(error.value) == (
        f"trainer.limit_{part}_batches must leave at least 1 of {batches} batches, got 0.001"
    )


def test_the_last_epoch_is_validated_where_time_ends_it(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 seconds, of which each step takes one: the chunks end at 10, 15, ... 40, 50, 55, 60."""
    now = 0.0
    make = TrainBatches.make

    def slow(self: TrainBatches, inputs: BatchInputs) -> Any:
        nonlocal now
        now += 1
        return make(self, inputs)

    monkeypatch.setattr(TrainBatches, "make", slow)
    monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: now))
    request = ask(
        tmp_path,
        "trainer.max_time=00:00:00:58",
        "trainer.limit_train_batches=40",
        "trainer.max_epochs=5",
    )
    record = train(request)
    assert record.status == "finished", record.reason
    rows = History(request.directory.history).read()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 40), (2, 60)]
    assert all(row["throughput/step_ms"] for row in rows)
    assert now == 60
    assert record.dataset["used"]["steps"] == 60


def test_time_that_ends_the_first_chunk_ends_a_whole_run(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10**9, 100))
    monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: next(now)))
    request = ask(tmp_path, "trainer.max_time=00:00:00:01")
    record = train(request)
    assert record.status == "finished", record.reason
    rows = History(request.directory.history).read()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 10)]
    assert [record.dataset["used"][part] for part in ("train", "steps")] == [320, 10]
    assert "step_ms" not in record.metrics


@pytest.mark.parametrize("step", [1, 7, 12, 19])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_no_number_fails_the_run(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, value: str
) -> None:
    make = TrainBatches.make
    calls = iter(range(10**6))

    def spoilt(self: TrainBatches, inputs: BatchInputs) -> Any:
        images, labels = make(self, inputs)
        return (images * float(value) if next(calls) == step - 1 else images), labels

    real = torch.nn.functional.cross_entropy
    request = ask(tmp_path)
    if value == "nan":
        monkeypatch.setattr(TrainBatches, "make", spoilt)
    else:

        def infinite(scores: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
            loss = real(scores, *rest, **named)
            if scores.requires_grad and next(calls) == step - 1:
                return loss + math.inf
            return loss

        monkeypatch.setattr("convscope.training.train_step.functional.cross_entropy", infinite)
    record = train(request)
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason == (
        f"the loss is {value} at step {step};"
        " the learning rate is the likely cause: try optim.lr=0.001"
    )
    assert current_record(request.directory.path) == record
    assert record.metrics == {}


def test_a_learning_rate_without_sense_fails_the_run_and_the_next_try_is_anew(
    ask: Ask, tmp_path: Path
) -> None:
    request = ask(tmp_path, "optim.lr=1e30")
    for _ in range(2):
        record = train(request)
        assert record.status == "failed"
        assert str(record.reason).endswith("try optim.lr=1e+29")
        assert record.resumed_from_epoch == 0
    assert len(list(request.directory.path.glob("events.*"))) == 1
    assert not request.directory.history.exists()


def test_weights_that_the_last_step_spoilt_fail_the_run(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss was a number still; only the validation after it is none."""
    step = VariantModule.training_step

    def spoil(self: VariantModule, chunk: range) -> Any:
        outputs = step(self, chunk)
        if chunk.stop == 24:
            with torch.no_grad():
                self.network.head.weight.fill_(math.nan)  # type: ignore[operator, union-attr]
        return outputs

    monkeypatch.setattr(VariantModule, "training_step", spoil)
    record = train(ask(tmp_path))
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason.startswith("the validation loss is nan at step 24;")


def test_an_error_of_the_program_is_told_in_one_line_and_in_full_in_the_log(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: VariantModule, batch: Any) -> None:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(VariantModule, "validation_step", broken)
    request = ask(tmp_path)
    record = train(request)
    assert record.status == "failed"
    log = request.directory.train_log
    assert record.reason == f"ZeroDivisionError: first line (see {log})"
    assert "Traceback" in log.read_text()
    assert "second line" in log.read_text()


def test_a_variant_that_cannot_be_is_skipped_once(ask: Ask, tmp_path: Path) -> None:
    request = ask(tmp_path, "conv.kernel_size=29", "conv.padding=0")
    record = train(request)
    assert record.status == "skipped"
    assert "conv1" in str(record.reason)
    assert (record.geometry, record.params, record.macs) == ([], None, None)
    assert sorted(content(request.directory.path)) == [".lock", "config.yaml", "run.json"]
    said: list[str] = []
    with log_to_terminal(said.append):
        assert train(request) == record
    assert "is already skipped" in said[0]


def test_fast_dev_run_leaves_nothing(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = train(ask(tmp_path / "outputs", "trainer.fast_dev_run=2"))
    assert record.status == "finished"
    assert 0 <= float(record.metrics["test_accuracy"] or 0) <= 1
    assert list(tmp_path.iterdir()) == []


def test_fast_dev_run_can_be_interrupted(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = TrainBatches.make

    def stop(self: TrainBatches, inputs: BatchInputs) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return make(self, inputs)

    monkeypatch.setattr(TrainBatches, "make", stop)
    record = train(ask(tmp_path / "outputs", "trainer.fast_dev_run=2"))
    assert (record.status, record.reason) == ("interrupted", "SIGINT")
    assert list(tmp_path.iterdir()) == []


def test_runs_of_one_process_do_not_touch_each_other(ask: Ask, tmp_path: Path) -> None:
    """The same seed gives the same numbers, whatever was trained before in this process."""
    alone = train(ask(tmp_path / "a"))
    train(ask(tmp_path / "b", "seed=1", "conv.kernel_size=5", "conv.padding=2"))
    after = train(ask(tmp_path / "b"))
    for name in ("test_accuracy", "test_loss", "best_val_accuracy"):
        assert after.metrics[name] == alone.metrics[name]


def test_the_tasks_of_a_slurm_job_are_no_devices_of_the_run(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "2", "JOB_ID": "1", "JOB_NAME": "study", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    record = train(ask(tmp_path))
    assert (record.status, record.reason) == ("finished", None)


def test_a_run_that_has_ended_holds_nothing(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that failed: what a GPU keeps of it, the next run would lack."""
    left: list[Experiment] = []

    def look(hardware: Hardware) -> None:
        gc.collect()
        left.extend(found for found in gc.get_objects() if isinstance(found, Experiment))

    monkeypatch.setattr("convscope.training.devices.free_memory", look)
    assert train(ask(tmp_path)).status == "finished"
    monkeypatch.setattr(VariantModule, "training_step", lambda module, chunk: 1 / 0)
    assert train(ask(tmp_path, "seed=1")).status == "failed"
    assert left == []


def test_nothing_is_compiled_for_what_is_shown_once(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        for value in inputs:
            if isinstance(value, torch.Tensor) and value.shape[1:] == (1, 28, 28):
                batches.append(len(value))
        return graph.forward

    monkeypatch.setattr(GraphNet, "compile", lambda net: nn.Module.compile(net, backend=backend))
    assert train(ask(tmp_path, "compile=true")).status == "finished"
    assert 32 in batches
    assert 1 not in batches
