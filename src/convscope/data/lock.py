"""A lock for files that several processes may write."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from convscope.files import open_regular


@contextmanager
def exclusive(target: Path, deadline: float | None = None) -> Iterator[None]:
    """Hold the lock of `target` within this block; the lock is a file in the same folder.

    Args:
        target: A file or folder that need not exist; its parent folder is created.
        deadline: Time by `time.monotonic()`, in seconds, until which to wait; None waits forever.

    Raises:
        TimeoutError: Another process still held the lock at `deadline`.
        NotRegularFile: A link, a pipe or a folder has the lock's name.
        OSError: The lock cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.lock")
    # If the lock were a link, FileLock would truncate the file that it points to.
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
    wait = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        lock = FileLock(path).acquire(timeout=wait)
    except Timeout as error:
        raise TimeoutError("another process is still writing it") from error
    with lock:
        yield
