"""Fetch one published file: bounded in time, verified, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from convscope.data.lock import exclusive
from convscope.data.official import Archive
from convscope.data.transfer import NoAnswer, Transfer
from convscope.errors import UserError
from convscope.files import create, open_regular

MOST_BYTES = 1 << 28
"""Of an archive; CIFAR's have 170 million."""
CONNECT_SECONDS = 3.0
"""For a connection: name look-up, TCP and TLS together."""


class DownloadError(UserError):
    """A file that could not be had.

    Attributes:
        reason: Why, in a few words.
        advice: What lies there in its place and what to do about it, where something does.
    """

    def __init__(self, target: Path, url: str, reason: str, advice: str | None = None) -> None:
        super().__init__(
            f"{target} could not be downloaded ({reason}); "
            + (advice or f"fetch {url} and put it there")
        )
        self.reason = reason
        self.advice = advice
        self._target, self._url = target, url

    def with_advice(self, advice: str | None) -> DownloadError:
        """The same failure, where something like the file lies there."""
        return DownloadError(self._target, self._url, self.reason, advice)


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
            content = Transfer(url, patience, deadline)
            _keep(content, target, archive, deadline, progress)
            return target
        except NoAnswer as error:
            reasons.append(str(error))
        except OSError as error:
            place = error.filename or target.parent
            raise DownloadError(
                target, url, f"{place} cannot be written: {error.strerror}"
            ) from error
    raise DownloadError(target, archive.urls[0], "; ".join(dict.fromkeys(reasons)))


def md5_of(path: Path) -> str:
    """The file's md5, in hex."""
    with os.fdopen(open_regular(path, follow_links=True), "rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> Any:
    # For damage, not for secrets: said so that FIPS builds of OpenSSL allow it.
    return hashlib.md5(usedforsecurity=False)


def _keep(
    content: Transfer, target: Path, archive: Archive, deadline: float | None, progress: bool
) -> None:
    partial = target.with_name(f".{target.name}.part")
    with content:
        try:
            holding = exclusive(target, deadline)
            with holding:
                if target.exists() and md5_of(target) == archive.md5:
                    return
                try:
                    _write(content, partial, archive, progress)
                    os.replace(partial, target)
                finally:
                    partial.unlink(missing_ok=True)
        except TimeoutError as error:
            raise NoAnswer(str(error)) from error


def _write(content: Transfer, partial: Path, archive: Archive, progress: bool) -> None:
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
    with bar, create(partial) as file:
        for chunk in content.chunks():
            file.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
            if file.tell() > MOST_BYTES:
                raise NoAnswer(f"{content.host} sent more than {MOST_BYTES:,} bytes")
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != archive.md5:
        raise NoAnswer(f"{content.host} sent other bytes: md5 {digest.hexdigest()}")
