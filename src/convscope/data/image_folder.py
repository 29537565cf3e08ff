"""List and decode, in parallel, a folder of images: `<root>/{train,test}/<class>/**/<image>`.

Classes, extensions and order are those of torchvision's `ImageFolder`: classes are the sorted
folder names. Hidden files and folders, and what macOS's archiver adds, are ignored. torchvision's
class is not used because it needs torch to list files, skips folders that cannot be read, and
counts images repeatedly if links form a loop.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice, takewhile
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convscope.config.schema import as_typed
from convscope.cores import cores
from convscope.data import Facts, cache
from convscope.data.images import Images
from convscope.data.nearby import advice_on_folders, folders_in, misnamed_parts, name_some
from convscope.data.pixels import (
    ColouredImage,
    Picture,
    decode,
    image_shape,
    read,
    without_warnings,
)
from convscope.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_OTHER_FORMATS = (".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".tga", ".svg")
_IGNORED = ("__MACOSX",)
CHUNK = 64
"""Most images per task; enough that the cost of submitting a task is negligible."""
CHUNK_BYTES = 1 << 23
"""Most bytes of pixels per task of more than one image."""
QUEUED_PER_WORKER = 4
"""Most unfinished or unstored tasks per worker; bounds the memory in use."""
SUGGESTED_SIDE = 64
"""Largest `data.image_size` that error messages suggest, pixels."""
SIZE_SAMPLES = 16
"""Most images that `differing_size` compares."""


class ImageFile(NamedTuple):
    """An image file and its class; `path` is relative to the root, with forward slashes."""

    path: str
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of an image folder, sorted by class and path.

    Attributes:
        root: `data.root`.
        classes: Names of the classes, by label.
        train, test: The image files of each part.
        notes: Which files are not used, one line each.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]
    notes: tuple[str, ...] = ()

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """Number of training images of each class."""
        return tuple(len(list(files)) for _, files in groupby(self.train, lambda file: file.label))

    def digest(self, image_size: int | None) -> str:
        """Return a hash, in hex, that changes when a file is added, removed or changed.

        Args:
            image_size: Side in pixels to which images are scaled, or None.

        Raises:
            UserError: A file was removed, or is a broken link.
        """
        paths = (file.path for file in (*self.train, *self.test))
        try:
            return cache.hash_sources(f"{image_size} {self.classes}", self.root, paths)
        except OSError as error:
            raise _unreadable(error.filename, error) from error


def list_images(root: Path) -> Listing:
    """Return the image files under `root`, found by name without opening them.

    Raises:
        UserError: A part is missing, a class has no image, the parts differ in classes, or there is
            only one class.
    """
    unused: list[str] = []
    train, test = (_class_names(root, part, unused) for part in ("train", "test"))
    _check_classes(root, train, test)
    train_files, test_files = (_images(root, part, train, unused) for part in ("train", "test"))
    notes = [
        f"{as_typed(root / name)} is not used: validation images are taken from train/, a share"
        " of data.val_fraction"
        for name in misnamed_parts(root, "val")
    ]
    if unused:
        notes.append(
            f"{len(unused)} files are not used ({as_typed(root / unused[0])} first): images must be"
            f" in a class's folder and are named *{', *'.join(EXTENSIONS)}"
        )
    return Listing(root, train, train_files, test_files, tuple(notes))


def _check_classes(root: Path, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    odd = sorted({*train} ^ {*test})
    if odd:
        name = odd[0]
        here, there = ("train", "test") if name in train else ("test", "train")
        alike = [other for other in odd[1:] if other.strip().lower() == name.strip().lower()]
        advice = f"; rename {there}/{as_typed(alike[0])}" if alike else ""
        more = f" (so are {len(odd) - 1} more)" if len(odd) > 1 and not alike else ""
        raise UserError(
            f"{as_typed(root / there / name)} is missing: class {as_typed(name)} is in {here}/ but"
            f" not in {there}/{more}{advice}"
        )
    if len(train) == 1:
        inside = folders_in(root / "train" / train[0])
        advice = f"; if its folders ({name_some(inside)}) are the classes, move them up" * bool(
            inside
        )
        raise UserError(
            f"{as_typed(root / 'train')} has one class only, {as_typed(train[0])}: two are needed"
            f"{advice}"
        )


def _scan(folder: str | Path) -> tuple[list[str], list[str], list[str]]:
    """Return the names of folders, of images, and of images in unsupported formats."""
    folders, images, others = [], [], []
    with os.scandir(folder) as scan:
        for entry in scan:
            if entry.name.startswith(".") or entry.name in _IGNORED:
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(EXTENSIONS):
                images.append(entry.name)
            elif entry.name.lower().endswith(_OTHER_FORMATS):
                others.append(entry.name)
    return sorted(folders), sorted(images), others


def _class_names(root: Path, part: str, unused: list[str]) -> tuple[str, ...]:
    """Return the names of a part's folders; add images outside of them to `unused`."""
    folder = root / part
    try:
        names, images, others = _scan(folder)
    except OSError as error:
        raise UserError(
            f"{as_typed(folder)} cannot be read ({error.strerror}): image_folder wants "
            f"{as_typed(root)}/{{train,test}}/<class>/<image>; {advice_on_folders(root)}"
        ) from error
    loose = [f"{part}/{name}" for name in images + others]
    unused += loose
    if not names:
        lie = f" ({len(loose)} images are directly in it)" if loose else ""
        raise UserError(
            f"{as_typed(folder)} has no folders: each class needs one, with its images in it{lie}"
        )
    return tuple(names)


