"""Read and write files safely in folders that other programs write to.

Only regular files are read, up to a given size; new files replace the old and follow no link.
Opening a named pipe, a socket or a device could block or never reach an end.
"""

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from convscope.errors import UserError, on_one_line

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""Without it, opening a named pipe waits for its other end; regular files ignore it."""
_BINARY = getattr(os, "O_BINARY", 0)
_NOT_REGULAR = (errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""Errors of `os.open` at a link that must not be followed, a socket, and a folder."""


class NotRegularFile(UserError):
    """A folder, pipe, socket, device, or a link that is not followed, in place of a file."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(f"{on_one_line(str(path))} is not a regular file")


class FileTooLarge(UserError):
    """A file that is larger than `max_bytes`."""

    def __init__(self, path: str | Path, max_bytes: int) -> None:
        super().__init__(f"{on_one_line(str(path))} has more than {max_bytes:,} bytes")


def open_regular(path: str | Path, flags: int = os.O_RDONLY, *, follow_links: bool = False) -> int:
    """Open a regular file without blocking and return its descriptor; the caller closes it.

    Args:
        path: The file.
        flags: Flags of `os.open`; `os.O_CREAT` creates the file if it is missing.
        follow_links: Whether `path` may be a link to a regular file.

    Raises:
        NotRegularFile: `path` is something else.
        OSError: As `os.open`.
    """
    # Checked before opening: opening a device may have side effects.
    try:
        found = os.stat(path, follow_symlinks=follow_links)
    except FileNotFoundError:
        pass  # `os.open` raises it, or creates the file.
    else:
        _check_regular(path, found)
    try:
        flags |= _NO_WAIT | _BINARY | (0 if follow_links else _NO_FOLLOW)
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise NotRegularFile(path) from error
        raise
    try:
        # Checked again: the file may have been replaced since.
        _check_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: str | Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegularFile(path)


def read_regular(path: str | Path, max_bytes: int, *, follow_links: bool = False) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        max_bytes: Largest size to accept.
        follow_links: Whether `path` may be a link to a regular file.

    Raises:
        NotRegularFile: `path` is something else.
        FileTooLarge: The file has more than `max_bytes`.
        OSError: The file cannot be opened or read.
    """
    with os.fdopen(open_regular(path, follow_links=follow_links), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise FileTooLarge(path, max_bytes)
        # Not `max_bytes`: Python would allocate as many.
        content = file.read(size + 1)
        if len(content) > size:
            # The file is growing, or is in /proc, where sizes are 0.
            content += file.read(max_bytes + 1 - len(content))
    if len(content) > max_bytes:
        raise FileTooLarge(path, max_bytes)
    return content


def create_file(path: str | Path) -> BinaryIO:
    """Open a new, empty file for writing; remove an old one first.

    Raises:
        OSError: `path` is a folder, or the file cannot be created.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        if os.path.isdir(path):
            name = os.path.basename(path)
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder", str(path)) from error
        raise
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file atomically: a reader finds either the old or the new content.

    The data is written to a temporary file in the same folder, flushed to the disk, and renamed.

    The caller ensures a single writer, by a lock: the temporary name is fixed, so that a killed
    writer leaves at most one temporary file, which the next one removes.

    Raises:
        UserError: The disk is full or not writable; the old content is intact.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with create_file(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException as error:
        # The first error is the one to report; a leftover temporary file is harmless.
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise UserError(f"{path} could not be written: {error.strerror or error}") from error
        raise


def sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, so that new files survive a power failure."""
    if sys.platform == "win32":
        return  # Windows cannot open folders; NTFS journals its names.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
