"""A folder of images, `<root>/{train,test}/<class>/**/<image>`: listed, and decoded in parallel.

As torchvision's ImageFolder has it: classes are the sorted folder names, images are the files with
its extensions in its order. Hidden files and folders are passed over, since they are never meant,
and so is what macOS's archiver adds. torchvision's own class would need torch to list files, passes
over folders that cannot be read, and counts images again where links loop.
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
from convscope.data import cache
from convscope.data.images import Images
from convscope.data.nearby import few, folder_advice, folders_in, parts_beside
from convscope.data.pixels import ColouredImage, Picture, decode, outline, read, without_warnings
from convscope.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_OTHER_FORMATS = (".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".tga", ".svg")
_NEVER_MEANT = ("__MACOSX",)
CHUNK = 64
"""Most images per task: so many that handing a task over costs nothing in comparison."""
CHUNK_BYTES = 1 << 23
"""Most bytes of pixels per task that has more than one image."""
AHEAD = 4
"""Most tasks per worker that wait to be stored; bounds the memory in use."""
USUAL_SIDE = 64
"""Size in pixels that is proposed where images are larger."""
LOOKED_AT = 16
"""Number of images whose size is looked at before all are decoded."""


class ImageFile(NamedTuple):
    """A file as it was found; `path` is relative to the root, with forward slashes."""

    path: str
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of an image folder, class by class, sorted.

    Attributes:
        root: `data.root`.
        classes: Their names, by label.
        notes: What lies there and is not used, a line each.
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
        """Return a hash that no longer matches once a file is added, removed or changed.

        Raises:
            UserError: A file has gone, or is a link to nothing.
        """
        paths = (file.path for file in (*self.train, *self.test))
        try:
            return cache.listing_of(f"{image_size} {self.classes}", self.root, paths)
        except OSError as error:
            raise _unreadable(error.filename, error) from error


def list_images(root: Path) -> Listing:
    """Find the images under `root` by their names only.

    Raises:
        UserError: A part is missing, a class has no image, the parts differ in classes, or there is
            one class only.
    """
    unused: list[str] = []
    train, test = (_class_names(root, part, unused) for part in ("train", "test"))
    _check_classes(root, train, test)
    train_files, test_files = (_images(root, part, train, unused) for part in ("train", "test"))
    notes = [
        f"{as_typed(root / name)} is not used: validation images are held back from train/, a share"
        " of data.val_fraction"
        for name in parts_beside(root, "val")
    ]
    if unused:
        notes.append(
            f"{len(unused)} files are not used ({as_typed(root / unused[0])} first): images lie in"
            f" a class's folder and are named *{', *'.join(EXTENSIONS)}"
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
        advice = f"; if its folders ({few(inside)}) are the classes, move them up" * bool(inside)
        raise UserError(
            f"{as_typed(root / 'train')} has one class only, {as_typed(train[0])}: two are needed"
            f"{advice}"
        )


def _scan(folder: str | Path) -> tuple[list[str], list[str], list[str]]:
    """Names in a folder: of folders, of images, and of images in formats that are not read."""
    folders, images, others = [], [], []
    with os.scandir(folder) as scan:
        for entry in scan:
            if entry.name.startswith(".") or entry.name in _NEVER_MEANT:
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(EXTENSIONS):
                images.append(entry.name)
            elif entry.name.lower().endswith(_OTHER_FORMATS):
                others.append(entry.name)
    return sorted(folders), sorted(images), others


def _class_names(root: Path, part: str, unused: list[str]) -> tuple[str, ...]:
    """The folders in a part; images that lie beside them are added to `unused`."""
    folder = root / part
    try:
        names, images, others = _scan(folder)
    except OSError as error:
        raise UserError(
            f"{as_typed(folder)} cannot be read ({error.strerror}): image_folder wants "
            f"{as_typed(root)}/{{train,test}}/<class>/<image>; {folder_advice(root)}"
        ) from error
    loose = [f"{part}/{name}" for name in images + others]
    unused += loose
    if not names:
        lie = f" ({len(loose)} images lie in it directly)" if loose else ""
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
    """(folder relative to `root`, names of its images), of `folder` and of all below it.

    Links are followed.

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
                raise UserError(f"{as_typed(path)} is a link to a folder that it lies in")
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
    """Load the images under `root`, from the cache in `folder` or into it.

    Args:
        root: `data.root`.
        folder: Of the cache, by `cache.folder_of`.
        image_size: Side in pixels to which they are scaled; None wants all of one size.
        progress: Draw a bar on stderr, where it is a terminal.

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
                images = _stored(listing, folder, name, digest, image_size, progress)
    return replace(images, notes=(*listing.notes, *images.notes))


def _stored(
    listing: Listing, folder: Path, name: str, digest: str, image_size: int | None, progress: bool
) -> Images:
    """Decode the images into the cache."""
    channels, _, _ = outline(listing.root / listing.train[0].path, image_size)
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
            # Grey at first, coloured later on: all of it in colour.
            bar.reset()
            decoded = decode_folder(listing, image_size, 3, bar.update)
            return cache.store(folder, name, digest, decoded)


def decode_folder(
    listing: Listing, image_size: int | None, channels: int, done: Callable[[int], object]
) -> cache.Decoded:
    """Return a folder's images, ready to be stored; files are decoded as the chunks are taken.

    The chunks raise UserError where a file cannot be decoded or differs in size from the first, and
    ColouredImage where `channels` is 1 and a file is not grey. The fingerprint is that of the
    files' paths and contents, and of which were turned by their EXIF orientation.

    Args:
        image_size: Side in pixels to which images are scaled, or None.
        channels: 1 for grey images, 3 for any.
        done: Called with the number of images of each chunk.
    """
    first = listing.train[0]
    _, height, width = outline(listing.root / first.path, image_size)
    content = hashlib.sha256(f"{image_size} {listing.classes}".encode(errors="surrogateescape"))
    transparent: list[str] = []

    def one(file: ImageFile) -> tuple[Picture, bytes]:
        path = f"{listing.root}/{file.path}"
        raw = read(path)
        picture = decode(path, raw, image_size, channels)
        # Here, not once a chunk is whole: images of any size would be in memory until then.
        if picture.pixels.shape[:2] != (height, width):
            raise UserError(_sizes_differ(path, picture.pixels.shape[:2], first, (height, width)))
        return picture, hashlib.sha256(raw).digest()

    def chunks(files: Sequence[ImageFile]) -> Iterator[NDArray[np.uint8]]:
        size = min(CHUNK, max(1, CHUNK_BYTES // (height * width * channels)))
        with closing(_in_order(one, files, size)) as stream:
            for some, results in stream:
                for file, (picture, digest) in zip(some, results, strict=True):
                    content.update(file.path.encode(errors="surrogateescape") + b"\0" + digest)
                    if picture.turned:
                        content.update(b"turned")
                    if picture.transparent:
                        transparent.append(file.path)
                yield np.stack([picture.pixels for picture, _ in results])
                done(len(some))

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


def differing_size(root: Path) -> str | None:
    """Return the message of `decode_folder` for an image of another size than the first, or None.

    A few images are looked at, spread over the train part: such folders rarely have two alike.

    Raises:
        UserError: The folder or one of these files cannot be used.
    """
    first, *_ = files = list_images(root).train
    expected = None
    for file in files[:: -(-len(files) // LOOKED_AT)]:
        size = outline(root / file.path, None)[1:]
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
        f" {expected}; data.image_size={min(*first_size, USUAL_SIDE)} scales all to one size"
    )


def _in_order(
    one: Callable[[ImageFile], tuple[Picture, bytes]], files: Sequence[ImageFile], size: int
) -> Generator[tuple[Sequence[ImageFile], list[tuple[Picture, bytes]]], None, None]:
    """Chunks of files with their results, as listed. Pillow lets threads decode side by side."""
    workers = cores()
    parts = (files[start : start + size] for start in range(0, len(files), size))
    waiting: deque[tuple[Sequence[ImageFile], Future[list[tuple[Picture, bytes]]]]] = deque()
    is_over = Event()

    def every(some: Sequence[ImageFile]) -> list[tuple[Picture, bytes]]:
        # Nobody waits for the rest of a task after Ctrl-C or an error: it may take minutes.
        return [one(file) for file in takewhile(lambda _: not is_over.is_set(), some)]

    def submit(count: int) -> None:
        waiting.extend((some, pool.submit(every, some)) for some in islice(parts, count))

    pool = ThreadPoolExecutor(workers)
    try:
        submit(workers * AHEAD)
        while waiting:
            some, future = waiting.popleft()
            yield some, future.result()
            submit(1)
    finally:
        is_over.set()
        pool.shutdown(cancel_futures=True)
