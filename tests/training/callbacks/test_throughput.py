"""samples/s by a clock that the test sets: what lies inside the window and what does not."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from convscope.training.callbacks import throughput
from convscope.training.callbacks.throughput import Rate, Stopwatch, Throughput, synchronizer
from convscope.training.process_group import ProcessGroup

MODULE = cast(Any, None)


@dataclass
class Device:
    """A clock and a device that write down who asked, and when."""

    now: float = 0.0
    asked: list[tuple[str, float]] = field(default_factory=list)

    def clock(self) -> float:
        self.asked.append(("clock", self.now))
        return self.now

    def synchronize(self) -> None:
        self.asked.append(("synchronize", self.now))


@pytest.fixture
def device() -> Device:
    return Device()


def test_a_stopwatch_counts_between_start_and_stop(device: Device) -> None:
    watch = Stopwatch(device.clock, device.synchronize)
    watch.count(1000)
    device.now = 2.0
    watch.start()
    watch.count(30)
    device.now = 2.25
    watch.count(20)
    assert watch.running
    device.now = 2.5
    rate = watch.stop()
    watch.count(1000)
    assert rate == Rate(50, 0.5)
    assert rate.per_second == 100
    assert not watch.running


def test_a_stopwatch_waits_for_the_device_before_it_reads_the_clock(device: Device) -> None:
    watch = Stopwatch(device.clock, device.synchronize)
    watch.start()
    device.now = 1.0
    watch.count(1)
    device.now = 2.0
    watch.stop()
    assert device.asked == [
        ("synchronize", 0.0),
        ("clock", 0.0),
        ("synchronize", 2.0),
        ("clock", 2.0),
    ]


def test_a_stopwatch_starts_from_nothing_each_time(device: Device) -> None:
    watch = Stopwatch(device.clock, device.synchronize)
    assert watch.stop() is None
    assert device.asked == []
    watch.start()
    watch.count(7)
    device.now = 1.0
    assert watch.stop() == Rate(7, 1.0)
    watch.start()
    device.now = 3.0
    assert watch.stop() is None
    assert watch.stop() is None


@pytest.fixture
def measured(device: Device, monkeypatch: pytest.MonkeyPatch) -> Throughput:
    monkeypatch.setattr(throughput, "synchronizer", lambda _: device.synchronize)
    return Throughput(torch.device("cpu"), device.clock)


def train(measured: Throughput, device: Device, *chunks: tuple[int, float]) -> None:
    """An epoch of chunks of (steps, seconds), with 100 s of other things before it."""
    device.now += 100
    trainer = cast(Any, SimpleNamespace(is_last_batch=False, should_stop=False))
    measured.on_train_epoch_start(trainer, MODULE)
    for number, (steps, seconds) in enumerate(chunks, start=1):
        trainer.is_last_batch = number == len(chunks)
        measured.on_train_batch_start(trainer, MODULE, range(steps), number)
        device.now += seconds
        measured.on_train_batch_end(trainer, MODULE, None, range(steps), number)


def validate(measured: Throughput, device: Device, *batches: tuple[int, float]) -> None:
    trainer = cast(Any, None)
    measured.on_validation_start(trainer, MODULE)
    for images, seconds in batches:
        batch = torch.empty(images, 1, 2, 2), torch.empty(images)
        device.now += seconds
        measured.on_validation_batch_end(trainer, MODULE, None, batch, 0)
    measured.on_validation_end(trainer, MODULE)


def test_the_images_of_all_ranks_are_counted(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "synchronizer", lambda _: device.synchronize)
    measured = Throughput(torch.device("cpu"), device.clock, ProcessGroup(1, 3))
    validate(measured, device, (5, 1.0), (2, 0.5))
    assert measured.images == Rate(21, 1.5)


def test_the_first_chunk_of_a_process_is_not_counted(measured: Throughput, device: Device) -> None:
    train(measured, device, (10, 60.0), (40, 2.0), (30, 1.5))
    assert measured.steps == Rate(70, 3.5)
    assert device.asked == [
        ("synchronize", 160.0),
        ("clock", 160.0),
        ("synchronize", 163.5),
        ("clock", 163.5),
    ]


def test_later_epochs_count_whole_and_without_what_lies_between(
    measured: Throughput, device: Device
) -> None:
    train(measured, device, (10, 60.0), (40, 2.0))
    assert measured.steps == Rate(40, 2.0)
    validate(measured, device, (256, 0.5), (44, 0.25))
    assert measured.images == Rate(300, 0.75)
    device.now += 1000  # Checkpoints.
    train(measured, device, (10, 0.5), (40, 2.0))
    assert measured.steps == Rate(50, 2.5)
    validate(measured, device, (256, 1.0), (44, 0.5))
    assert measured.images == Rate(300, 1.5)
    assert len(device.asked) == 4 * 4


def test_an_epoch_of_the_warm_up_alone_has_no_rate(measured: Throughput, device: Device) -> None:
    train(measured, device, (10, 60.0))
    assert measured.steps is None
    assert device.asked == []
    train(measured, device, (10, 0.5))
    assert measured.steps == Rate(10, 0.5)


def test_the_rate_of_an_epoch_is_gone_when_the_next_begins(
    measured: Throughput, device: Device
) -> None:
    train(measured, device, (10, 60.0), (40, 2.0))
    measured.on_train_epoch_start(cast(Any, None), MODULE)
    assert measured.steps is None


def test_there_is_nothing_to_wait_for_on_the_cpu() -> None:
    synchronizer(torch.device("cpu"))()


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_device_is_waited_for_by_its_own_means(kind: str) -> None:
    assert synchronizer(torch.device(kind)) is getattr(torch, kind).synchronize
