"""Pipes, devices, sockets, folders and links in place of a run's files: told at once, in a line."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import convscope
from convscope.analysis.frame import Reader
from convscope.checkpoint import read_best, read_last
from convscope.errors import UserError
from convscope.lesson.page import write_page
from convscope.plots.curves import load_curves
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.lock import RunLock, archive_run, is_locked
from convscope.runs.record import current_record
from convscope.sweep.plan import plan_runs
from convscope.training.module import VariantModule
from convscope.training.request import RunRequest
from convscope.training.tensorboard.logger import cut_back, event_sizes
from convscope.training.train import train

OddFile = Any
"""As in conftest.py."""

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform == "win32", reason="such files are POSIX's"),
]


@pytest.fixture(scope="module")
def request_run(
    ask: Callable[..., RunRequest], tmp_path_factory: pytest.TempPathFactory
) -> RunRequest:
    return ask(tmp_path_factory.mktemp("outputs"), "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def kept(request_run: RunRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run that was stopped in its test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VariantModule, "test_step", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert train(request_run).status == "interrupted"
    copy = tmp_path_factory.mktemp("kept") / "run"
    shutil.copytree(request_run.directory.path, copy)
    return copy


@pytest.fixture
def run(request_run: RunRequest, kept: Path) -> RunDirectory:
    """The stopped run, whole again."""
    shutil.rmtree(request_run.directory.path)
    shutil.copytree(kept, request_run.directory.path)
    return request_run.directory


def put(odd_file: OddFile, path: Path) -> None:
    path.unlink(missing_ok=True)
    odd_file.make(path)


@pytest.mark.parametrize("name", ["record", "history", "lock", "heartbeat", "best", "last"])
def test_what_reads_a_run_is_never_held_up(
    run: RunDirectory, request_run: RunRequest, odd_file: OddFile, name: str, tmp_path: Path
) -> None:
    path: Path = getattr(run, name)
    put(odd_file, path)
    told: list[str] = []
    for use in (
        lambda: current_record(run.path),
        lambda: is_locked(run.path),
        lambda: RunLock(run.path).try_acquire(),
        lambda: History(run.history).read(),
        lambda: History(run.history).append({"epoch": 9, "step": 9}),
        lambda: read_best(run, request_run.id),
        lambda: read_last(run, request_run.id),
        lambda: convscope.load(run.path),
        lambda: write_page(tmp_path / "page.html", run=run.path),
        lambda: plan_runs([request_run]),
    ):
        try:
            use()
        except UserError as error:
            told.append(str(error))
    assert any("is not a regular file" in line for line in told) or odd_file.kind == "folder"
    assert all("\n" not in line for line in told)
    runs, aside = Reader([run.path.parent]).read()
    assert len(runs) + len(aside) == 1
    _, unreadable = load_curves(runs, "val/accuracy") if len(runs) else ({}, [])
    assert len(unreadable) == (name == "history")


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("history", "failed"),
        ("train_log", "failed"),
        ("last", "failed"),
        ("best", "failed"),
        ("config", "finished"),
    ],
)
def test_a_run_goes_on_or_says_which_file_is_none(
    run: RunDirectory, request_run: RunRequest, odd_file: OddFile, name: str, ends: str
) -> None:
    path: Path = getattr(run, name)
    put(odd_file, path)
    if odd_file.kind == "folder" and name == "config":
        with pytest.raises(UserError, match=r"config\.yaml could not be written: Is a directory"):
            train(request_run)
        return
    if odd_file.kind == "link to itself" and name == "last":
        ends = "finished"  # As where there is none: the run starts anew.
    record = train(request_run)
    assert record.status == ends, record.reason
    if ends == "failed":
        assert str(path) in str(record.reason)
        assert "not a regular file" in str(record.reason)


def test_what_is_claimed_or_moved_is_never_held_up(run: RunDirectory, odd_file: OddFile) -> None:
    put(odd_file, run.lock)
    for claim in (lambda: RunLock(run.path).try_acquire(), lambda: archive_run(run.path)):
        with pytest.raises(UserError, match=r"\.lock is not a regular file"):
            claim()


def test_event_files_that_are_none_are_removed_or_named(tmp_path: Path, odd_file: OddFile) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    put(odd_file, path)
    assert list(event_sizes(tmp_path)) == [path.name]
    with pytest.raises(UserError, match=r"events\.out\.tfevents\.1\.host is not a regular file"):
        cut_back(tmp_path, {path.name: 0})
    cut_back(tmp_path, {})
    assert os.path.lexists(path) == (odd_file.kind == "folder")


def test_what_an_event_file_links_to_is_left_whole(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    path = tmp_path / "events.out.tfevents.1.host"
    path.symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="is not a regular file"):
        cut_back(tmp_path, {path.name: 0})
    cut_back(tmp_path, {})
    assert (tmp_path / "mine").read_bytes() == b"mine"
