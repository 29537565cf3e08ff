"""The lock of a run, which a single process has while it trains the run.

On one host it is the operating system's lock; between hosts a heartbeat too, see `heartbeat`.
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
from convscope.runs.heartbeat import Heartbeat, is_alive_elsewhere, start_heartbeat

if TYPE_CHECKING:
    from filelock import BaseFileLock

# `is_locked` takes the lock for microseconds: a claim must try for longer than that.
_TIMEOUT_S = 0.1
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
    """A claimed folder, which all processes of a run can check.

    Attributes:
        run_dir: The run's folder.
        lock: Device and inode of the lock's file when it was claimed.
    """

    run_dir: Path
    lock: tuple[int, int]

    @property
    def is_intact(self) -> bool:
        """Whether the claimed folder was neither deleted nor moved nor replaced."""
        return _inode(RunDirectory(self.run_dir).lock) == self.lock

    def check(self) -> None:
        """Raise ClaimLost if the folder was deleted, moved or replaced."""
        if not self.is_intact:
            raise ClaimLost(
                f"{self.run_dir} was deleted, moved or replaced while it was trained, and nothing"
                " more is written there; give the same command again"
            )


class RunLock:
    """The exclusive lock of a run's folder.

    The kernel releases it when the process ends, however it ends. Hosts that do not share the
    kernel's locks consider a process dead after `heartbeat.TIMEOUT_S` without a heartbeat. The lock
    is also released when this object is garbage-collected.

    Args:
        run_dir: The run's folder.

    Example:
        with RunLock(run_dir): ...   # raises RunLocked if a live process has the lock
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._path = RunDirectory(run_dir).lock
        self._lock: BaseFileLock | None = None
        self._claim: Claim | None = None
        self._heartbeat: Heartbeat | None = None

    def try_acquire(self) -> bool:
        """Create the folder and claim it; return False if a live process has the lock.

        Raises:
            UserError: The folder cannot be created or written, or its file system has no locks.
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
        """Call `try_acquire`, and if `blocking`, repeat it until the run is free."""
        while not self.try_acquire():
            if not blocking:
                return False
            time.sleep(_WAIT_S)
        return True

    @property
    def is_valid(self) -> bool:
        """Whether this object has the lock and the folder was not deleted, moved or replaced."""
        return self._claim is not None and self._claim.is_intact

    @property
    def claim(self) -> Claim:
        """The claim, which exists only while this object has the lock."""
        if self._claim is None:
            raise RuntimeError(f"{self._path} is not claimed by this object")
        return self._claim

    def release(self) -> None:
        """Release the lock; do nothing if this object does not have it."""
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
        self.run_dir.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            try:
                before = self._make_file()
                # Raises if there are no locks: filelock would then use marker files, which remain
                # after `kill -9`.
                if _probe(self._path):
                    return False
                lock = _acquire(self._path)
            except (FileNotFoundError, FileExistsError):
                continue  # The folder was deleted, moved or replaced meanwhile: try again.
            if lock is None:
                return False
            if before is not None and before == _inode(self._path):
                return self._start_heartbeat(lock, before)
            lock.release()  # The folder was replaced meanwhile: this lock is of no use.
        raise OSError(errno.ENOENT, "it is moved again and again")

    def _start_heartbeat(self, lock: "BaseFileLock", claimed: tuple[int, int]) -> bool:
        # The resulting time stamp is the current time by the disk's clock.
        os.utime(self._path)
        self._heartbeat = start_heartbeat(self.run_dir, os.stat(self._path).st_mtime)
        if self._heartbeat is None:
            lock.release()
            return False
        self._lock, self._claim = lock, Claim(self.run_dir, claimed)
        return True

    def _make_file(self) -> tuple[int, int] | None:
        # Not `exist_ok=True`, which raises if the folder is moved at the same moment.
        with contextlib.suppress(FileExistsError):
            self.run_dir.mkdir()
        os.close(open_regular(self._path, os.O_RDWR | os.O_CREAT))
        return _inode(self._path)


def is_locked(run_dir: Path) -> bool:
    """Return whether a live process trains this run; nothing is created or written.

    A process of a host that does not share locks counts as alive by its last heartbeat.

    Raises:
        UserError: The lock's file cannot be opened.
    """
    path = RunDirectory(run_dir).lock
    try:
        return _probe(path) or is_alive_elsewhere(run_dir)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return False  # `try_acquire` refuses such a file system, so nobody has the lock.
        raise UserError(f"{path} cannot be opened: {error.strerror or error}") from error


def _acquire(path: Path) -> "BaseFileLock | None":
    """Lock the file; return None if another process has locked it."""
    # Imported here: it takes 40 ms, which reading runs does not need.
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=_TIMEOUT_S, poll_interval=_POLL_S)
    except Timeout:
        return None
    return lock


if sys.platform == "win32":

    def _probe(path: Path) -> bool:
        if not path.exists():
            return False
        lock = _acquire(path)
        if lock is not None:
            lock.release()
        return lock is None

else:
    import fcntl

    def _probe(path: Path) -> bool:
        descriptor = open_regular(path)
        try:
            # Shared: two simultaneous probes must not take each other for a claim.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return True
            raise
        finally:
            os.close(descriptor)
        return False


def archive_run(run_dir: Path) -> Path | None:
    """Move a run's folder to `<study>/replaced/<run>-<n>`, so that the run can be trained again.

    Call it before claiming the run, since it takes the lock itself while it moves the folder. The
    moved event files are renamed to `events.out.replaced.*`, so that TensorBoard shows only the new
    run; renamed back to `events.out.tfevents.*`, they are shown again.

    Returns:
        The new path; None if the folder does not exist.

    Raises:
        RunLocked: A live process trains the run.
        UserError: The folder cannot be moved.
    """
    if not run_dir.exists():
        return None
    with RunLock(run_dir) as lock:
        if sys.platform == "win32":
            lock.release()  # Windows cannot move a folder with an open file in it.
        try:
            return _rename(run_dir)
        except OSError as error:
            raise UserError(f"{run_dir} cannot be moved: {error.strerror or error}") from error


def _rename(run_dir: Path) -> Path:
    replaced = run_dir.parent / REPLACED
    replaced.mkdir(exist_ok=True)
    number = 1
    while os.path.lexists(target := replaced / f"{run_dir.name}-{number}"):
        _retire(target)  # In case a process was killed after the rename below.
        number += 1
    # The lock of the run excludes others from this name, and `rename` never replaces a folder that
    # is not empty.
    os.rename(run_dir, target)
    sync_folder(replaced)
    sync_folder(run_dir.parent)
    # After the move: if the process is killed in between, no unmoved run lacks its event files.
    _retire(target)
    return target


def _retire(run_dir: Path) -> None:
    """Hide a moved run's event files from TensorBoard, and delete its heartbeat file."""
    if run_dir.is_symlink():
        return  # Not created by us; it may point to a run in use.
    RunDirectory(run_dir).heartbeat.unlink(missing_ok=True)
    for path in run_dir.glob(EVENT_FILES):
        os.rename(path, path.with_name(path.name.replace("tfevents", "replaced")))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
