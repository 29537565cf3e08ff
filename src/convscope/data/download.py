"""Download one published file over HTTP: with time limits, verified, and written atomically.

urllib, requests and pooch limit neither the time of a name look-up nor of a whole download, so both
are limited here.
"""

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
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from convscope.data.datasets import Archive
from convscope.data.lock import exclusive
from convscope.errors import UserError
from convscope.files import open_regular, replace_file

MAX_BYTES = 1 << 28
"""Largest archive, in bytes; CIFAR's have 170 million."""
CONNECT_SECONDS = 3.0
"""Time limit for a connection: name look-up, TCP and TLS together."""
READ_SECONDS = 30.0
"""Time limit for the next byte."""
_CHUNK_BYTES = 1 << 16


class DownloadError(UserError):
    """A file that could not be downloaded.

    Attributes:
        target: Path that the file was to have.
        url: Address to download it from by hand.
        reason: Why the download failed, as a short phrase.
        advice: What to do with misplaced files; None if there are none.
    """

    def __init__(self, target: Path, url: str, reason: str, advice: str | None = None) -> None:
        super().__init__(
            f"{target} could not be downloaded ({reason}); "
            + (advice or f"fetch {url} and put it there")
        )
        self.target = target
        self.url = url
        self.reason = reason
        self.advice = advice


class _TransferError(Exception):
    """The server cannot be reached, refuses, is too slow, or sends incomplete or wrong data."""


def fetch(
    archive: Archive, root: Path, *, deadline: float | None = None, progress: bool = True
) -> Path:
    """Download `archive` to its path under `root` unless it is there, and return the path.

    Mirrors are tried in order. Nothing is written until one responds: then a lock, so that one
    process downloads while others wait, and finally the whole file if its checksum matches.

    Args:
        archive: What to download, and its mirrors.
        root: `data.root`; missing folders are created.
        deadline: Time by `time.monotonic()`, in seconds, by which to finish, or None. With a
            deadline, `CONNECT_SECONDS` applies to all mirrors together, else to each.
        progress: Draw a progress bar on stderr if it is a terminal.

    Raises:
        DownloadError: No mirror sent the right file in time, or it could not be written.
    """
    target = root / archive.path
    connect_by = None if deadline is None else time.monotonic() + CONNECT_SECONDS
    reasons: list[str] = []
    for url in archive.urls:
        timeout = CONNECT_SECONDS if connect_by is None else connect_by - time.monotonic()
        if timeout <= 0:
            break
        try:
            with (
                closing(_Transfer(url, timeout, deadline)) as transfer,
                exclusive(target, deadline),
            ):
                if not (target.exists() and md5_of(target) == archive.md5):
                    _write(target, url, transfer.body(archive, progress))
            return target
        except (_TransferError, TimeoutError) as error:
            reasons.append(str(error))
        except OSError as error:
            reason = f"{error.filename or target.parent} cannot be written: {error.strerror}"
            raise DownloadError(target, url, reason) from error
    raise DownloadError(target, archive.urls[0], "; ".join(dict.fromkeys(reasons)))


def _write(target: Path, url: str, content: bytes) -> None:
    try:
        replace_file(target, content)
    except UserError as error:
        raise DownloadError(target, url, str(error)) from error


def md5_of(path: Path) -> str:
    """Return the MD5 checksum of a file's content, in hex."""
    with os.fdopen(open_regular(path, follow_links=True), "rb") as file:
        # FIPS builds of OpenSSL allow MD5 only if it is declared not to be for security.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class _Transfer:
    """An open HTTP response; network failures are raised as _TransferError.

    Args:
        url: An address of HTTP or HTTPS; proxies are taken from the environment.
        connect_timeout: Time limit for the connection, seconds.
        deadline: Time by `time.monotonic()`, in seconds, by which to finish; None is no limit.
    """

    def __init__(self, url: str, connect_timeout: float, deadline: float | None) -> None:
        self._host = urlsplit(url).hostname or url
        self._deadline = deadline
        self._sockets: list[socket.socket] = []
        with self._network_errors():
            opener = urllib.request.build_opener(*_handlers(connect_timeout, self._sockets))
            self._response = opener.open(url, timeout=self._read_seconds())

    def close(self) -> None:
        self._response.close()

    def body(self, archive: Archive, progress: bool) -> bytes:
        """Return the whole content, verified to be the archive's."""
        length = self._response.headers.get("Content-Length")
        content = bytearray()
        with (
            self._network_errors(),
            tqdm(
                total=None if length is None else int(length),
                desc=Path(archive.path).name,
                unit="B",
                unit_scale=True,
                leave=False,
                disable=None if progress else True,
            ) as bar,
        ):
            while chunk := self._chunk():
                content += chunk
                bar.update(len(chunk))
                if len(content) > MAX_BYTES:
                    raise _TransferError(f"{self._host} sent more than {MAX_BYTES:,} bytes")
        if length is not None and len(content) != int(length):
            raise _TransferError(f"{self._host} closed after {len(content)} of {length} bytes")
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != archive.md5:
            raise _TransferError(f"{self._host} sent other bytes: md5 {found}")
        return bytes(content)

    def _chunk(self) -> bytes:
        self._sockets[-1].settimeout(self._read_seconds())
        chunk: bytes = self._response.read1(_CHUNK_BYTES)
        return chunk

    def _read_seconds(self) -> float:
        if self._deadline is None:
            return READ_SECONDS
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(READ_SECONDS, left)

    @contextmanager
    def _network_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise _TransferError(_reason(error, self._host)) from error


def _reason(error: Exception, host: str) -> str:
    """Return why the transfer failed, as a short phrase."""
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
    connect_timeout: float, sockets: list[socket.socket]
) -> tuple[urllib.request.BaseHandler, urllib.request.BaseHandler]:
    """Return handlers of HTTP and HTTPS that limit the time to connect and append each socket."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            _call_with_timeout(connect_timeout, super().connect)
            sockets.append(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            _call_with_timeout(connect_timeout, super().connect)
            sockets.append(self.sock)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    return PlainHandler(), SecureHandler()


def _call_with_timeout(seconds: float, act: Callable[[], None]) -> None:
    """Call `act` in a thread; raise TimeoutError after `seconds` (a name look-up has no limit)."""
    done: Future[None] = Future()

    def work() -> None:
        try:
            act()
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001 (raised again by the waiting thread)
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    done.result(seconds)
