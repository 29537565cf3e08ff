"""The raw files of the official data sets: found, extracted or downloaded, and verified.

A file is judged by its own checksum, whatever packed it.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from convscope.data.download import DownloadError, fetch
from convscope.data.lock import exclusive
from convscope.data.nearby import official_advice
from convscope.data.official import OFFICIAL, Archive, OfficialSet, RawFile
from convscope.errors import UserError
from convscope.files import NotRegularFile, create, open_regular, read_regular

MOST_BYTES = 1 << 28
"""Of a raw file; the largest, CIFAR-100's training part, has 155 million."""
_MOST_ARCHIVE_BYTES = 1 << 30
"""Of all that an archive unpacks to."""


def present(known: OfficialSet, root: Path) -> bool:
    """Whether every file, or else its archive, lies under ``root``."""
    return all((root / f.path).is_file() or (root / f.archive.path).is_file() for f in known.files)


def ensure(
    known: OfficialSet,
    root: Path,
    deadline: float | None = None,
    progress: bool = True,
    extract: bool = True,
) -> None:
    """Put every file of ``known`` under ``root``: from its archive there, or from the network.

    Args:
        extract: Else an archive will do: ``read_all`` reads files out of it.

    Raises:
        DownloadError: See ``fetch``; it names what lies there under other names.
        UserError: An archive is damaged, or a file cannot be written.
    """
    for archive in known.archives:
        files = [file for file in known.files if file.archive == archive]
        if all(_is_there(root / file.path) for file in files):
            continue
        if not _is_there(root / archive.path):
            try:
                fetch(archive, root, deadline=deadline, progress=progress)
            except DownloadError as error:
                raise error.with_advice(official_advice(known, root)) from error
        if extract:
            _extract(archive, files, root)


def read_all(known: OfficialSet, root: Path) -> list[bytes]:
    """The content of every file, which is what was published, in the order of ``known.files``.

    Raises:
        UserError: A file is missing or damaged.
    """
    contents = {}
    for archive in known.archives:
        packed = []
        for file in known.files:
            if file.archive == archive and _is_there(root / file.path):
                contents[file] = read_verified(file, root)
            elif file.archive == archive:
                packed.append(file)
        contents |= dict(_unpack(archive, packed, root))
    return [contents[file] for file in known.files]


def read_verified(file: RawFile, root: Path) -> bytes:
    """The file's content, which is what was published.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = root / file.path
    _is_there(path)
    try:
        content = read_regular(path, MOST_BYTES, follow_links=True)
    except OSError as error:
        raise _unreadable(path, error) from error
    found = _md5(content)
    if found != file.md5:
        raise _damaged(path, f"its md5 is {found}, not {file.md5}{_whose(found)}")
    return content


def _is_there(path: Path) -> bool:
    """Whether a file lies there; raise UserError where something else does."""
    if path.is_file():
        return True
    if (path / path.name).is_file():
        # As some unpackers leave it.
        raise UserError(f"{path} is a folder; put the file {path.name} that is in it in its place")
    if os.path.lexists(path):
        raise NotRegularFile(path)
    return False


def _extract(archive: Archive, files: Sequence[RawFile], root: Path) -> None:
    try:
        with exclusive(root / archive.path):
            missing = [file for file in files if not (root / file.path).exists()]
            for file, content in _unpack(archive, missing, root):
                _write(root / file.path, content)
    except OSError as error:
        raise UserError(
            f"{error.filename or root / files[0].path} cannot be written: {error.strerror}"
        ) from error


def _unpack(
    archive: Archive, files: Sequence[RawFile], root: Path
) -> Iterator[tuple[RawFile, bytes]]:
    """The content of each of ``files`` as ``archive`` holds it, verified."""
    if not files:
        return
    path = root / archive.path
    wanted = {PurePosixPath(file.path).name: file for file in files}
    reasons = {name: f"{name} is not in it" for name in wanted}
    try:
        for name, content in _members(path, wanted):
            file, found = wanted[name], _md5(content)
            if found == file.md5:
                del wanted[name]
                yield file, content
            else:
                reasons[name] = f"the md5 of {name} in it is {found}, not {file.md5}{_whose(found)}"
    except OSError as error:
        if error.errno is None:  # Of gzip and tarfile, not of the system.
            raise _damaged(path, str(error)) from error
        raise _unreadable(path, error) from error
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        raise _damaged(path, str(error).splitlines()[0].rstrip(":")) from error
    for name in wanted:
        raise _damaged(path, reasons[name])


def _members(path: Path, wanted: dict[str, RawFile]) -> Iterator[tuple[str, bytes]]:
    """The files that an archive holds under these names, as long as they are wanted."""
    with os.fdopen(open_regular(path, follow_links=True), "rb") as packed:
        if path.suffixes[-2:] != [".tar", ".gz"]:
            with gzip.open(packed) as unpacked:
                yield path.stem, _bounded(path, unpacked.read(MOST_BYTES + 1))
            return
        with tarfile.open(fileobj=packed) as tar:
            for member in tar:
                if member.offset_data + member.size > _MOST_ARCHIVE_BYTES:
                    raise _damaged(path, f"it unpacks to more than {_MOST_ARCHIVE_BYTES:,} bytes")
                name = PurePosixPath(member.name).name
                if name in wanted and member.isreg() and (file := tar.extractfile(member)):
                    yield name, _bounded(path, file.read(MOST_BYTES + 1))


def _bounded(path: Path, content: bytes) -> bytes:
    if len(content) > MOST_BYTES:
        raise _damaged(path, f"it unpacks to more than {MOST_BYTES:,} bytes")
    return content


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _whose(md5: str) -> str:
    """Which other official file has this checksum."""
    for known in OFFICIAL.values():
        for file in known.files:
            if file.md5 == md5:
                return f": it is {known.name}'s {PurePosixPath(file.path).name}"
    return ""


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read: {error.strerror}")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        with create(partial) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is damaged: {reason}; replace it, or delete it to have it downloaded again"
    )
