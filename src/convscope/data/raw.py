"""Find, extract or download, verify and decode the raw files of a data set.

A file is verified by its own checksum, however it was packed. It is decoded only if the checksum
matches, so the decoders need not check its structure.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import pickle
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from convscope.data.cache import Decoded, DecodedPart
from convscope.data.datasets import DATASETS, Archive, Dataset, RawFile
from convscope.data.download import DownloadError, fetch, md5_of
from convscope.data.lock import exclusive
from convscope.data.nearby import advice_on_files
from convscope.errors import UserError
from convscope.files import NotRegularFile, open_regular, read_regular, replace_file

MAX_BYTES = 1 << 28
"""Largest raw file, in bytes; CIFAR-100's training part, the largest, has 155 million."""
_MAX_ARCHIVE_BYTES = 1 << 30
"""Largest total size of an archive's unpacked content, in bytes."""


def source_path(file: RawFile, root: Path) -> Path:
    """Return the path of the extracted file if it exists, else of its archive."""
    extracted = root / file.path
    return extracted if file.md5 and extracted.is_file() else root / file.archive.path


def is_present(known: Dataset, root: Path) -> bool:
    """Return whether every file of `known` is under `root`, extracted or in its archive."""
    return all(source_path(file, root).is_file() for file in known.files)


def ensure(
    known: Dataset,
    root: Path,
    deadline: float | None = None,
    progress: bool = True,
    extract: bool = True,
) -> None:
    """Make every file of `known` available under `root`, downloading archives that are missing.

    Args:
        known: The data set.
        root: `data.root`.
        deadline: As for `fetch`.
        progress: As for `fetch`.
        extract: Extract the archives; if False, `decode` reads the files from them.

    Raises:
        DownloadError: See `fetch`; the message names files that are there under other names.
        UserError: An archive is damaged, or a file cannot be written.
    """
    for archive in known.archives:
        files = [file for file in known.files if file.archive == archive]
        if all(_is_extracted(file, root) for file in files):
            continue
        if not _file_exists(root / archive.path):
            try:
                fetch(archive, root, deadline=deadline, progress=progress)
            except DownloadError as error:
                advice = advice_on_files(known, root)
                raise DownloadError(error.target, error.url, error.reason, advice) from error
        if extract:
            _extract(archive, [file for file in files if file.md5], root)


def decode(known: Dataset, root: Path) -> Decoded:
    """Return the decoded images and labels of `known`, from its files under `root`.

    Raises:
        UserError: A file is missing or damaged.
    """
    contents = read_all(known, root)
    if known.layout == "idx":
        classes = known.class_names
        train, test = _idx_part(known, *contents[:2]), _idx_part(known, *contents[2:])
    else:
        # Python 2 wrote these pickles.
        *batches, last, meta = (pickle.loads(content, encoding="latin1") for content in contents)
        classes = tuple(meta[known.names_key])
        train, test = _pickle_part(known, batches), _pickle_part(known, [last])
    channels, height, width = known.input_shape
    return Decoded((height, width, channels), classes, train, test, lambda: known.fingerprint)


def _idx_part(known: Dataset, images: bytes, labels: bytes) -> DecodedPart:
    """Decode a pair of IDX files.

    IDX is two zero bytes, the type, the rank, one big-endian size per dimension, then the values in
    C order.
    """
    channels, height, width = known.input_shape
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, height, width, channels)
    return DecodedPart(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64), [pixels])


def _pickle_part(known: Dataset, batches: Sequence[dict[str, Any]]) -> DecodedPart:
    """Decode CIFAR's batches: `data` is (n, C * H * W) uint8, channel by channel."""
    labels = np.concatenate([batch[known.label_key] for batch in batches]).astype(np.int64)
    planes = (batch["data"].reshape(-1, *known.input_shape) for batch in batches)
    return DecodedPart(labels, [images.transpose(0, 2, 3, 1) for images in planes])


def read_all(known: Dataset, root: Path) -> list[bytes]:
    """Return the verified content of every file, in the order of `known.files`.

    Raises:
        UserError: A file is missing or damaged.
    """
    contents = {
        file: read_verified(file, root) for file in known.files if _is_extracted(file, root)
    }
    for archive in known.archives:
        packed = [f for f in known.files if f.archive == archive and f not in contents]
        contents |= dict(_unpack(archive, packed, root))
    return [contents[file] for file in known.files]


