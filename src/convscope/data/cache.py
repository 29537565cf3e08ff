"""Decoded images on disk: made once, whole or not at all, and verified whenever they are loaded.

`<folder>/<name>-<first 12 of the fingerprint>/{train,test}_{images,labels}.npy` with meta.json,
where `<folder>` is `<root>/.convscope`, or below `data.cache`. It may be deleted at any time
between runs.

A file that is mapped into memory and cut short by another program kills the process (SIGBUS), so
that images are mapped only where they would take much memory; `images.check_mapped` looks at such a
file's size before each batch.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.data.images import Images, PixelCounts
from convscope.data.lock import exclusive
from convscope.errors import UserError
from convscope.files import create, open_regular, read_regular, sync_folder

FOLDER = ".convscope"
FORMAT = 2
IN_MEMORY_BYTES = 1 << 28
"""Most bytes of a data set, train and test together, that are read; larger ones are mapped."""
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
_MOST_META_BYTES = 1 << 26
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class DecodedPart:
    """Train or test part on its way to disk.

    Attributes:
        labels: (N,) int64.
        chunks: Images in order, as (n, H, W, C) uint8 arrays that sum up to N.
    """

    labels: NDArray[np.int64]
    chunks: Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class Decoded:
    """A data set on its way to disk.

    Attributes:
        shape: (height, width, channels).
        fingerprint, notes: Called once all chunks are taken.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train: DecodedPart
    test: DecodedPart
    fingerprint: Callable[[], str]
    notes: Callable[[], tuple[str, ...]] = tuple


def folder_of(root: Path, cache: Path | None) -> Path:
    """Return where the decoded images of the data under `root` lie.

    Below `cache` each root has a folder of its own: files of two roots may be alike in names,
    sizes and times.
    """
    if cache is None:
        return root / FOLDER
    real = Path(os.path.realpath(root))
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()
    return cache / f"{real.name or 'root'}-{digest[:12]}"


def listing_of(what: str, root: Path, paths: Iterable[str]) -> str:
    """Return a hash of what is decoded and of its files' names, sizes and times.

    Args:
        what: What else the decoded images depend on, as text.
        root: `data.root`.
        paths: All source files, relative to `root`.

    Raises:
        OSError: One of them has gone.
    """
    lines = [what]
    for path in paths:
        stat = os.stat(f"{root}/{path}")
        lines.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def find(folder: Path, name: str, listing: str) -> Images | None:
    """Load the cached images whose sources were as `listing` says.

    Args:
        folder: The cache, from `folder_of`.
        name: Name of the data set.
        listing: Hash of the sources, from `listing_of`.

    Returns:
        None where there is no such cache, or it is incomplete or damaged: it is made anew.
    """
    for path in sorted(folder.glob(f"{name}-*")):
        meta = _meta(path)
        if meta is not None and meta["listing"] == listing:
            return _images(path, meta)
    return None


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """Be the only process that writes the cache of `name` within this block.

    Raises:
        UserError: `folder` cannot be written.
    """
    with ExitStack() as locked:
        try:
            locked.enter_context(exclusive(folder / name))
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield


def store(folder: Path, name: str, listing: str, decoded: Decoded) -> Images:
    """Write `decoded` and load it; to be called within `lock`.

    Args:
        folder, name, listing: As for `find`.
        decoded: The data set; its chunks are taken as they are written.

    Raises:
        UserError: The disk is full or cannot be written; nothing is left behind.
    """
    temporary = folder / f".{name}.tmp"
    replaced = folder / f".{name}.old.tmp"
    try:
        # What a killed writer left: none lives, or it would hold the lock.
        for stale in (temporary, replaced):
            _remove(stale)
        temporary.mkdir()
        try:
            meta = _write(temporary, name, listing, decoded)
            final = folder / f"{name}-{meta['fingerprint'][:12]}"
            if _holds(final, meta):
                # Same content under new dates, perhaps in use elsewhere: only the dates change.
                os.replace(temporary / "meta.json", final / "meta.json")
            else:
                if os.path.lexists(final):
                    os.rename(final, replaced)
                os.rename(temporary, final)
            sync_folder(folder)
        finally:
            for stale in (temporary, replaced):
                _remove(stale)
    except OSError as error:
        raise _unwritable(temporary, error) from error
    images = _images(final, meta)
    if images is None:
        raise UserError(f"{final} was changed as soon as it was written: is the disk sound?")
    return images


