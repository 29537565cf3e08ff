"""Signs of life of a run's holder, for hosts whose locks do not reach each other.

On some shared disks (NFS mounted with `local_lock`, Lustre with `localflock`) a host's locks are
its own. What its process claims is therefore also shown by a file that is written again and again.
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

BEAT_S = 15.0
DEAD_S = 90.0
"""Without a sign of life: hosts' clocks may differ by as much less what lies between two beats."""
_SETTLE_S = 0.5
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MOST_BYTES = 1024
"""Of a host's name, many times over."""


@functools.cache
def this_host() -> str:
    """One for all processes of a kernel, whose locks see each other."""
    return _BOOT.read_text().strip() if _BOOT.exists() else f"{uuid.getnode():x}"


def beats_elsewhere(run_dir: Path, now: float | None = None) -> bool:
    """Whether a process of another host has claimed this run and lives.

    Args:
        now: by the clock of the disk, seconds since 1970; by default this host's.

    Raises:
        OSError: the sign may not be read.
        UserError: it is no regular file.
    """
    try:
        # Opened, not only looked at: NFS then asks the server for the time of the last beat.
        file = open_regular(RunDirectory(run_dir).heartbeat)
        try:
            host, beaten = os.read(file, _MOST_BYTES), os.fstat(file).st_mtime
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return host not in (b"", this_host().encode()) and (now or time.time()) - beaten < DEAD_S


def start_heartbeat(run_dir: Path, now: float) -> "Heartbeat | None":
    """Begin to beat; None where a process of another host lives, or took the run just now.

    To be called by who holds the run's lock on this host.

    Args:
        now: by the clock of the disk, seconds since 1970.

    Raises:
        OSError: the sign cannot be written.
    """
    if beats_elsewhere(run_dir, now):
        return None
    path = RunDirectory(run_dir).heartbeat
    is_new = not os.path.lexists(path)
    is_takeover = not is_new and _host_of(path) != this_host()
    try:
        heartbeat = Heartbeat(path, is_new)
    except FileExistsError:
        # Another host was quicker.
        return None
    if is_takeover:
        # Two hosts may see the same one dead at once: who wrote last has the run.
        time.sleep(_SETTLE_S)
        if _host_of(path) != this_host():
            return None
    return heartbeat


class Heartbeat:
    """Beats until it is stopped, or until it or its process is gone.

    Args:
        is_new: whether nobody has left a sign there.

    Raises:
        FileExistsError: somebody has by now.
        OSError: the sign cannot be written.
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
        """Take the sign away, where it is still this one."""
        self._ended.set()
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._identity, os.lstat(self._path)):
                self._path.unlink()

    def __del__(self) -> None:
        self._ended.set()


def _host_of(path: Path) -> str:
    try:
        return read_regular(path, _MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _beat(file: int) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, this_host().encode())
    # Else the disk's time of the beat may be that of a later moment.
    os.fsync(file)


def _beat_until(file: int, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        # A beat that fails is a beat that is missed: a full disk may have room at the next.
        with contextlib.suppress(OSError):
            _beat(file)
    os.close(file)
