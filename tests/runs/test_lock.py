import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from convscope.errors import UserError
from convscope.runs.lock import RunLock, RunLocked, archive_run, is_locked

Start = Callable[..., "subprocess.Popen[str]"]

HOLDER = """
import sys
from pathlib import Path
from convscope.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
assert lock.try_acquire()
print("ready", flush=True)
sys.stdin.read()
"""


def test_one_holds_and_the_other_is_told(tmp_path: Path) -> None:
    run = tmp_path / "study" / "run"
    first, second = RunLock(run), RunLock(run)
    assert first.try_acquire()
    assert first.is_valid
    assert is_locked(run)
    assert not second.try_acquire()
    assert not second.acquire()
    assert not second.is_valid
    first.release()
    first.release()
    assert not first.is_valid
    assert not is_locked(run)
    assert second.acquire()
    second.release()
    assert os.listdir(run) == [".lock"]


def test_as_a_context(tmp_path: Path) -> None:
    with RunLock(tmp_path) as lock:
        assert lock.is_valid
        with pytest.raises(RunLocked, match=f"{tmp_path} is being trained by another process"):
            RunLock(tmp_path).__enter__()
        with pytest.raises(RuntimeError, match="claimed by this object already"):
            lock.try_acquire()
    assert not is_locked(tmp_path)


def test_blocking_waits_until_the_run_is_free(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    assert first.try_acquire()
    threading.Timer(0.3, first.release).start()
    assert second.acquire(blocking=True)
    second.release()


def test_asking_creates_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "none" / "run")
    (tmp_path / "file").write_text("")
    assert not is_locked(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX's")
def test_two_who_ask_at_once_do_not_take_each_other_for_a_claim(tmp_path: Path) -> None:
    import fcntl

    RunLock(tmp_path).try_acquire()
    with (tmp_path / ".lock").open() as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)
        assert not is_locked(tmp_path)


def test_asking_does_not_take_the_run_from_one_who_claims_it(tmp_path: Path) -> None:
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            is_locked(tmp_path)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    RunLock(tmp_path).try_acquire()
    for asker in askers:
        asker.start()
    try:
        for _ in range(50):
            lock = RunLock(tmp_path)
            assert lock.try_acquire()
            lock.release()
    finally:
        done.set()
        for asker in askers:
            asker.join()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_kill_9_frees_the_run(tmp_path: Path, start: Start) -> None:
    holder = start(HOLDER, tmp_path)
    assert is_locked(tmp_path)
    assert not RunLock(tmp_path).try_acquire()
    holder.kill()
    holder.wait()
    assert not is_locked(tmp_path)
    with RunLock(tmp_path) as lock:
        assert lock.is_valid


