"""The heartbeat of a process that trains a run, for hosts that do not share locks.

On some shared disks (NFS mounted with `local_lock`, Lustre with `localflock`) a lock is effective
on its own host only. So the process that has claimed a run also rewrites a file every
`INTERVAL_S`.
"""

import contextlib
import functools
import os
import threading
import time
import uuid
from pathlib import Path

from convscope.files import open_regular, read_regular
from convscope.runs.directory import RunDirectory

INTERVAL_S = 15.0
"""Time between two beats, seconds."""
TIMEOUT_S = 90.0
"""Age of the last beat, in seconds, after which a process counts as dead; the clocks of hosts may
differ by `TIMEOUT_S - INTERVAL_S`."""
_SETTLE_S = 0.5
"""Time to wait, in seconds, for another host that takes over the same run."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MAX_BYTES = 1024
"""Most bytes of a heartbeat file, far more than a host's identifier has."""


@functools.cache
def host_id() -> str:
    """Return an identifier shared by all processes of this kernel, which share its locks."""
    return _BOOT.read_text().strip() if _BOOT.exists() else f"{uuid.getnode():x}"


def is_alive_elsewhere(run_dir: Path, now: float | None = None) -> bool:
    """Return whether a live process of another host has claimed this run.

    Args:
        run_dir: The run's folder.
        now: Time by the disk's clock, seconds since 1970; None takes this host's clock.

    Raises:
        OSError: The heartbeat file cannot be read.
        UserError: It is not a regular file.
    """
    try:
        # Opened, not only examined by `stat`: NFS then asks the server for the current time stamp.
        file = open_regular(RunDirectory(run_dir).heartbeat)
        try:
            host, last_beat = os.read(file, _MAX_BYTES), os.fstat(file).st_mtime
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return host not in (b"", host_id().encode()) and (now or time.time()) - last_beat < TIMEOUT_S


def start_heartbeat(run_dir: Path, now: float) -> "Heartbeat | None":
    """Start and return a heartbeat; None if a live process of another host has claimed the run.

    The caller has the run's lock on this host.

    Args:
        run_dir: The run's folder.
        now: Time by the disk's clock, seconds since 1970.

    Raises:
        OSError: The heartbeat file cannot be written.
    """
    if is_alive_elsewhere(run_dir, now):
        return None
    path = RunDirectory(run_dir).heartbeat
    is_new = not os.path.lexists(path)
    is_takeover = not is_new and _host_of(path) != host_id()
    try:
        heartbeat = Heartbeat(path, is_new)
    except FileExistsError:
        # Another host has just created it.
        return None
    if is_takeover:
        # Two hosts may find a third one dead at once: the last to write gets the run.
        time.sleep(_SETTLE_S)
        if _host_of(path) != host_id():
            return None
    return heartbeat


class Heartbeat:
    """A thread that rewrites a heartbeat file until it is stopped or garbage-collected.

    Args:
        path: The heartbeat file.
        is_new: Whether the file does not exist yet.

    Raises:
        FileExistsError: `is_new`, but the file exists by now.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, is_new: bool) -> None:
        self._path = path
        self._ended = threading.Event()
        flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if is_new else os.O_TRUNC)
        self._file = open_regular(path, flags)
        try:
            _beat(self._file)
        except OSError:
            os.close(self._file)
            raise
        self._identity = os.fstat(self._file)
        threading.Thread(target=_beat_until, args=(self._file, self._ended), daemon=True).start()

    def stop(self) -> None:
        """Stop and delete the file, unless it was replaced by another process."""
        self._ended.set()
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._identity, os.lstat(self._path)):
                self._path.unlink()

    def __del__(self) -> None:
        self._ended.set()


def _host_of(path: Path) -> str:
    try:
        return read_regular(path, _MAX_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _beat(file: int) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, host_id().encode())
    # Flushed: otherwise the time stamp may be that of a later write.
    os.fsync(file)


def _beat_until(file: int, ended: threading.Event) -> None:
    while not ended.wait(INTERVAL_S):
        # Ignored, since the next beat may succeed: a full disk may have room again by then.
        with contextlib.suppress(OSError):
            _beat(file)
    os.close(file)
