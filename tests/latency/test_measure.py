"""Latencies of trained runs: what is measured, what is written, and what goes wrong."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.errors import UserError
from convscope.latency import measure as module
from convscope.latency.measure import measure, turn_of
from convscope.latency.turns import ROUNDS, WARM_UP_CALLS
from convscope.metrics import latencies
from convscope.runs.lock import RunLock
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.training.train import train

NAMES = ["latency_b1_p50_ms", "latency_b1_p95_ms", "latency_b256_p50_ms", "latency_b256_p95_ms"]
SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=2")


@pytest.fixture(scope="module")
def trained(ask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants with two seeds each."""
    output = tmp_path_factory.mktemp("trained")
    for stride in (1, 2):
        for seed in (0, 1):
            request = ask(output, *SHORT, f"conv.stride={stride}", f"seed={seed}", "study=both")
            assert train(request).status == "finished"
    return output / "both"


@pytest.fixture
def folders(trained: Path, tmp_path: Path) -> list[Path]:
    """A copy of them: k3-s1-p1 with seeds 0 and 1, then k3-s2-p1."""
    return sorted(shutil.copytree(trained, tmp_path / "both").iterdir())


@pytest.fixture(autouse=True)
def few_rounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.latency.turns.SECONDS", 0.01)


def record_of(folder: Path) -> RunRecord:
    return read_record(folder / "run.json")


def latencies_of(folder: Path) -> list[float | int | None]:
    return [record_of(folder).metrics.get(name) for name in NAMES]


def damage(folder: Path) -> None:
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"no checkpoint")


class Timed(nn.Module):
    """A network that advances the clock by the next time of its batch, and notes each call."""

    def __init__(self, clock: SimpleNamespace, variant: str, times: dict[int, list[float]]) -> None:
        super().__init__()
        self.clock, self.variant = clock, variant
        self.times = {batch: cycle(seconds) for batch, seconds in times.items()}

    def forward(self, images: Tensor) -> Tensor:
        batch = len(images)
        seconds = next(self.times[batch])
        self.clock.calls.append((self.variant, batch, seconds))
        self.clock.now += seconds
        return images


