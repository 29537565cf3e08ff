"""Signals, noted when they come and acted on between steps; and a run whose folder is lost."""

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.data.batches import TrainBatches
from convscope.runs.directory import RunDirectory
from convscope.training.callbacks.interruption import Interruption
from convscope.training.experiment import Experiment
from convscope.training.module import VariantModule
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted, Signals
from convscope.training.train import train

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("signum", BOTH)
def test_a_first_signal_waits_for_the_end_of_a_step(signum: signal.Signals) -> None:
    with Signals() as signals:
        signals.check()
        os.kill(os.getpid(), signum)
        with pytest.raises(Interrupted) as stop:
            signals.check()
    assert stop.value.signum == signum
    assert str(stop.value) == signum.name


@pytest.mark.parametrize("hook", ["on_validation_batch_end", "on_test_batch_end"])
def test_a_first_signal_waits_for_the_end_of_a_batch(hook: str) -> None:
    with Signals() as signals:
        interruption = Interruption(signals)
        getattr(interruption, hook)()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            getattr(interruption, hook)()


@pytest.mark.parametrize("second", BOTH)
def test_a_second_signal_ends_all_at_once(second: signal.Signals) -> None:
    with Signals():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted) as stop:
            os.kill(os.getpid(), second)
    assert stop.value.signum == second


@pytest.mark.parametrize("ends_with", [None, ValueError, KeyboardInterrupt])
def test_handlers_are_put_back(ends_with: type[BaseException] | None) -> None:
    before = [signal.getsignal(signum) for signum in BOTH]
    try:
        with Signals():
            assert [signal.getsignal(signum) for signum in BOTH] != before
            if ends_with is not None:
                raise ends_with
    except (ValueError, KeyboardInterrupt):
        pass
    assert [signal.getsignal(signum) for signum in BOTH] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    """Python gives them to the main thread, and lets no other ask for them."""
    before = [signal.getsignal(signum) for signum in BOTH]
    within = []

    def run() -> None:
        with Signals():
            within.extend(signal.getsignal(signum) for signum in BOTH)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert within == before


def delete(directory: RunDirectory) -> None:
    # A thread of the run may write a file meanwhile, and the folder is not empty then.
    while directory.path.exists():
        shutil.rmtree(directory.path, ignore_errors=True)


def rename_the_study(directory: RunDirectory) -> None:
    study = directory.path.parent
    study.rename(study.with_name("renamed"))


def replace_the_lock(directory: RunDirectory) -> None:
    directory.lock.rename(directory.path / "old")
    directory.lock.touch()


def start_anew(directory: RunDirectory) -> None:
    """As somebody else does who deletes the run and trains it."""
    delete(directory)
    directory.path.mkdir()
    directory.lock.touch()
    directory.record.write_text("somebody else's")


def at(patch: pytest.MonkeyPatch, owner: Any, name: str, action: Callable[[], None]) -> None:
    """Have `action` called once, before a method."""
    real, calls = getattr(owner, name), iter([action])

    def call(*arguments: Any, **options: Any) -> Any:
        next(calls, lambda: None)()
        return real(*arguments, **options)

    patch.setattr(owner, name, call)


@pytest.mark.parametrize("loss", [delete, rename_the_study, replace_the_lock, start_anew])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Experiment, "__init__"),
        (TrainBatches, "make"),
        (VariantModule, "validation_step"),
        (VariantModule, "test_step"),
    ],
    ids=["before it begins", "in an epoch", "in a validation", "in the test"],
)
def test_a_run_whose_folder_is_lost_ends_with_a_line_and_writes_nothing(
    ask: Callable[..., RunRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    owner: Any,
    name: str,
    loss: Callable[[RunDirectory], None],
) -> None:
    request = ask(tmp_path, "trainer.max_epochs=1", "study=named")
    left: list[dict[str, bytes]] = []

    def content() -> dict[str, bytes]:
        return {
            str(path.relative_to(tmp_path)): path.read_bytes()
            for path in sorted(tmp_path.rglob("*"))
            # What is open goes on being written, wherever it lies by now.
            if path.is_file() and not re.search(r"tfevents|train\.log|\.heartbeat", path.name)
        }

    def lose() -> None:
        loss(request.directory)
        left.append(content())

    at(monkeypatch, owner, name, lose)
    record = train(request)
    assert (record.status, record.metrics) == ("failed", {})
    assert record.reason == (
        f"{request.directory.path} was deleted, moved or replaced while it was trained, and nothing"
        " more is written there; give the same command again"
    )
    assert content() == left[0]
    assert request.directory.path.exists() == (loss in (replace_the_lock, start_anew))
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_run_that_is_stopped_and_whose_folder_is_lost_was_stopped(
    ask: Callable[..., RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(tmp_path, "trainer.max_epochs=1")

    def lose_and_stop() -> None:
        delete(request.directory)
        os.kill(os.getpid(), signal.SIGTERM)

    at(monkeypatch, TrainBatches, "make", lose_and_stop)
    record = train(request)
    assert (record.status, record.reason) == ("interrupted", "SIGTERM")
    assert not request.directory.path.exists()