def read_verified(file: RawFile, root: Path) -> bytes:
    """Return the verified content of an extracted file.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = root / file.path
    _file_exists(path)
    try:
        content = read_regular(path, MAX_BYTES, follow_links=True)
    except OSError as error:
        raise _unreadable(path, error) from error
    if wrong := _md5_mismatch(content, file):
        raise _damaged(path, f"its md5 is {wrong}")
    return content


def _is_extracted(file: RawFile, root: Path) -> bool:
    return bool(file.md5) and _file_exists(root / file.path)


def _file_exists(path: Path) -> bool:
    """Return whether `path` is a file; raise UserError if it is something else."""
    if path.is_file():
        return True
    if (path / path.name).is_file():
        # Some programs unpack `name.gz` to `name/name`.
        raise UserError(f"{path} is a folder; replace it by the file {path.name} inside it")
    if os.path.lexists(path):
        raise NotRegularFile(path)
    return False


def _extract(archive: Archive, files: Sequence[RawFile], root: Path) -> None:
    try:
        with exclusive(root / archive.path):
            missing = [file for file in files if not (root / file.path).exists()]
            for file, content in _unpack(archive, missing, root):
                path = root / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, content)
    except OSError as error:
        raise UserError(
            f"{error.filename or root / files[0].path} cannot be written: {error.strerror}"
        ) from error


def _unpack(
    archive: Archive, files: Sequence[RawFile], root: Path
) -> Iterator[tuple[RawFile, bytes]]:
    """Yield each of `files` with its verified content, read from `archive`."""
    if not files:
        return
    path = root / archive.path
    wanted = {PurePosixPath(file.path).name: file for file in files}
    reasons = {name: f"{name} is not in it" for name in wanted}
    try:
        if not all(file.md5 for file in files) and (found := md5_of(path)) != archive.md5:
            raise _damaged(path, f"its md5 is {found}, not {archive.md5}")
        for name, content in _members(path, wanted):
            wrong = _md5_mismatch(content, wanted[name])
            if wrong is None:
                yield wanted.pop(name), content
            else:
                reasons[name] = f"the md5 of {name} in it is {wrong}"
    except OSError as error:
        if error.errno is None:  # Raised by gzip or tarfile, not by the operating system.
            raise _damaged(path, str(error)) from error
        raise _unreadable(path, error) from error
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        raise _damaged(path, str(error).splitlines()[0].rstrip(":")) from error
    for name in wanted:
        raise _damaged(path, reasons[name])


def _members(path: Path, wanted: dict[str, RawFile]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the archive's files whose names are in `wanted`.

    The caller removes a name once its content is verified: an archive may repeat a name.
    """
    with os.fdopen(open_regular(path, follow_links=True), "rb") as packed:
        if path.suffixes[-2:] != [".tar", ".gz"]:
            with gzip.open(packed) as unpacked:
                yield path.stem, _bounded(path, unpacked.read(MAX_BYTES + 1))
            return
        with tarfile.open(fileobj=packed) as tar:
            for member in tar:
                if member.offset_data + member.size > _MAX_ARCHIVE_BYTES:
                    raise _damaged(path, f"it unpacks to more than {_MAX_ARCHIVE_BYTES:,} bytes")
                name = PurePosixPath(member.name).name
                if name in wanted and member.isreg() and (file := tar.extractfile(member)):
                    yield name, _bounded(path, file.read(MAX_BYTES + 1))


def _bounded(path: Path, content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise _damaged(path, f"it unpacks to more than {MAX_BYTES:,} bytes")
    return content


def _md5_mismatch(content: bytes, file: RawFile) -> str | None:
    """Describe the checksum of `content` if it is not the file's; None if it is."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found == file.md5 or file.md5 is None:
        return None
    for known in DATASETS.values():
        for other in known.files:
            if other.md5 == found:
                name = PurePosixPath(other.path).name
                return f"{found}, not {file.md5}: it is {known.name}'s {name}"
    return f"{found}, not {file.md5}"


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read: {error.strerror}")


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is damaged: {reason}; replace it, or delete it to have it downloaded again"
    )