def _holds(folder: Path, meta: dict[str, Any]) -> bool:
    """Whether the folder has the images that `meta` describes, whole."""
    found = _meta(folder)
    return (
        found is not None
        and all(found[key] == meta[key] for key in ("fingerprint", "crc32"))
        and _images(folder, found) is not None
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write(folder: Path, name: str, listing: str, decoded: Decoded) -> dict[str, Any]:
    counts = PixelCounts(decoded.shape[2])
    checksums = {}
    for part, content in (("train", decoded.train), ("test", decoded.test)):
        size = len(content.labels)
        chunks = map(counts.add, content.chunks) if part == "train" else content.chunks
        images, labels = f"{part}_images.npy", f"{part}_labels.npy"
        checksums[images] = _write_array(folder / images, "|u1", (size, *decoded.shape), chunks)
        checksums[labels] = _write_array(folder / labels, "<i8", (size,), [content.labels])
    mean, std = counts.mean_std()
    meta: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "fingerprint": decoded.fingerprint(),
        "listing": listing,
        "classes": list(decoded.classes),
        "mean": list(mean),
        "std": list(std),
        "notes": list(decoded.notes()),
        "bytes": {file.name: file.stat().st_size for file in sorted(folder.glob("*.npy"))},
        "crc32": checksums,
    }
    with _synced(folder / "meta.json") as file:
        file.write(json.dumps(meta | {"sha256": _digest(meta)}, indent=1).encode())
    sync_folder(folder)
    return meta


def _write_array(
    path: Path, dtype: str, shape: tuple[int, ...], chunks: Iterable[NDArray[Any]]
) -> int:
    """Write an array of `shape` chunk by chunk and return the file's CRC-32."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    checksum = 0
    # Written in order, not through a memory map: a full disk would kill the process there.
    with _synced(path) as file:
        for piece in chain(
            [header.getbuffer()], (np.ascontiguousarray(chunk, dtype).data for chunk in chunks)
        ):
            file.write(piece)
            checksum = zlib.crc32(piece, checksum)
    return checksum


def _meta(folder: Path) -> dict[str, Any] | None:
    """The content of the folder's meta.json, if it is as it was written."""
    try:
        meta = json.loads(read_regular(folder / "meta.json", _MOST_META_BYTES))
        if meta["format"] == FORMAT and meta.pop("sha256") == _digest(meta):
            return dict(meta)
    except (OSError, UserError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # There is none, or it is damaged: a cache is made anew.
    return None


def _digest(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _images(folder: Path, meta: dict[str, Any]) -> Images | None:
    """The folder's images, if every file has the length and checksum that meta.json says."""
    large = sum(meta["bytes"].values()) > IN_MEMORY_BYTES
    arrays = {}
    for file, size in meta["bytes"].items():
        mapped = large and file.endswith("_images.npy")
        try:
            array = _array(folder / file, size, meta["crc32"][file], mapped)
        except (OSError, UserError, ValueError):
            array = None
        if array is None:
            return None
        arrays[file.removesuffix(".npy")] = array
    return Images(
        name=meta["name"],
        classes=tuple(meta["classes"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        fingerprint=meta["fingerprint"],
        notes=tuple(meta["notes"]),
        **arrays,
    )


def _array(path: Path, size: int, checksum: int, mapped: bool) -> NDArray[Any] | None:
    """The array in a file that has this length and checksum, or None."""
    found, length = 0, 0
    # Read first, not through a map: that would kill the process where the file is cut short.
    with os.fdopen(open_regular(path), "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            found, length = zlib.crc32(piece, found), length + len(piece)
        if (found, length) != (checksum, size):
            return None
        file.seek(0)
        array: NDArray[Any] = np.load(path, mmap_mode="c") if mapped else np.load(file)
    return array


@contextmanager
def _synced(path: Path) -> Iterator[Any]:
    with create(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> UserError:
    what = f"{error.filename or path} cannot be written: {error.strerror or error}"
    if error.errno in _NO_RIGHT:
        what += "\ndecoded images are kept there: set data.cache to a folder that you can write to"
    return UserError(what)
