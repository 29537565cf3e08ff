"""The raw files of the official data sets: found, extracted or downloaded, and verified."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from convscope.data.download import fetch, guard, md5_of
from convscope.data.official import Archive, OfficialSet, RawFile
from convscope.errors import UserError


def present(known: OfficialSet, root: Path) -> bool:
    """Whether every file, or else its archive, lies under ``root``."""
    return all((root / f.path).exists() or (root / f.archive.path).exists() for f in known.files)


def ensure(
    known: OfficialSet, root: Path, deadline: float | None = None, progress: bool = True
) -> None:
    """Put every file of ``known`` under ``root``: from its archive there, or from the network.

    Raises:
        DownloadError: See ``fetch``.
        UserError: An archive is damaged, or a file cannot be written.
    """
    for archive in known.archives:
        files = [file for file in known.files if file.archive == archive]
        if all((root / file.path).exists() for file in files):
            continue
        if not (root / archive.path).exists():
            fetch(archive, root, deadline=deadline, progress=progress)
        _extract(archive, files, root)


def read_verified(file: RawFile, root: Path) -> bytes:
    """The file's content, which is what was published.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = root / file.path
    content = _read(path)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != file.md5:
        raise _damaged(path, found, file.md5)
    return content


def _extract(archive: Archive, files: list[RawFile], root: Path) -> None:
    try:
        with guard(root / archive.path):
            missing = [file for file in files if not (root / file.path).exists()]
            for file, content in _unpack(archive, missing, root):
                _write(root / file.path, content)
    except OSError as error:
        raise UserError(
            f"{error.filename or root / files[0].path} cannot be written: {error.strerror}"
        ) from error


def _unpack(archive: Archive, files: list[RawFile], root: Path) -> Iterator[tuple[RawFile, bytes]]:
    """The content of each of ``files`` as ``archive`` holds it, the archive verified."""
    if not files:
        return
    path = root / archive.path
    try:
        found = md5_of(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if found != archive.md5:
        raise _damaged(path, found, archive.md5)
    if path.suffixes[-2:] != [".tar", ".gz"]:
        (file,) = files
        yield file, gzip.decompress(_read(path))
        return
    wanted = {file.path: file for file in files}
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name in wanted and (content := tar.extractfile(member)) is not None:
                yield wanted[member.name], content.read()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read: {error.strerror}")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _damaged(path: Path, found: str, expected: str) -> UserError:
    return UserError(
        f"{path} is damaged: its md5 is {found}, not {expected}; "
        f"replace it, or delete it to have it downloaded again"
    )
