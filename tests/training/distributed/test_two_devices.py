"""A run on two devices against plain PyTorch: two halves of each batch, their gradients' mean."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.data.augment import Augmentation
from convscope.data.batches import DeviceImages, TrainBatches
from convscope.data.order import BatchOrder
from convscope.modules import build_network
from convscope.modules.graph_net import GraphNet
from convscope.runs.history import History, Row
from convscope.runs.record import RunRecord, read_record
from convscope.training.request import RunRequest
from convscope.training.schedule import one_cycle

EPOCHS, STEPS, BATCH = 4, 12, 30


@pytest.fixture(scope="module")
def record(trained: RunRequest) -> RunRecord:
    return read_record(trained.directory.record)


@pytest.fixture(scope="module")
def rows(trained: RunRequest) -> list[Row]:
    return History(trained.directory.history).read()


def images(request: RunRequest, part: str) -> DeviceImages:
    source = request.images
    pixels, labels = getattr(source, f"{part}_images"), getattr(source, f"{part}_labels")
    return DeviceImages(pixels, labels, source.mean, source.std)


def network(request: RunRequest) -> GraphNet:
    return build_network(request.geometry).to(memory_format=torch.channels_last)


@dataclass
class ByHand:
    losses: Tensor
    """Of each step, over the whole batch."""
    state: dict[str, Tensor]
    """Weights, and the mean of what the halves' batch norms keep."""


@pytest.fixture(scope="module")
def by_hand(trained: RunRequest) -> ByHand:
    """The same run in this process; each whole batch is cut in two."""
    torch.manual_seed(trained.config.seed)
    first = network(trained)
    halves = [first, deepcopy(first)]
    optimizers = [torch.optim.AdamW(half.parameters(), weight_decay=0.01) for half in halves]
    order = BatchOrder(torch.from_numpy(trained.train_indices), BATCH, trained.config.seed)
    batches = TrainBatches(images(trained, "train"), order, Augmentation(shift=2), STEPS)
    losses = []
    for step in range(EPOCHS * STEPS):
        pixels, labels = batches.batch(step)
        parts = zip(halves, pixels.split(BATCH // 2), labels.split(BATCH // 2), strict=True)
        found = [functional.cross_entropy(half(x), y) for half, x, y in parts]
        for half, loss in zip(halves, found, strict=True):
            half.zero_grad()
            loss.backward()
        for one, other in zip(*(half.parameters() for half in halves), strict=True):
            one.grad = (one.grad + other.grad) / 2
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = one_cycle(step, EPOCHS * STEPS, 0.01, 0.3)
            optimizer.step()
        losses.append(torch.stack(found).mean().detach())
    states = [half.state_dict() for half in halves]
    mean = {name: (states[0][name] + states[1][name]) / 2 for name in states[0]}
    return ByHand(torch.stack(losses), mean)


def saved(path: Path) -> dict[str, Tensor]:
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name.removeprefix("network."): values for name, values in state.items()}


def test_it_takes_the_steps_of_the_whole_batches(
    trained: RunRequest, by_hand: ByHand, rows: list[Row]
) -> None:
    assert [row["step"] for row in rows] == [12, 24, 36, 48]
    expected = by_hand.losses.view(EPOCHS, STEPS).mean(1).tolist()
    assert [row["train/loss"] for row in rows] == pytest.approx(expected, abs=1e-4)
    found = saved(trained.directory.last)
    assert found.keys() == by_hand.state.keys()
    for name, values in by_hand.state.items():
        torch.testing.assert_close(found[name], values, atol=1e-3, rtol=1e-3, check_dtype=False)


def evaluated(net: nn.Module, source: DeviceImages, indices: Tensor) -> tuple[float, float]:
    """Loss and accuracy, all images at once."""
    pixels, labels = source.batch(indices)
    with torch.no_grad():
        scores = net.eval()(pixels)
    accuracy = (scores.argmax(1) == labels).double().mean()
    return float(functional.cross_entropy(scores, labels)), float(accuracy)


def test_every_image_is_evaluated_once(
    trained: RunRequest, record: RunRecord, rows: list[Row]
) -> None:
    net = network(trained)
    # Neither is a multiple of two: a rank that repeats an image would show.
    val, test = torch.from_numpy(trained.val_indices), torch.arange(record.dataset["test"])
    assert (len(val) % 2, len(test) % 2) == (1, 1)

    net.load_state_dict(saved(trained.directory.last))
    loss, accuracy = evaluated(net, images(trained, "train"), val)
    assert rows[-1]["val/loss"] == pytest.approx(loss, abs=1e-5)
    assert rows[-1]["val/accuracy"] == pytest.approx(accuracy, abs=1e-6)

    net.load_state_dict(saved(trained.directory.best))
    loss, accuracy = evaluated(net, images(trained, "test"), test)
    assert record.metrics["test_loss"] == pytest.approx(loss, abs=1e-5)
    assert record.metrics["test_accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_speed_is_that_of_all_devices_together(rows: list[Row]) -> None:
    for row in rows[1:]:
        per_second, step_ms = row["throughput/train_samples_per_sec"], row["throughput/step_ms"]
        assert per_second is not None
        assert step_ms is not None
        assert per_second == pytest.approx(BATCH / step_ms * 1000)


def test_one_record_and_one_set_of_files(
    trained: RunRequest, record: RunRecord, scalars: Callable[..., dict[str, list[object]]]
) -> None:
    folder = trained.directory.path
    (events,) = folder.glob("events.out.tfevents.*")
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*")} == {
        ".lock",
        "run.json",
        "config.yaml",
        "history.csv",
        "train.log",
        "predictions.npz",
        "checkpoints",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        events.name,
    }
    shown = scalars(folder)
    assert [step for step, _ in shown["val/accuracy"]] == [12, 24, 36, 48]
    assert len(shown["summary/test_accuracy"]) == 1
    assert not list(folder.parent.glob("*.tmp"))


def test_the_record_says_on_what_it_ran(record: RunRecord) -> None:
    assert record.environment["devices"] == 2
    assert record.environment["threads"] == 1
    assert record.config["trainer"]["devices"] == 2
    assert record.config["trainer"]["strategy"] == "ddp"
    assert "-devices2-" in record.name
    assert "strategy" not in record.name


def test_a_person_is_told_as_on_one_device(record: RunRecord, told: list[str]) -> None:
    assert f", 2 x {record.environment['device']} (32-true, 1 thread)" in told[0]
    assert [line.split("  ")[0] for line in told[1:]] == [f"epoch {n}/4" for n in range(1, 5)]


def test_its_log_holds_no_complaint(trained: RunRequest) -> None:
    log = trained.directory.train_log.read_text()
    assert "sync_dist" not in log
    assert "ResourceWarning" not in log
    assert log.count("epoch 4/4") == 1
