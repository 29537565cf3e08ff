"""The cache of decoded images on disk: written atomically, verified at each load.

`<folder>/<name>-<first 12 of the fingerprint>/{train,test}_{images,labels}.npy` with meta.json,
where `<folder>` is `<root>/.convscope` or a folder in `data.cache`. The cache may be deleted at any
time between runs.

Truncating a file that is mapped into memory kills the process (SIGBUS). So only large data sets are
mapped, and `images.check_not_truncated` checks the file's size before each batch.
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

from convscope.data.images import Images, PixelHistogram
from convscope.data.lock import exclusive
from convscope.errors import UserError
from convscope.files import create_file, open_regular, read_regular, sync_folder

FOLDER = ".convscope"
FORMAT = 2
IN_MEMORY_BYTES = 1 << 28
"""Largest data set, train and test, that is read into memory, bytes; larger ones are mapped."""
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
_MAX_META_BYTES = 1 << 26
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class DecodedPart:
    """The train or test part of a decoded data set, to be stored.

    Attributes:
        labels: (N,) int64.
        chunks: The N images in order, as arrays of (n, H, W, C) uint8.
    """

    labels: NDArray[np.int64]
    chunks: Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class Decoded:
    """A decoded data set, to be stored.

    Attributes:
        shape: (height, width, channels).
        classes: Names of the classes, by label.
        train, test: The two parts.
        fingerprint: Returns the hash of the content, in hex; called after all chunks are stored.
        notes: Returns `Images.notes`; called after all chunks are stored.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train: DecodedPart
    test: DecodedPart
    fingerprint: Callable[[], str]
    notes: Callable[[], tuple[str, ...]] = tuple


def cache_folder(root: Path, cache: Path | None) -> Path:
    """Return the cache's folder for the data under `root`.

    In `cache` each root has its own folder, since the files of two roots may have equal names,
    sizes and times.

    Args:
        root: `data.root`.
        cache: `data.cache`; None puts the folder into `root`.
    """
    if cache is None:
        return root / FOLDER
    real = Path(os.path.realpath(root))
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()
    return cache / f"{real.name or 'root'}-{digest[:12]}"


def hash_sources(what: str, root: Path, paths: Iterable[str]) -> str:
    """Return a hash, in hex, of the source files' names, sizes and times, and of `what`.

    Args:
        what: What else the decoded images depend on, as text.
        root: `data.root`.
        paths: All source files, relative to `root`.

    Raises:
        OSError: A file was removed.
    """
    lines = [what]
    for path in paths:
        stat = os.stat(f"{root}/{path}")
        lines.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def find(folder: Path, name: str, listing: str) -> Images | None:
    """Return the cached images whose source files are unchanged.

    Args:
        folder: The cache, from `cache_folder`.
        name: Name of the data set.
        listing: Hash of the source files, from `hash_sources`.

    Returns:
        The images; None if they are not in the cache, or the cache is incomplete or damaged: it is
        to be written again.
    """
    for path in sorted(folder.glob(f"{name}-*")):
        meta = _meta(path)
        if meta is not None and meta["listing"] == listing:
            return _images(path, meta)
    return None


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the exclusive right to write the cache of `name` within this block.

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
    """Write `decoded` to the cache and return it as loaded from there; call it within `lock`.

    Args:
        folder: As for `find`.
        name: As for `find`.
        listing: As for `find`.
        decoded: The data set; its chunks are iterated while they are written.

    Raises:
        UserError: The disk is full or not writable; no partial files are left.
    """
    temporary = folder / f".{name}.tmp"
    replaced = folder / f".{name}.old.tmp"
    try:
        # Left by a writer that was killed; a live one would hold the lock.
        for stale in (temporary, replaced):
            _remove(stale)
        temporary.mkdir()
        try:
            meta = _write(temporary, name, listing, decoded)
            final = folder / f"{name}-{meta['fingerprint'][:12]}"
            if _has_same_content(final, meta):
                # Equal content, perhaps mapped by another process: only the hash of the sources
                # is updated.
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


def _has_same_content(folder: Path, meta: dict[str, Any]) -> bool:
    """Return whether the folder has the images that `meta` describes, undamaged."""
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
    counts = PixelHistogram(decoded.shape[2])
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
    # Not through a memory map: on a full disk, that would kill the process.
    with _synced(path) as file:
        for piece in chain(
            [header.getbuffer()], (np.ascontiguousarray(chunk, dtype).data for chunk in chunks)
        ):
            file.write(piece)
            checksum = zlib.crc32(piece, checksum)
    return checksum


def _meta(folder: Path) -> dict[str, Any] | None:
    """Return the content of the folder's meta.json; None if it is missing or damaged."""
    try:
        meta = json.loads(read_regular(folder / "meta.json", _MAX_META_BYTES))
        if meta["format"] == FORMAT and meta.pop("sha256") == _digest(meta):
            return dict(meta)
    except (OSError, UserError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # Missing or damaged: the caller writes the cache again.
    return None


def _digest(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _images(folder: Path, meta: dict[str, Any]) -> Images | None:
    """Return the folder's images; None unless all lengths and checksums match meta.json."""
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
    """Return the array in a file; None unless its length and checksum match."""
    found, length = 0, 0
    # Verified by reading, not through a map: a truncated file would kill the process.
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
    with create_file(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> UserError:
    what = f"{error.filename or path} cannot be written: {error.strerror or error}"
    if error.errno in _NO_RIGHT:
        what += "\ndecoded images are kept there: set data.cache to a folder that you can write to"
    return UserError(what)
