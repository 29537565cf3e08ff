"""Who trains a run: one process, for as long as it lives.

On one host by the operating system's lock; between hosts also by signs of life, see `heartbeat`.
"""

import contextlib
import errno
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from convscope.errors import UserError
from convscope.files import open_regular, sync_folder
from convscope.runs.directory import EVENT_FILES, REPLACED, RunDirectory
from convscope.runs.heartbeat import Heartbeat, beats_elsewhere, start_heartbeat

if TYPE_CHECKING:
    from filelock import BaseFileLock

# `is_locked` takes a lock for microseconds: a claim tries a little longer before it gives up.
_PATIENCE_S = 0.1
_POLL_S = 0.01
_WAIT_S = 0.5
_ATTEMPTS = 100
_NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


class RunLocked(UserError):
    """A live process trains this run."""


class ClaimLost(UserError):
    """The folder of a run that is being trained is no longer the one that was claimed."""


@dataclass(frozen=True)
class Claim:
    """What a claim guards, for all processes of a run to look at.

    Args:
        lock: device and inode of the lock's file, as claimed.
    """

    run_dir: Path
    lock: tuple[int, int]

    @property
    def stands(self) -> bool:
        """Whether the folder is there as it was claimed: neither deleted nor moved nor replaced."""
        return _inode(RunDirectory(self.run_dir).lock) == self.lock

    def check(self) -> None:
        """Raise ClaimLost where the claim no longer stands."""
        if not self.stands:
            raise ClaimLost(
                f"{self.run_dir} was deleted, moved or replaced while it was trained, and nothing"
                " more is written there; give the same command again"
            )


class RunLock:
    """The claim to one run's folder.

    The kernel releases it when the process ends, however it ends; to hosts that do not see the
    kernel's locks, a process is dead that has given no sign of life for `DEAD_S`. The claim belongs
    to this object: keep it for as long as the claim is needed.

    Example:
        with RunLock(run_dir): ...   # raises RunLocked where a live process has it
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._path = RunDirectory(run_dir).lock
        self._lock: BaseFileLock | None = None
        self._claim: Claim | None = None
        self._heartbeat: Heartbeat | None = None

    def try_acquire(self) -> bool:
        """Create the folder and claim it; False where a live process has it.

        Raises:
            UserError: The folder cannot be made or written, or its file system has no locks.
        """
        if self._lock is not None:
            raise RuntimeError(f"{self._path} is claimed by this object already")
        try:
            return self._try_claim()
        except OSError as error:
            what = error.strerror or str(error)
            if error.errno in _NO_LOCKS_HERE:
                what = "its file system has no locks"
            raise UserError(
                f"{self.run_dir} cannot be claimed: {what}; set output_dir to another folder"
            ) from error

    def acquire(self, blocking: bool = False) -> bool:
        """`try_acquire`, and where `blocking`, again until the run is free."""
        while not self.try_acquire():
            if not blocking:
                return False
            time.sleep(_WAIT_S)
        return True

    @property
    def is_valid(self) -> bool:
        """Whether the claim is ours and still guards this path: deleting the folder ends it."""
        return self._claim is not None and self._claim.stands

    @property
    def claim(self) -> Claim:
        """What is claimed, while it is."""
        if self._claim is None:
            raise RuntimeError(f"{self._path} is not claimed by this object")
        return self._claim

    def release(self) -> None:
        """Give the claim back; nothing happens where there is none."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            self._claim = None

    def __enter__(self) -> "RunLock":
        if not self.try_acquire():
            raise RunLocked(f"{self.run_dir} is being trained by another process")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _try_claim(self) -> bool:
        # Imported here: 40 ms that those who only read runs need not pay.
        from filelock import FileLock, Timeout

        self.run_dir.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            try:
                before = self._make_file()
                # Raises where there are no locks: filelock would turn to marker files there, and
                # those outlive `kill -9`.
                if _probe(self._path):
                    return False
                lock = FileLock(self._path, thread_local=False)
                lock.acquire(timeout=_PATIENCE_S, poll_interval=_POLL_S)
            except Timeout:
                return False
            except (FileNotFoundError, FileExistsError):
                continue  # The folder was deleted or moved, and perhaps made anew, just now.
            if before is not None and before == _inode(self._path):
                return self._beat(lock, before)
            lock.release()  # As above, but too late for an error: this lock guards nothing.
        raise OSError(errno.ENOENT, "it does not stay in place")

    def _beat(self, lock: "BaseFileLock", claimed: tuple[int, int]) -> bool:
        # Touched: the time that this leaves is the disk's own clock.
        os.utime(self._path)
        self._heartbeat = start_heartbeat(self.run_dir, os.stat(self._path).st_mtime)
        if self._heartbeat is None:
            lock.release()
            return False
        self._lock, self._claim = lock, Claim(self.run_dir, claimed)
        return True

    def _make_file(self) -> tuple[int, int] | None:
        # Not `exist_ok=True`: that raises where the folder is moved at this very moment.
        with contextlib.suppress(FileExistsError):
            self.run_dir.mkdir()
        os.close(open_regular(self._path, os.O_RDWR | os.O_CREAT))
        return _inode(self._path)


