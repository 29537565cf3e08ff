"""How a command writes to its standard streams: none that cannot be written ends or fails it.

A terminal goes away, a reader closes its pipe, a disk is full, a stream was closed or knows only
ASCII: what is written then is lost, and the command goes on.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from typing_extensions import override

from convscope.errors import UserError, in_short, interrupted_code
from convscope.text import escape_control

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CANNOT_WRITE, BAD_INPUT = 1, 2
"""Exit codes."""


class _Descriptor(io.FileIO):
    """A file descriptor to which nothing more is written after a first failure.

    Attributes:
        error: that failure.
    """

    error: OSError | None = None

    @override
    def write(self, data: ReadableBuffer, /) -> int:
        while self.error is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.error = error
            else:
                if written is not None:
                    return written
                # The descriptor does not block, and its reader is slow.
                select.select([], [self], [])
        return memoryview(data).nbytes


@contextmanager
def lasting_streams() -> Iterator[_Descriptor | None]:
    """Make `sys.stdout` and `sys.stderr` survive whatever they write to.

    Yields:
        What standard output writes to; None where a program has put an object of its own there.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    sys.stdout, out = _lasting(sys.stdout, 1)
    sys.stderr, err = _lasting(sys.stderr, 2)
    try:
        yield out
    finally:
        for stream, raw in ((sys.stdout, out), (sys.stderr, err)):
            if raw is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: IO[str] | None, descriptor: int) -> tuple[IO[str], _Descriptor | None]:
    encoding, line_buffering = "utf-8", descriptor == 2
    if stream is not None:
        if not isinstance(stream, io.TextIOWrapper):
            return stream, None
        try:
            descriptor = stream.fileno()
        except OSError:
            return stream, None
        encoding = stream.encoding
        line_buffering = stream.line_buffering
    raw = _Descriptor(descriptor, "w", closefd=False)
    lasting = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="replace", line_buffering=line_buffering
    )
    return lasting, raw


def open_missing() -> None:
    """Open what the process was started without, such as by `2>&-`, on the null device.

    Else the next file that is opened would get the number, and be written to as standard error.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def run_command(command: Callable[[], None]) -> int:
    """Do what a command was called for, with streams that last; give its exit code.

    128 + n after signal n, which is 130 after Ctrl-C; `BAD_INPUT` after a UserError, which is told;
    `CANNOT_WRITE` where standard output could not be written.
    """
    with command_streams() as out:
        try:
            command()
        except UserError as error:
            tell_error(error)
            return BAD_INPUT
        except KeyboardInterrupt as stop:
            return interrupted_code(stop)
        sys.stdout.flush()
        return CANNOT_WRITE if out is not None and out.error is not None else 0


@contextmanager
def command_streams() -> Iterator[_Descriptor | None]:
    """Be as `lasting_streams`, with `terminal_lines`.

    At the end it is told where standard output could not be written.
    """
    with lasting_streams() as out:
        try:
            with terminal_lines():
                yield out
        finally:
            sys.stdout.flush()
            if out is not None and out.error is not None:
                # A reader that has seen enough knows of it.
                if out.error.errno != errno.EPIPE:
                    tell(f"standard output could not be written: {out.error.strerror}")
                # Python would try once more as it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


class _Lines(logging.Handler):
    """Hands on messages; errors are told by whoever ends with them, and in full by train.log."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._write = write

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            self._write(record.getMessage())


@contextmanager
def terminal_lines(write: Callable[[str], None] | None = None) -> Iterator[None]:
    """Write a line for each message that ConvScope logs.

    Args:
        write: takes a line; `tell` by default.
    """
    logger, handler = logging.getLogger("convscope"), _Lines(write or tell)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def no_terminal_lines() -> Iterator[None]:
    """Keep what ConvScope logs from the terminal; a log file gets it all the same."""
    logger = logging.getLogger("convscope")
    shown = [one for one in logger.handlers if isinstance(one, _Lines)]
    for one in shown:
        logger.removeHandler(one)
    try:
        yield
    finally:
        for one in shown:
            logger.addHandler(one)


def tell(line: str) -> None:
    """Print a line for the person at the terminal, whatever names of files and the like it has."""
    print(escape_control(line), file=sys.stderr, flush=True)


def tell_error(error: UserError) -> None:
    """Print what is wrong, and in a second line what to do where that is known."""
    for line in in_short(f"error: {error}").split("\n"):
        tell(line)