def test_values_are_those_of_ones_own_loop(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against NumPy's percentiles of the times that the networks themselves noted."""
    clock = SimpleNamespace(now=0.0, calls=[])
    draw = np.random.default_rng(0)

    def load(folder: Path, _: Path) -> SimpleNamespace:
        record = record_of(folder)
        times = {batch: draw.gamma(2, batch / 1e5, 999).tolist() for batch in (1, 256)}
        network = Timed(clock, record.variant, times)
        return SimpleNamespace(network=network, class_scores=network, input_shape=(1, 2, 2))

    monkeypatch.setattr(module, "load_run", load)
    monkeypatch.setattr(module, "turn_of", partial(turn_of, clock=lambda: clock.now))
    result = measure(folders)
    assert result.problems == []
    assert result.networks == 2

    # Each network is warmed up, then A, B, A, B, … with a batch of 1, then with one of 256.
    variants = ["k3-s1-p1", "k3-s2-p1"]
    turns = [clock.calls[0]]
    for call in clock.calls[1:]:
        if call[:2] != turns[-1][:2]:
            turns.append(call)
    order = [(variant, batch) for batch in (1, 256) for variant in variants]
    assert [turn[:2] for turn in turns] == order * (1 + ROUNDS)

    for folder in folders:
        record = record_of(folder)
        assert record == result.records[folder]
        for batch in (1, 256):
            calls = record.environment["latency"]["calls"][str(batch)]
            noted = [call[2] for call in clock.calls if call[:2] == (record.variant, batch)]
            noted = noted[1 + WARM_UP_CALLS :]
            each, rest = divmod(calls, ROUNDS)
            assert rest == 0
            assert len(noted) == ROUNDS * (1 + each)
            timed = [one for number, one in enumerate(noted) if number % (1 + each)]
            for percentile in (50, 95):
                value = record.metrics[f"latency_b{batch}_p{percentile}_ms"]
                assert value == pytest.approx(1000 * np.percentile(timed, percentile))


def test_the_seeds_of_a_variant_share_a_measurement(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = module.load_run
    monkeypatch.setattr(module, "load_run", lambda *a: loaded.append(a[0].name) or load(*a))
    before = [record_of(folder) for folder in folders]
    result = measure(folders)
    assert loaded == [folders[0].name, folders[2].name]
    assert list(result.records) == folders
    s1, s1_again, s2, s2_again = map(latencies_of, folders)
    assert s1 == s1_again != s2 == s2_again
    assert all(one is not None and one > 0 for one in (*s1, *s2))
    assert s1[0] <= s1[1]
    assert s1[2] <= s1[3]
    assert {record_of(folder).environment["latency"]["measured_at"] for folder in folders} == {
        result.records[folders[0]].environment["latency"]["measured_at"]
    }
    for old, folder in zip(before, folders, strict=True):
        new = record_of(folder)
        where = new.environment["latency"]
        assert where["threads"] == torch.get_num_threads()
        for key in ("device", "accelerator", "precision"):
            assert where[key] == old.environment[key]
        assert where["torch"] == old.environment["versions"]["torch"]
        # Nothing else has changed.
        environment = {k: v for k, v in new.environment.items() if k != "latency"}
        metrics = {k: v for k, v in new.metrics.items() if k not in NAMES}
        assert dataclasses.replace(new, environment=environment, metrics=metrics) == old


def test_mirror_images_are_part_of_a_call(
    ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that averages over mirror images takes two passes, and is another network."""
    runs = []
    for flip in (False, True):
        request = ask(tmp_path, *SHORT, f"data.test_flip={flip}")
        assert train(request).status == "finished"
        runs.append(request.directory.path)
    images: list[int] = []

    def turn(forward: Any, *rest: Any) -> Callable[[int], list[float]]:
        forward.__self__.network.register_forward_pre_hook(
            lambda _, inputs: images.append(len(inputs[0]))
        )

        def calls(number: int) -> list[float]:
            images.clear()
            forward(torch.zeros(2, 1, 28, 28))
            return [float(sum(images))] * number

        return calls

    monkeypatch.setattr(module, "turn_of", turn)
    assert measure(runs).networks == 2
    single, double = (latencies_of(run)[0] for run in runs)
    assert single is not None
    assert double == 2 * single > 0


def test_tensorboard_has_them(folders: list[Path], scalars) -> None:
    measure(folders[:1])
    shown = scalars(folders[0])
    for name in latencies():
        ((_, value),) = shown[f"summary/{name}"]
        assert value == pytest.approx(record_of(folders[0]).metrics[name])
    assert len(shown["summary/test_accuracy"]) == 1


def test_a_damaged_checkpoint_costs_a_line(folders: list[Path]) -> None:
    damage(folders[0])
    (folders[2] / "checkpoints" / "best.ckpt").unlink()
    damage(folders[3])
    result = measure(folders)
    # The other seed of the first variant has its network.
    assert list(result.records) == folders[:2]
    assert latencies_of(folders[0]) == latencies_of(folders[1]) != [None] * 4
    assert latencies_of(folders[2]) == latencies_of(folders[3]) == [None] * 4
    assert [problem.partition(" not measured: cannot read")[0] for problem in result.problems] == [
        folders[0].name,
        folders[2].name,
        folders[3].name,
    ]
    assert not any("\n" in problem for problem in result.problems)


def test_a_damaged_record_costs_a_line(folders: list[Path]) -> None:
    (folders[0] / "run.json").write_text("{")
    folders.append(folders[0].with_name("gone"))
    result = measure(folders)
    assert list(result.records) == folders[1:4]
    assert [problem.partition(" not measured: ")[0] for problem in result.problems] == [
        folders[0].name,
        "gone",
    ]


def test_what_does_not_fit_costs_a_line(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn(network: nn.Module, *rest: Any) -> Callable[[int], list[float]]:
        *_, batch = rest

        def calls(number: int) -> list[float]:
            if batch == 256:
                raise torch.OutOfMemoryError("out of memory\nmore about it")
            return [0.002] * number

        return calls

    measure(folders)
    monkeypatch.setattr(module, "turn_of", turn)
    result = measure(folders)
    # Nor is there what an earlier measurement found.
    assert [latencies_of(folder) for folder in folders] == [[2.0, 2.0, None, None]] * 4
    assert result.problems == [
        f"{folder.name}: batch of 256 not measured: out of memory" for folder in folders[::2]
    ]


def test_only_finished_runs_are_measured(folders: list[Path]) -> None:
    stopped = dataclasses.replace(
        record_of(folders[0]), status="interrupted", reason="SIGINT", metrics={}
    )
    write_record(folders[0] / "run.json", stopped)
    assert list(measure(folders).records) == folders[1:]
    assert record_of(folders[0]) == stopped


def test_a_run_that_another_process_uses_is_left_as_it_was(folders: list[Path]) -> None:
    with RunLock(folders[1]):
        result = measure(folders)
    assert list(result.records) == [folders[0], *folders[2:]]
    assert latencies_of(folders[1]) == [None] * 4
    assert result.problems == [f"{folders[1].name}: another process uses it; nothing was recorded"]


def test_a_run_that_is_deleted_meanwhile_is_not_made_anew(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(*arguments: Any) -> Any:
        shutil.rmtree(folders[1], ignore_errors=True)
        return in_turns(*arguments)

    in_turns = module.in_turns
    monkeypatch.setattr(module, "in_turns", delete)
    result = measure(folders)
    assert result.problems == [f"{folders[1]} was deleted or moved meanwhile"]
    assert not folders[1].exists()


def test_nothing_is_written_before_all_is_measured(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        pass

    def stop(turns: Any, calls: Any, rounds: Any) -> None:
        in_turns(turns, calls, list(rounds)[:3])
        raise Stopped

    in_turns = module.in_turns
    before = {path: path.read_bytes() for path in sorted(folders[0].parent.glob("*/*.*"))}
    monkeypatch.setattr(module, "in_turns", stop)
    with pytest.raises(Stopped):
        measure(folders)
    assert {path: path.read_bytes() for path in sorted(folders[0].parent.glob("*/*.*"))} == before


def test_a_full_disk_leaves_whole_records(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    amend = module.amend_record

    def amend_once(directory: Any, change: Any) -> RunRecord:
        if written:
            raise UserError("disk full")
        written.append(directory.path)
        return amend(directory, change)

    before = folders[1].joinpath("run.json").read_bytes()
    monkeypatch.setattr(module, "amend_record", amend_once)
    with pytest.raises(UserError, match="disk full"):
        measure(folders)
    assert latencies_of(folders[0]) != [None] * 4
    assert folders[1].joinpath("run.json").read_bytes() == before


def test_a_run_of_a_device_that_is_not_here_is_measured_on_this_one(folders: list[Path]) -> None:
    path = folders[0] / "run.json"
    document = json.loads(path.read_text())
    document["environment"] |= {"accelerator": "mps", "device": "Apple GPU"}
    path.write_text(json.dumps(document))
    measure(folders[:1])
    where = record_of(folders[0]).environment
    assert where["device"] == "Apple GPU"
    assert where["latency"]["accelerator"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert where["latency"]["device"] != "Apple GPU"