def is_locked(run_dir: Path) -> bool:
    """Whether a live process trains this run; creates nothing and needs no right to write.

    One of another host whose locks are not seen here lives by the clocks of both.

    Raises:
        UserError: The lock's file may not be opened.
    """
    path = RunDirectory(run_dir).lock
    try:
        return _probe(path) or beats_elsewhere(run_dir)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return False  # Nobody can have claimed it: see `try_acquire`.
        raise UserError(f"{path} cannot be opened: {error.strerror or error}") from error


if sys.platform == "win32":

    def _probe(path: Path) -> bool:
        from filelock import FileLock, Timeout

        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=_PATIENCE_S, poll_interval=_POLL_S):
                return False
        except Timeout:
            return True

else:
    import fcntl

    def _probe(path: Path) -> bool:
        descriptor = open_regular(path)
        try:
            # Shared: two who ask at once do not take each other for a claim.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return True
            raise
        finally:
            os.close(descriptor)
        return False


def move_aside(run_dir: Path) -> Path | None:
    """Rename a run's folder to `<study>/replaced/<run>-<n>`, so that it can be trained anew.

    Call it before claiming the run: it holds the claim itself while it moves the folder. After that
    the run's event files are called `events.out.replaced.*`, so that TensorBoard shows the run that
    takes its place and not this one too; named `events.out.tfevents.*` again, they are read as
    before.

    Returns:
        Where it lies now; None where there was nothing to move.

    Raises:
        RunLocked: A live process trains it.
        UserError: It cannot be moved.
    """
    if not run_dir.exists():
        return None
    with RunLock(run_dir) as lock:
        if sys.platform == "win32":
            lock.release()  # Windows moves no folder that holds an open file.
        try:
            return _rename(run_dir)
        except OSError as error:
            raise UserError(f"{run_dir} cannot be moved: {error.strerror or error}") from error


def _rename(run_dir: Path) -> Path:
    replaced = run_dir.parent / REPLACED
    replaced.mkdir(exist_ok=True)
    number = 1
    while os.path.lexists(target := replaced / f"{run_dir.name}-{number}"):
        _retire(target)  # Left to do by one who was killed after the rename below.
        number += 1
    # Only the run's holder takes names that begin so, and a folder that is not empty is never
    # replaced by a rename.
    os.rename(run_dir, target)
    sync_folder(replaced)
    sync_folder(run_dir.parent)
    # Not before: killed in between, a run that stays in its place would lack its event files.
    _retire(target)
    return target


def _retire(run_dir: Path) -> None:
    """Hide the event files of a run that was moved, and end its claim's sign of life."""
    if run_dir.is_symlink():
        return  # Not ours: what it points at may be a run that counts.
    RunDirectory(run_dir).heartbeat.unlink(missing_ok=True)
    for path in run_dir.glob(EVENT_FILES):
        os.rename(path, path.with_name(path.name.replace("tfevents", "replaced")))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
