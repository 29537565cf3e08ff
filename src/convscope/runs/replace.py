"""Replacing a file whole: whoever reads it, at whatever moment, sees the old or the new content."""

import contextlib
import os
import sys
from pathlib import Path

from convscope.errors import UserError
from convscope.files import create


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk, and rename it over `path`.

    One writer at a time: the temporary name is fixed, so that a writer killed here leaves at most
    one stray file, which the next one removes. A run's files are written under its lock.

    Raises:
        UserError: The disk is full or not writable; what `path` held before is whole.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        _write_through(temporary, data)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        # The first error is the one to tell; a stray file that stays is harmless.
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise UserError(f"{path} could not be written: {error.strerror or error}") from error
        raise


def sync_folder(folder: Path) -> None:
    """Make a creation or renaming inside `folder` outlast a power cut."""
    if sys.platform == "win32":
        return  # Windows opens no folders; NTFS journals its names.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_through(path: Path, data: bytes) -> None:
    with create(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
