"""Safe reads and writes of files that others may have put there.

Regular files are read, within bounds; new ones replace what stood at their name and follow no link.
A named pipe, a socket or a device would hold up whoever opens it, or never end.
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
"""Else opening a named pipe waits for who is at its other end; a regular file does not know it."""
_BINARY = getattr(os, "O_BINARY", 0)
_NOT_REGULAR = (errno.ELOOP, errno.ENXIO, errno.EISDIR)
"""What `open` answers for a link that must not be followed, for a socket, and for a folder."""


class NotRegularFile(UserError):
    """A folder, a pipe, a socket, a device, or a link where none is followed."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(f"{on_one_line(str(path))} is not a regular file")


class FileTooLarge(UserError):
    """More bytes than the file may have."""

    def __init__(self, path: str | Path, most_bytes: int) -> None:
        super().__init__(f"{on_one_line(str(path))} has more than {most_bytes:,} bytes")


def open_regular(path: str | Path, flags: int = os.O_RDONLY, *, follow_links: bool = False) -> int:
    """Open a regular file without ever waiting; the caller closes the descriptor.

    Args:
        flags: as `os.open` takes them; with `os.O_CREAT` a file is made where there is none.
        follow_links: whether the file itself may be a link, to a regular file.

    Raises:
        NotRegularFile: something else stands there.
        OSError: as `os.open`.
    """
    # The look before: to open a device can have effects of its own.
    try:
        found = os.stat(path, follow_symlinks=follow_links)
    except FileNotFoundError:
        pass  # `os.open` says so, or makes it.
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
        # What stands there may be something else since the look.
        _check_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(path: str | Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegularFile(path)


def read_regular(path: str | Path, most_bytes: int, *, follow_links: bool = False) -> bytes:
    """Read a regular file whole.

    Raises:
        NotRegularFile, FileTooLarge: it is none, or has more than `most_bytes`.
        OSError: as `os.open`, or while it is read.
    """
    with os.fdopen(open_regular(path, follow_links=follow_links), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise FileTooLarge(path, most_bytes)
        # As many bytes as it has, for as many as it may have would be allocated.
        content = file.read(size + 1)
        if len(content) > size:
            # It grows while it is read, or is one of /proc, which have no size.
            content += file.read(most_bytes + 1 - len(content))
    if len(content) > most_bytes:
        raise FileTooLarge(path, most_bytes)
    return content


def create(path: str | Path) -> BinaryIO:
    """Open a new, empty file to write to; what stood at its name is removed, unless a folder.

    Raises:
        OSError: a folder stands there, or none can be made.
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
    """Replace a file whole: whoever reads it, at whatever moment, finds the old or the new content.

    It is written beside `path`, flushed to the disk, and renamed over `path`.

    One writer at a time: the temporary name is fixed, so that a writer killed here leaves at most
    one stray file, which the next one removes. A run's files are written under its lock.

    Raises:
        UserError: the disk is full or not writable; what `path` held before is whole.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with create(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
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
