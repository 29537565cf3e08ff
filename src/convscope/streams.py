"""Standard streams that cannot fail a command.

Where a terminal is closed, a reader closes its pipe, a disk is full, or a stream is closed or only
takes ASCII, the output is lost and the command goes on.
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

from convscope.errors import UserError, interrupted_code, shorten_lines
from convscope.text import escape_control

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CANNOT_WRITE, BAD_INPUT = 1, 2
"""Exit codes."""


class _Descriptor(io.FileIO):
    """A file descriptor that discards all output after a first failure.

    Attributes:
        error: the failure, if any.
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
                # The descriptor is non-blocking and its buffer full: wait for the reader.
                select.select([], [self], [])
        return memoryview(data).nbytes


@contextmanager
def guarded_streams() -> Iterator[_Descriptor | None]:
    """Replace `sys.stdout` and `sys.stderr` with streams that never raise an error.

    Yields:
        The descriptor of standard output; None where `sys.stdout` has none, such as in a notebook.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    sys.stdout, out = _guarded(sys.stdout, 1)
    sys.stderr, err = _guarded(sys.stderr, 2)
    try:
        yield out
    finally:
        for stream, raw in ((sys.stdout, out), (sys.stderr, err)):
            if raw is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _guarded(stream: IO[str] | None, descriptor: int) -> tuple[IO[str], _Descriptor | None]:
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
    guarded = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="replace", line_buffering=line_buffering
    )
    return guarded, raw


def open_missing() -> None:
    """Open standard streams that were closed at start, such as by `2>&-`, on the null device.

    Otherwise the next opened file would get the number and receive what goes to standard error.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def run_command(command: Callable[[], None]) -> int:
    """Run a command with guarded streams and return its exit code.

    0; 128 + n after signal n, so 130 after Ctrl-C; `BAD_INPUT` after a UserError, which is printed;
    `CANNOT_WRITE` if standard output could not be written.
    """
    with command_streams() as out:
        try:
            command()
        except UserError as error:
            print_error(error)
            return BAD_INPUT
        except KeyboardInterrupt as stop:
            return interrupted_code(stop)
        sys.stdout.flush()
        return CANNOT_WRITE if out is not None and out.error is not None else 0


@contextmanager
def command_streams() -> Iterator[_Descriptor | None]:
    """Use `guarded_streams` and `log_to_terminal`; report at the end if writing failed.

    Yields:
        The descriptor of standard output, as `guarded_streams` does.
    """
    with guarded_streams() as out:
        try:
            with log_to_terminal():
                yield out
        finally:
            sys.stdout.flush()
            if out is not None and out.error is not None:
                # A reader that closed its pipe, such as `head`, needs no message.
                if out.error.errno != errno.EPIPE:
                    print_stderr(f"standard output could not be written: {out.error.strerror}")
                # Python would try to write again when it exits.
                os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


class _LineHandler(logging.Handler):
    """Passes on messages below ERROR, with control characters escaped.

    Errors are printed by the command that ends with them, and written to train.log in full.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._write = write

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            self._write(escape_control(record.getMessage()))


@contextmanager
def log_to_terminal(write: Callable[[str], None] | None = None) -> Iterator[None]:
    """Print each message that ConvScope logs as one line.

    Args:
        write: prints a line; `print_stderr` by default.
    """
    logger, handler = logging.getLogger("convscope"), _LineHandler(write or print_stderr)
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
def suspend_terminal_log() -> Iterator[None]:
    """Stop printing ConvScope's log messages; log files still get them."""
    logger = logging.getLogger("convscope")
    handlers = [handler for handler in logger.handlers if isinstance(handler, _LineHandler)]
    for handler in handlers:
        logger.removeHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.addHandler(handler)


def print_stderr(line: str) -> None:
    """Print a line to standard error, with control characters escaped."""
    print(escape_control(line), file=sys.stderr, flush=True)


def print_error(error: UserError) -> None:
    """Print an error to standard error: what is wrong, and what to do on a second line if known."""
    for line in shorten_lines(f"error: {error}").split("\n"):
        print_stderr(line)
