"""Fetch one published file: bounded in time, verified, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from convscope.data.official import Archive
from convscope.errors import UserError

CONNECT_SECONDS = 3.0
"""For a connection: name look-up, TCP and TLS together."""
READ_SECONDS = 30.0
"""Without a single byte."""
CHUNK = 1 << 16


class DownloadError(UserError):
    """A file that could not be had. ``reason`` says in a few words why."""

    def __init__(self, target: Path, url: str, reason: str) -> None:
        super().__init__(
            f"{target} could not be downloaded ({reason}); fetch {url} and put it there"
        )
        self.reason = reason


class _NoAnswer(Exception):
    """A mirror failed; the next may not."""


def fetch(
    archive: Archive, root: Path, *, deadline: float | None = None, progress: bool = True
) -> Path:
    """Download ``archive`` below ``root`` unless it is there; return its path.

    Mirrors are tried in order. Nothing is written until one answers; then a temporary file beside
    the target, renamed once its checksum is right. A file lock lets one process download and the
    others wait.

    Args:
        deadline: Of ``time.monotonic()``, by which all must be done. With it, connecting takes at
            most CONNECT_SECONDS over all mirrors, else that long for each.
        progress: Draw a bar, on a terminal.

    Raises:
        DownloadError: No mirror gave the right file in time, or it could not be written.
    """
    target = root / archive.path
    connect_by = None if deadline is None else time.monotonic() + CONNECT_SECONDS
    reasons: list[str] = []
    for url in archive.urls:
        patience = CONNECT_SECONDS if connect_by is None else connect_by - time.monotonic()
        if patience <= 0:
            break
        try:
            content = _Content(url, patience, deadline)
            _keep(content, target, archive, deadline, progress)
            return target
        except _NoAnswer as error:
            reasons.append(str(error))
        except OSError as error:
            place = error.filename or target.parent
            raise DownloadError(
                target, url, f"{place} cannot be written: {error.strerror}"
            ) from error
    raise DownloadError(target, archive.urls[0], "; ".join(dict.fromkeys(reasons)))


@contextmanager
def guard(target: Path, deadline: float | None = None) -> Iterator[None]:
    """Hold the lock of the file ``target``, whose folder is made.

    Raises:
        TimeoutError: Another process still held it at ``deadline``.
    """
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    wait = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
    lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=wait)
    try:
        lock.acquire()
    except Timeout as error:
        raise TimeoutError("another process is still at it") from error
    try:
        yield
    finally:
        lock.release()


def md5_of(path: Path) -> str:
    """The file's md5, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> Any:
    # For damage, not for secrets: said so that FIPS builds of OpenSSL allow it.
    return hashlib.md5(usedforsecurity=False)


def _keep(
    content: _Content, target: Path, archive: Archive, deadline: float | None, progress: bool
) -> None:
    partial = target.with_name(f".{target.name}.part")
    with content:
        try:
            holding = guard(target, deadline)
            with holding:
                if target.exists() and md5_of(target) == archive.md5:
                    return
                try:
                    _write(content, partial, archive, progress)
                    os.replace(partial, target)
                finally:
                    partial.unlink(missing_ok=True)
        except TimeoutError as error:
            raise _NoAnswer(str(error)) from error


def _write(content: _Content, partial: Path, archive: Archive, progress: bool) -> None:
    from tqdm import tqdm

    digest = _md5()
    bar = tqdm(
        total=content.length,
        desc=Path(archive.path).name,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None if progress else True,
    )
    with bar, partial.open("wb") as file:
        for chunk in content.chunks():
            file.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != archive.md5:
        raise _NoAnswer(f"{content.host} sent other bytes: md5 {digest.hexdigest()}")


class _Content:
    """The body of one answer. Raises _NoAnswer for whatever the network does."""

    def __init__(self, url: str, patience: float, deadline: float | None) -> None:
        self.host = urlsplit(url).hostname or url
        self._deadline = deadline
        self._sockets: list[socket.socket] = []
        with self._plainly():
            opener = urllib.request.build_opener(*_handlers(patience, self._sockets))
            self._response = opener.open(url, timeout=self._read_seconds())
        length = self._response.headers.get("Content-Length")
        self.length = None if length is None else int(length)

    def __enter__(self) -> _Content:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def chunks(self) -> Iterator[bytes]:
        got = 0
        with self._plainly():
            while True:
                self._sockets[-1].settimeout(self._read_seconds())
                chunk = self._response.read1(CHUNK)
                if not chunk:
                    break
                got += len(chunk)
                yield chunk
        if self.length is not None and got != self.length:
            raise _NoAnswer(f"{self.host} closed after {got} of {self.length} bytes")

    def _read_seconds(self) -> float:
        if self._deadline is None:
            return READ_SECONDS
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(READ_SECONDS, left)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise _NoAnswer(_reason(error, self.host)) from error


def _reason(error: Exception, host: str) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} from {host}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror) or (
        isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    ):
        return "no network"
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time"
    return f"{host}: {getattr(cause, 'strerror', None) or cause}"


def _handlers(
    patience: float, sockets: list[socket.socket]
) -> tuple[urllib.request.BaseHandler, urllib.request.BaseHandler]:
    """Of http and https, with a bound on the whole connection that urllib does not have."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            _within(patience, super().connect)
            sockets.append(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            _within(patience, super().connect)
            sockets.append(self.sock)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    return PlainHandler(), SecureHandler()


def _within(seconds: float, act: Callable[[], None]) -> None:
    """Do ``act``, but wait for it no longer: a name look-up has no time-out of its own."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 (raised again below, by the thread that waits)
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no connection within {seconds:.0f} s")
    if failure:
        raise failure[0]