def _images(
    root: Path, part: str, classes: tuple[str, ...], unused: list[str]
) -> tuple[ImageFile, ...]:
    files: list[ImageFile] = []
    for label, name in enumerate(classes):
        # Folders sort as strings, as torchvision's sorted(os.walk(...)) does.
        walked = sorted(_walk(root, f"{part}/{name}", unused))
        found = [
            ImageFile(f"{folder}/{image}", label) for folder, images in walked for image in images
        ]
        if not found:
            raise UserError(
                f"{as_typed(root / part / name)} has no images"
                f" (files named *{', *'.join(EXTENSIONS)})"
            )
        files += found
    return tuple(files)


def _walk(root: Path, folder: str, unused: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield `folder` and all folders below it, relative to `root`, with the names of their images.

    Links are followed; images in unsupported formats are added to `unused`.

    Raises:
        UserError: A folder cannot be read, or links to one that it lies in.
    """
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        path = f"{root}/{folder}"
        try:
            found = os.stat(path)
            key = (found.st_dev, found.st_ino)
            if key in above:
                raise UserError(f"{as_typed(path)} is a link to a folder that contains it")
            folders, images, others = _scan(path)
        except OSError as error:
            raise _unreadable(error.filename, error) from error
        above |= {key}
        waiting += [(f"{folder}/{name}", above) for name in folders]
        unused += [f"{folder}/{name}" for name in others]
        yield folder, images


def _unreadable(path: str, error: OSError) -> UserError:
    return UserError(f"{as_typed(path)} cannot be read: {error.strerror}")


def load_folder(root: Path, folder: Path, image_size: int | None, progress: bool) -> Images:
    """Return the images under `root`, from the cache if they have been decoded before.

    Args:
        root: `data.root`.
        folder: Folder of the cache, from `cache.cache_folder`.
        image_size: Side in pixels to which images are scaled; None requires images of equal size.
        progress: Draw a progress bar on stderr if it is a terminal.

    Raises:
        UserError: A folder or file cannot be used, or the cache cannot be written.
    """
    listing = list_images(root)
    name, digest = "image_folder", listing.digest(image_size)
    images = cache.find(folder, name, digest)
    if images is None:
        with cache.lock(folder, name):
            images = cache.find(folder, name, digest)
            if images is None:
                images = _decode_and_store(listing, folder, name, digest, image_size, progress)
    return replace(images, notes=(*listing.notes, *images.notes))


def _decode_and_store(
    listing: Listing, folder: Path, name: str, digest: str, image_size: int | None, progress: bool
) -> Images:
    """Decode the images and store them in the cache; return them."""
    channels, _, _ = image_shape(listing.root / listing.train[0].path, image_size)
    total = len(listing.train) + len(listing.test)
    hidden = None if progress else True
    with (
        tqdm(total=total, desc="decode", unit="image", leave=False, disable=hidden) as bar,
        without_warnings(),
    ):
        try:
            decoded = decode_folder(listing, image_size, channels, bar.update)
            return cache.store(folder, name, digest, decoded)
        except ColouredImage:
            # The first image is grey, a later one is not: decode all in colour.
            bar.reset()
            decoded = decode_folder(listing, image_size, 3, bar.update)
            return cache.store(folder, name, digest, decoded)


def decode_folder(
    listing: Listing, image_size: int | None, channels: int, done: Callable[[int], object]
) -> cache.Decoded:
    """Return a folder's images for `cache.store`; its chunks decode files when iterated.

    Iterating the chunks raises UserError if a file cannot be decoded or differs in size from the
    first, and ColouredImage if `channels` is 1 and a file is not grey. The fingerprint covers the
    files' paths and contents, and which images were rotated by their EXIF orientation.

    Args:
        listing: The files, from `list_images`.
        image_size: Side in pixels to which images are scaled, or None.
        channels: 1 if all images are grey, 3 for any.
        done: Called with the number of images of each chunk once it is stored.
    """
    first = listing.train[0]
    _, height, width = image_shape(listing.root / first.path, image_size)
    content = hashlib.sha256(f"{image_size} {listing.classes}".encode(errors="surrogateescape"))
    transparent: list[str] = []

    def decode_file(file: ImageFile) -> tuple[Picture, bytes]:
        path = f"{listing.root}/{file.path}"
        raw = read(path)
        picture = decode(path, raw, image_size, channels)
        # Checked per file: a whole chunk of images of any size could fill the memory.
        if picture.pixels.shape[:2] != (height, width):
            raise UserError(_sizes_differ(path, picture.pixels.shape[:2], first, (height, width)))
        return picture, hashlib.sha256(raw).digest()

    def chunks(files: Sequence[ImageFile]) -> Iterator[NDArray[np.uint8]]:
        size = min(CHUNK, max(1, CHUNK_BYTES // (height * width * channels)))
        with closing(_decode_in_order(decode_file, files, size)) as stream:
            for chunk, results in stream:
                for file, (picture, digest) in zip(chunk, results, strict=True):
                    content.update(file.path.encode(errors="surrogateescape") + b"\0" + digest)
                    if picture.turned:
                        content.update(b"turned")
                    if picture.transparent:
                        transparent.append(file.path)
                yield np.stack([picture.pixels for picture, _ in results])
                done(len(chunk))

    def part(files: Sequence[ImageFile]) -> cache.DecodedPart:
        return cache.DecodedPart(np.array([file.label for file in files], np.int64), chunks(files))

    def notes() -> tuple[str, ...]:
        if not transparent:
            return ()
        count = len(listing.train) + len(listing.test)
        return (
            f"transparency is dropped: {len(transparent)} of {count} images have transparent pixels"
            f" ({as_typed(transparent[0])} first); where it shows the shapes, put the images on a"
            " background",
        )

    return cache.Decoded(
        shape=(height, width, channels),
        classes=listing.classes,
        train=part(listing.train),
        test=part(listing.test),
        fingerprint=content.hexdigest,
        notes=notes,
    )


def folder_facts(root: Path, image_size: int | None) -> Facts:
    """Return the facts of a folder, from its files and the header of its first image.

    Raises:
        UserError: The folder or its first image cannot be used.
    """
    listing = list_images(root)
    input_shape = image_shape(root / listing.train[0].path, image_size)
    classes, train_size = len(listing.classes), len(listing.train)
    return Facts("image_folder", input_shape, classes, train_size, listing.class_sizes)


def differing_size(root: Path) -> str | None:
    """Return the error message for an image of another size than the first; None if none is found.

    At most `SIZE_SAMPLES` training images are compared, equally spaced: where sizes differ, most
    images usually differ.

    Raises:
        UserError: The folder or one of these files cannot be used.
    """
    first, *_ = files = list_images(root).train
    expected = None
    for file in files[:: -(-len(files) // SIZE_SAMPLES)]:
        size = image_shape(root / file.path, None)[1:]
        expected = expected or size
        if size != expected:
            return _sizes_differ(f"{root}/{file.path}", size, first, expected)
    return None


def _sizes_differ(
    path: str, size: tuple[int, ...], first: ImageFile, first_size: tuple[int, int]
) -> str:
    found, expected = ("x".join(map(str, one)) for one in (size, first_size))
    return (
        f"{as_typed(path)} has {found} pixels (height x width), {as_typed(first.path)} has"
        f" {expected}; data.image_size={min(*first_size, SUGGESTED_SIDE)} scales all to one size"
    )


def _decode_in_order(
    decode_file: Callable[[ImageFile], tuple[Picture, bytes]], files: Sequence[ImageFile], size: int
) -> Generator[tuple[Sequence[ImageFile], list[tuple[Picture, bytes]]], None, None]:
    """Yield chunks of files with their results, in order, decoded by several threads.

    Threads run in parallel, since Pillow releases the GIL while it decodes.
    """
    workers = cores()
    chunks = (files[start : start + size] for start in range(0, len(files), size))
    waiting: deque[tuple[Sequence[ImageFile], Future[list[tuple[Picture, bytes]]]]] = deque()
    stop = Event()

    def decode_chunk(chunk: Sequence[ImageFile]) -> list[tuple[Picture, bytes]]:
        # After Ctrl-C or an error the rest of a chunk is skipped: it may take minutes.
        return [decode_file(file) for file in takewhile(lambda _: not stop.is_set(), chunk)]

    def submit(count: int) -> None:
        waiting.extend((chunk, pool.submit(decode_chunk, chunk)) for chunk in islice(chunks, count))

    pool = ThreadPoolExecutor(workers)
    try:
        submit(workers * QUEUED_PER_WORKER)
        while waiting:
            chunk, future = waiting.popleft()
            yield chunk, future.result()
            submit(1)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