def test_a_program_that_the_holder_starts_does_not_inherit_the_claim(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    assert lock.try_acquire()
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        lock.release()
        assert not is_locked(tmp_path)
    finally:
        sleeper.communicate(b"\n")


CLAIMS_AT_A_TIME = """
import sys, time
from pathlib import Path
from convscope.runs.lock import RunLock
print("ready", flush=True)
claims = []
for line in sys.stdin:
    run, at = line.split("|")
    lock = RunLock(Path(run))
    while time.time() < float(at):
        pass
    claims.append(lock)
    print(lock.try_acquire(), flush=True)
"""


def test_of_two_who_claim_at_once_exactly_one_wins(tmp_path: Path, start: Start) -> None:
    claimers = [start(CLAIMS_AT_A_TIME) for _ in range(2)]
    for number in range(20):
        at = time.time() + 0.02
        for claimer in claimers:
            assert claimer.stdin is not None
            print(f"{tmp_path / str(number)}|{at}", file=claimer.stdin, flush=True)
        answers = [claimer.stdout.readline() for claimer in claimers if claimer.stdout]
        assert sorted(answers) == ["False\n", "True\n"]


CLAIMS_AND_MOVES = """
import sys
from pathlib import Path
from convscope.runs.lock import RunLocked, RunLock, archive_run
print("ready", flush=True)
run, moved = Path(sys.argv[1]), 0
for turn in range(60):
    lock = RunLock(run)
    while not lock.try_acquire():
        pass
    assert lock.is_valid
    owner = run / "owner"
    owner.touch(exist_ok=False)  # Whoever holds the run owns this file: a second owner fails here.
    assert lock.is_valid
    owner.unlink()
    lock.release()
    if turn % 3 == 0:
        try:
            moved += archive_run(run) is not None
        except RunLocked:
            pass
print(moved)
"""


def test_claims_hold_while_others_move_the_folder_aside(tmp_path: Path, start: Start) -> None:
    workers = [start(CLAIMS_AND_MOVES, tmp_path / "run") for _ in range(4)]
    moved = sum(int(worker.stdout.read()) for worker in workers if worker.stdout)
    assert moved > 0
    assert len(os.listdir(tmp_path / "replaced")) == moved


@pytest.fixture
def after_locking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something once, between the lock and the check of what it guards."""

    def install(act: Callable[[], object]) -> None:
        real, pending = filelock.FileLock.acquire, [act]

        def acquire(lock: filelock.FileLock, *arguments: Any, **options: Any) -> Any:
            proxy = real(lock, *arguments, **options)
            if pending:
                pending.pop()()
            return proxy

        monkeypatch.setattr(filelock.FileLock, "acquire", acquire)

    return install


def test_a_claim_on_a_folder_that_was_moved_meanwhile_is_made_again(
    tmp_path: Path, after_locking: Callable[[Callable[[], object]], None]
) -> None:
    run = tmp_path / "run"
    after_locking(lambda: run.rename(tmp_path / "moved"))
    lock = RunLock(run)
    assert lock.try_acquire()
    assert lock.is_valid
    assert is_locked(run)
    assert not is_locked(tmp_path / "moved")


def test_a_claim_on_a_folder_that_was_deleted_and_claimed_meanwhile_fails(
    tmp_path: Path, start: Start, after_locking: Callable[[Callable[[], object]], None]
) -> None:
    run = tmp_path / "run"

    def claimed_by_another() -> None:
        (run / ".lock").unlink()
        run.rmdir()
        start(HOLDER, run)

    after_locking(claimed_by_another)
    assert not RunLock(run).try_acquire()
    assert is_locked(run)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no open file")
def test_deleting_the_folder_ends_the_claim(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with RunLock(run) as lock:
        shutil.rmtree(run)
        assert not lock.is_valid
        with RunLock(run) as other:
            assert other.is_valid
            assert not lock.is_valid


def test_moved_aside_under_a_new_number_each_time(tmp_path: Path) -> None:
    run = tmp_path / "study" / "run"
    assert archive_run(run) is None
    assert not run.exists()
    for number in (1, 2, 3):
        with RunLock(run):
            (run / "run.json").write_text(str(number))
        moved = archive_run(run)
        assert moved == tmp_path / "study" / "replaced" / f"run-{number}"
        assert not run.exists()
        assert not is_locked(moved)
    for number in (1, 2, 3):
        kept = tmp_path / "study" / "replaced" / f"run-{number}" / "run.json"
        assert kept.read_text() == str(number)


def written_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.host.2.0").write_text("first")
    (folder / "events.out.tfevents.3.host.4.0").write_text("second")
    (folder / "run.json").write_text("{}")
    return folder


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != ".lock"}


HIDDEN = {
    "events.out.replaced.1.host.2.0": "first",
    "events.out.replaced.3.host.4.0": "second",
    "run.json": "{}",
}


def test_event_files_of_a_run_moved_aside_are_kept_from_tensorboard(tmp_path: Path) -> None:
    moved = archive_run(written_run(tmp_path / "run"))
    assert moved is not None
    assert files(moved) == HIDDEN


def test_a_move_that_was_killed_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the kill comes, a run in its place has its event files."""
    real, allowed = os.rename, [0]

    def rename(source: Path, target: Path) -> None:
        if allowed[0] == 0:
            raise KeyboardInterrupt
        allowed[0] -= 1
        real(source, target)

    monkeypatch.setattr("convscope.runs.lock.os.rename", rename)
    for steps in range(3):
        run = written_run(tmp_path / str(steps))
        allowed[0] = steps
        with pytest.raises(KeyboardInterrupt):
            archive_run(run)
        first = tmp_path / "replaced" / f"{steps}-1"
        assert run.exists() != first.exists()
        if run.exists():
            assert len(list(run.glob("events.out.tfevents.*"))) == 2
        else:
            written_run(run)
        allowed[0] = 100
        moved = archive_run(run)
        assert moved is not None
        assert files(moved) == files(first) == HIDDEN


def test_a_link_among_runs_moved_aside_is_left_alone(tmp_path: Path) -> None:
    elsewhere = written_run(tmp_path / "elsewhere")
    (tmp_path / "replaced").mkdir()
    (tmp_path / "replaced" / "run-1").symlink_to(elsewhere)
    moved = archive_run(written_run(tmp_path / "run"))
    assert moved == tmp_path / "replaced" / "run-2"
    assert "events.out.tfevents.1.host.2.0" in files(elsewhere)


def test_a_run_in_training_is_not_moved(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    start(HOLDER, run)
    with pytest.raises(RunLocked, match="is being trained by another process"):
        archive_run(run)
    assert os.listdir(tmp_path) == ["run"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    for place, message in {
        "file/run": "file/run cannot be claimed: File exists; set output_dir to another folder",
        "file/study/run": "run cannot be claimed: Not a directory; set output_dir",
        "file": "file cannot be claimed: Not a directory; set output_dir",
        "nowhere": "nowhere cannot be claimed: it is moved again and again; set output_dir",
    }.items():
        with pytest.raises(UserError, match=message):
            RunLock(tmp_path / place).try_acquire()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match=r"\.lock is not a regular file"):
        RunLock(tmp_path / "run").try_acquire()
    with pytest.raises(UserError, match=r"\.lock is not a regular file"):
        is_locked(tmp_path / "run")
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX's")
def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(UserError, match="its file system has no locks; set output_dir"):
        RunLock(tmp_path).try_acquire()
    assert not is_locked(tmp_path)
