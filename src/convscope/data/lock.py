"""One process at a time, where several would write the same file."""

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
    """Be the only process within this block for `target`; the lock is a file beside it.

    Args:
        target: A file or folder that need not exist; its parent folder is made.
        deadline: Of `time.monotonic()`, in seconds; without it, the wait has no end.

    Raises:
        TimeoutError: Another process still had it at `deadline`.
        NotRegularFile: A link, a pipe or a folder has the lock's name.
        OSError: The lock cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.lock")
    # FileLock would empty what a link of that name leads to.
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
    wait = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        lock = FileLock(path).acquire(timeout=wait)
    except Timeout as error:
        raise TimeoutError("another process is still at it") from error
    with lock:
        yield
