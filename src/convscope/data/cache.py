"""Decoded images on disk: made once, whole or not at all, then mapped into memory.

``<root>/.convscope/<name>-<first 12 of the fingerprint>/{train,test}_{images,labels}.npy`` with
meta.json. The folder ``.convscope`` may be deleted at any time between runs.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.data.images import Images
from convscope.data.stats import PixelCounts
from convscope.errors import UserError
from convscope.runs.replace import sync_folder

FOLDER = ".convscope"
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
FORMAT = 1


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
        fingerprint: Called once all chunks are taken.
    """

    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train: DecodedPart
    test: DecodedPart
    fingerprint: Callable[[], str]


def find(root: Path, name: str, listing: str) -> Images | None:
    """The cached images whose sources were as ``listing`` says, or None.

    A cache that is incomplete or unreadable counts as none: it is made anew.
    """
    for folder in sorted((root / FOLDER).glob(f"{name}-*")):
        meta = _intact_meta(folder)
        if meta is not None and meta["listing"] == listing:
            return _open(folder, meta)
    return None


@contextmanager
def lock(root: Path, name: str) -> Iterator[None]:
    """Be the only process that writes ``name``'s cache.

    Raises:
        UserError: ``root`` cannot be written.
    """
    from filelock import FileLock

    folder = root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / f"{name}.lock")
        held.acquire()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        held.release()


def store(root: Path, name: str, listing: str, decoded: Decoded) -> Images:
    """Write ``decoded`` and map it; to be called while ``lock`` is held.

    Raises:
        UserError: The disk is full or cannot be written; nothing is left behind.
    """
    folder = root / FOLDER
    temporary = folder / f".{name}.tmp"
    aside = folder / f".{name}.old.tmp"
    try:
        # What a killed writer left: none lives, or it would hold the lock.
        for stale in (temporary, aside):
            shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir()
        try:
            meta = _write(temporary, name, listing, decoded)
            final = folder / f"{name}-{meta['fingerprint'][:12]}"
            same = _intact_meta(final)
            if same is not None and same["fingerprint"] == meta["fingerprint"]:
                # Same content under new dates, perhaps in use elsewhere: only the dates change.
                os.replace(temporary / "meta.json", final / "meta.json")
            else:
                if final.exists():
                    os.rename(final, aside)
                os.rename(temporary, final)
            sync_folder(folder)
        finally:
            for stale in (temporary, aside):
                shutil.rmtree(stale, ignore_errors=True)
    except OSError as error:
        raise _unwritable(temporary, error) from error
    return _open(final, meta)


def _write(folder: Path, name: str, listing: str, decoded: Decoded) -> dict[str, Any]:
    counts = PixelCounts(decoded.shape[2])
    _write_images(folder / "train_images.npy", decoded.shape, decoded.train, counts.add)
    _write_images(folder / "test_images.npy", decoded.shape, decoded.test, lambda _: None)
    for part, labels in (("train", decoded.train.labels), ("test", decoded.test.labels)):
        with _synced(folder / f"{part}_labels.npy") as file:
            np.lib.format.write_array(file, labels.astype(np.int64, copy=False))
    mean, std = counts.mean_std()
    meta = {
        "format": FORMAT,
        "name": name,
        "fingerprint": decoded.fingerprint(),
        "listing": listing,
        "classes": decoded.classes,
        "mean": mean,
        "std": std,
        "bytes": {file.name: file.stat().st_size for file in sorted(folder.glob("*.npy"))},
    }
    with _synced(folder / "meta.json") as file:
        file.write(json.dumps(meta, indent=1).encode())
    sync_folder(folder)
    return meta


def _write_images(
    path: Path,
    shape: tuple[int, int, int],
    part: DecodedPart,
    count: Callable[[NDArray[np.uint8]], None],
) -> None:
    # Written in order, not through a memory map: a full disk would kill the process there.
    with _synced(path) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(part.labels), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in part.chunks:
            chunk = np.ascontiguousarray(chunk)
            file.write(chunk.data)
            count(chunk)


def _intact_meta(folder: Path) -> dict[str, Any] | None:
    """The folder's meta.json, if its arrays are as long as it says."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
        whole = meta["format"] == FORMAT and all(
            (folder / file).stat().st_size == size for file, size in meta["bytes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return meta if whole else None


def _open(folder: Path, meta: dict[str, Any]) -> Images:
    return Images(
        name=meta["name"],
        train_images=np.load(folder / "train_images.npy", mmap_mode="c"),
        train_labels=np.load(folder / "train_labels.npy"),
        test_images=np.load(folder / "test_images.npy", mmap_mode="c"),
        test_labels=np.load(folder / "test_labels.npy"),
        classes=tuple(meta["classes"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        fingerprint=meta["fingerprint"],
    )


@contextmanager
def _synced(path: Path) -> Iterator[Any]:
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _unwritable(place: Path, error: OSError) -> UserError:
    what = f"{error.filename or place} cannot be written: {error.strerror or error}"
    if error.errno in _NO_RIGHT:
        what += (
            "\ndecoded images are kept there: have its owner train once, or copy the images and set"
            " data.root"
        )
    return UserError(what)
