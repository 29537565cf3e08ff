"""Claims between hosts whose locks do not reach each other."""

import os
import threading
import time
from pathlib import Path

import pytest

from convscope.errors import UserError
from convscope.runs import heartbeat
from convscope.runs.heartbeat import INTERVAL_S, TIMEOUT_S
from convscope.runs.lock import RunLock, RunLocked, archive_run, is_locked

ELSEWHERE = "another kernel's boot id"


def beaten(run: Path, seconds_ago: float, host: str = ELSEWHERE) -> Path:
    """What a holder on another host left, whose lock is not seen here."""
    run.mkdir(exist_ok=True)
    (run / ".lock").touch()
    path = run / ".heartbeat"
    path.write_text(host)
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    return path


def test_a_run_whose_holder_on_another_host_lives_is_held(tmp_path: Path) -> None:
    path = beaten(tmp_path / "run", seconds_ago=TIMEOUT_S - 5)
    assert is_locked(tmp_path / "run")
    with pytest.raises(RunLocked):
        RunLock(tmp_path / "run").__enter__()
    with pytest.raises(RunLocked):
        archive_run(tmp_path / "run")
    assert path.read_text() == ELSEWHERE


def test_a_run_whose_holder_on_another_host_is_dead_is_taken_over(tmp_path: Path) -> None:
    path = beaten(tmp_path, seconds_ago=TIMEOUT_S + 5)
    assert not is_locked(tmp_path)
    with RunLock(tmp_path) as lock:
        assert lock.is_valid
        assert path.read_text() == heartbeat.host_id()
        assert time.time() - path.stat().st_mtime < 5
    assert os.listdir(tmp_path) == [".lock"]


def test_of_two_hosts_that_take_over_at_once_one_has_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = beaten(tmp_path, seconds_ago=TIMEOUT_S + 5)
    monkeypatch.setattr(heartbeat.time, "sleep", lambda _: path.write_text("a third host"))
    assert not RunLock(tmp_path).try_acquire()
    assert path.read_text() == "a third host"


def test_of_two_hosts_that_claim_a_new_run_at_once_one_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".heartbeat"
    open_file = os.open

    def open_late(name: Path, *arguments: int) -> int:
        if name == path and not path.exists():
            path.write_text(ELSEWHERE)
        return open_file(name, *arguments)

    monkeypatch.setattr(heartbeat.os, "open", open_late)
    assert not RunLock(tmp_path).try_acquire()
    assert path.read_text() == ELSEWHERE


def test_what_a_killed_process_of_this_host_left_is_no_claim(tmp_path: Path) -> None:
    beaten(tmp_path, seconds_ago=1, host=heartbeat.host_id())
    assert not is_locked(tmp_path)
    with RunLock(tmp_path) as lock:
        assert lock.is_valid


def test_a_holder_beats_until_it_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.05)
    path = tmp_path / ".heartbeat"
    with RunLock(tmp_path):
        then = time.time() - 1000
        os.utime(path, (then, then))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < then + 500:
            assert time.monotonic() < deadline, "no second beat"
            time.sleep(0.01)
    threads = threading.active_count()
    RunLock(tmp_path).try_acquire()  # Forgotten at once: it must not beat on.
    time.sleep(0.5)
    assert threading.active_count() <= threads


def test_a_clock_of_this_host_that_is_wrong_takes_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten(tmp_path, seconds_ago=10)
    really = time.time
    monkeypatch.setattr(heartbeat.time, "time", lambda: really() + 3600)
    assert not RunLock(tmp_path).try_acquire()


def test_a_run_moved_aside_leaves_no_sign_behind(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    moved = archive_run(tmp_path / "run")
    assert moved is not None
    assert os.listdir(moved) == [".lock"]


def test_a_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heartbeat.os, "write", full)
    with pytest.raises(UserError, match="cannot be claimed: No space left on device"):
        RunLock(tmp_path).try_acquire()


def test_six_beats_may_be_missed() -> None:
    assert TIMEOUT_S / INTERVAL_S == 6
