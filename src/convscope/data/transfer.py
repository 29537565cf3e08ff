"""One GET over http or https, with the bounds in time that urllib does not have."""

from __future__ import annotations

import errno
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

READ_SECONDS = 30.0
"""Without a single byte."""
CHUNK = 1 << 16


class NoAnswer(Exception):
    """The server cannot be reached, refuses, stalls or breaks off."""


class Transfer:
    """The body of one answer. Raises NoAnswer for whatever the network does.

    Args:
        url: http or https; proxies are taken from the environment.
        patience: Seconds for a connection: name look-up, TCP and TLS together.
        deadline: Of ``time.monotonic()``, by which all must have come.
    """

    def __init__(self, url: str, patience: float, deadline: float | None) -> None:
        self.host = urlsplit(url).hostname or url
        self._deadline = deadline
        self._sockets: list[socket.socket] = []
        with self._plainly():
            opener = urllib.request.build_opener(*_handlers(patience, self._sockets))
            self._response = opener.open(url, timeout=self._read_seconds())
        length = self._response.headers.get("Content-Length")
        self.length = None if length is None else int(length)

    def __enter__(self) -> Transfer:
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
            raise NoAnswer(f"{self.host} closed after {got} of {self.length} bytes")

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
            raise NoAnswer(_reason(error, self.host)) from error


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
