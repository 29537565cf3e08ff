"""Speed measured again, with nothing beside it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord, read_record
from convscope.sweep import remeasure
from convscope.sweep.remeasure import STEPS, remeasure_throughput
from convscope.training.request import RunRequest
from convscope.training.train import train


@pytest.fixture
def shared(ask, tmp_path: Path) -> RunRequest:
    """A run that was trained beside others."""
    request = ask(tmp_path)
    request = replace(request, hardware=replace(request.hardware, shared=True))
    assert train(request).status == "finished"
    return request


def on_disk(request: RunRequest) -> RunRecord:
    return read_record(request.directory.record)


def test_a_run_says_that_it_was_trained_beside_others(shared: RunRequest) -> None:
    assert on_disk(shared).environment["shared"] is True
    assert on_disk(shared).speed_is_shared


def test_speed_alone_takes_the_place_of_speed_beside_others(
    shared: RunRequest, scalars, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = on_disk(shared)
    threads = shared.hardware.threads
    unshared = replace(shared, hardware=replace(shared.hardware, shared=False))
    returned = remeasure_throughput(unshared)

    after = on_disk(shared)
    assert returned == after
    assert not after.speed_is_shared
    speed = {"train_samples_per_sec", "step_ms"}
    assert {k: v for k, v in after.metrics.items() if k not in speed} == {
        k: v for k, v in before.metrics.items() if k not in speed
    }
    assert all(after.metrics[name] != before.metrics[name] for name in speed)
    batch = shared.config.data.batch_size
    step_ms = after.metrics["step_ms"]
    assert step_ms is not None
    assert after.metrics["train_samples_per_sec"] == pytest.approx(batch / step_ms * 1000)
    assert after.environment["alone"] == {
        "threads": threads,
        "while_training": {name: before.metrics[name] for name in speed},
    }
    assert after.environment["shared"] is True
    # TensorBoard shows a tag's last value.
    shown = scalars(shared.directory.path)
    assert shown["summary/step_ms"][-1][1] == pytest.approx(step_ms)
    assert sorted(p.name for p in shared.directory.path.parent.iterdir()) == [shared.directory.name]


def test_a_run_that_is_deleted_meanwhile_is_not_made_anew(
    shared: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_then_train(*arguments: Any) -> RunRecord | None:
        shutil.rmtree(shared.directory.path)
        return original(*arguments)

    original = remeasure.train_isolated
    monkeypatch.setattr(remeasure, "train_isolated", delete_then_train)
    record = remeasure_throughput(shared)
    assert record is not None
    assert (record.status, record.reason) == (
        *("failed", f"{shared.directory.path} was deleted or moved meanwhile"),
    )
    assert not shared.directory.path.exists()


def test_a_measurement_is_of_some_hundred_steps(
    shared: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convscope.data.batches import TrainBatches

    made: list[object] = []
    make = TrainBatches.make
    monkeypatch.setattr(TrainBatches, "make", lambda *a: made.append(a) or make(*a))
    remeasure_throughput(shared)
    assert len(made) == STEPS["cpu"] == 300


def test_no_logger_gets_the_metrics_of_a_measurement(
    ask: Callable[..., RunRequest], tmp_path: Path
) -> None:
    request = ask(tmp_path, "logger=csv", "trainer.max_epochs=1")
    assert train(request).status == "finished"
    logged = request.directory.path / "csv" / "version_0" / "metrics.csv"
    before = logged.read_bytes()
    assert remeasure_throughput(request) == on_disk(request)
    assert logged.read_bytes() == before
    assert not list(request.directory.path.glob("events.*"))


def test_a_run_that_another_process_holds_is_left_alone(shared: RunRequest) -> None:
    before = on_disk(shared)
    with RunLock(shared.directory.path):
        assert remeasure_throughput(shared) is None
    assert on_disk(shared) == before
