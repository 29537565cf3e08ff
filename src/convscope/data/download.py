"""Download one published file over http or https: bounded in time, verified, whole or not at all.

urllib bounds neither a name look-up nor a download as a whole, so that both are bounded here; nor
do requests and pooch.
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

MOST_BYTES = 1 << 28
"""Most bytes of an archive; CIFAR's have 170 million."""
CONNECT_SECONDS = 3.0
"""Longest wait for a connection: name look-up, TCP and TLS together."""
READ_SECONDS = 30.0
"""Longest wait for the next byte."""
_CHUNK_BYTES = 1 << 16


class DownloadError(UserError):
    """A file that could not be downloaded.

    Attributes:
        target: The file's path.
        url: Where it can be downloaded by hand.
        reason: Why it failed, in a few words.
        advice: What to do about files that lie there instead, where some do.
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


class _NoAnswer(Exception):
    """The server cannot be reached, refuses, stalls, breaks off or sends something else."""


def fetch(
    archive: Archive, root: Path, *, deadline: float | None = None, progress: bool = True
) -> Path:
    """Download `archive` below `root` unless it is there; return its path.

    Mirrors are tried in order. Nothing is written but a lock once one answers, which lets one
    process download and the others wait, and then the whole file, once its checksum is right.

    Args:
        archive: What to download, and its mirrors.
        root: `data.root`; folders are made below it.
        deadline: Of `time.monotonic()`, in seconds, by which all must be done. With it, connecting
            takes at most CONNECT_SECONDS over all mirrors, else that long for each.
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
            with (
                closing(_Transfer(url, patience, deadline)) as transfer,
                exclusive(target, deadline),
            ):
                if not (target.exists() and md5_of(target) == archive.md5):
                    _write(target, url, transfer.body(archive, progress))
            return target
        except (_NoAnswer, TimeoutError) as error:
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
    """Return a file's md5, in hex."""
    with os.fdopen(open_regular(path, follow_links=True), "rb") as file:
        # For damage, not for secrets: said so that FIPS builds of OpenSSL allow it.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


class _Transfer:
    """A server's answer. Raises _NoAnswer for whatever the network does.

    Args:
        url: http or https; proxies are taken from the environment.
        patience: Seconds for a connection.
        deadline: Of `time.monotonic()`, by which all must have come.
    """

    def __init__(self, url: str, patience: float, deadline: float | None) -> None:
        self._host = urlsplit(url).hostname or url
        self._deadline = deadline
        self._sockets: list[socket.socket] = []
        with self._explained():
            opener = urllib.request.build_opener(*_handlers(patience, self._sockets))
            self._response = opener.open(url, timeout=self._read_seconds())

    def close(self) -> None:
        self._response.close()

    def body(self, archive: Archive, progress: bool) -> bytes:
        """Read all of it, which must be the archive's content."""
        length = self._response.headers.get("Content-Length")
        content = bytearray()
        with (
            self._explained(),
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
                if len(content) > MOST_BYTES:
                    raise _NoAnswer(f"{self._host} sent more than {MOST_BYTES:,} bytes")
        if length is not None and len(content) != int(length):
            raise _NoAnswer(f"{self._host} closed after {len(content)} of {length} bytes")
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != archive.md5:
            raise _NoAnswer(f"{self._host} sent other bytes: md5 {found}")
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
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise _NoAnswer(_reason(error, self._host)) from error


def _reason(error: Exception, host: str) -> str:
    """Why it failed, in a few words."""
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
    """Handlers of http and https that bound the whole connection and keep its socket."""

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
    """Do `act`, or raise TimeoutError after so long: a name look-up has no time-out of its own."""
    done: Future[None] = Future()

    def work() -> None:
        try:
            act()
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that waits)
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    done.result(seconds)
