"""An image folder to pixels: in parallel, in order, all of one size."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice, takewhile
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convscope.config.schema import as_typed
from convscope.cores import cores
from convscope.data.cache import Decoded, DecodedPart
from convscope.data.image_folder import ImageFile, Listing, list_images
from convscope.data.pixels import Picture, decode, outline, read
from convscope.errors import UserError

CHUNK = 64
"""Images per task, at most: enough that handing a task over costs nothing beside it."""
CHUNK_BYTES = 1 << 23
"""Of pixels per task, where it has more than one image."""
AHEAD = 4
"""Tasks per worker that may wait to be stored; bounds the memory held."""
USUAL_SIDE = 64
"""Pixels that are proposed as the size of larger images."""
LOOKED_AT = 16
"""Images whose size is looked at before all are decoded."""


class Result(NamedTuple):
    """A picture and the sha256 of its file."""

    picture: Picture
    digest: bytes


def decode_folder(
    listing: Listing, image_size: int | None, channels: int, done: Callable[[int], object]
) -> Decoded:
    """A folder ready to be stored; files are decoded as its chunks are taken.

    The chunks raise UserError where a file cannot be decoded or differs in size from the first, and
    ColouredImage where ``channels`` is 1 and a file is not grey. The fingerprint is that of the
    files' paths and contents, and of which were turned by their EXIF orientation.

    Args:
        done: Told of each chunk's number of images.
    """
    first = listing.train[0]
    _, height, width = outline(listing.root / first.path, image_size)
    content = hashlib.sha256(f"{image_size} {listing.classes}".encode(errors="surrogateescape"))
    transparent: list[str] = []

    def one(file: ImageFile) -> Result:
        path = f"{listing.root}/{file.path}"
        raw = read(path)
        picture = decode(path, raw, image_size, channels)
        # Here, not once a chunk is whole: images of any size would be held until then.
        if picture.pixels.shape[:2] != (height, width):
            raise UserError(_sizes_differ(path, picture.pixels.shape[:2], first, (height, width)))
        return Result(picture, hashlib.sha256(raw).digest())

    def taken(file: ImageFile, result: Result) -> NDArray[np.uint8]:
        content.update(file.path.encode(errors="surrogateescape") + b"\0" + result.digest)
        if result.picture.turned:
            content.update(b"turned")
        if result.picture.transparent:
            transparent.append(file.path)
        return result.picture.pixels

    size = min(CHUNK, max(1, CHUNK_BYTES // (height * width * channels)))

    def chunks(files: Sequence[ImageFile]) -> Iterator[NDArray[np.uint8]]:
        with closing(_in_order(one, files, size)) as stream:
            for some, results in stream:
                yield np.stack([taken(*pair) for pair in zip(some, results, strict=True)])
                done(len(some))

    def part(files: Sequence[ImageFile]) -> DecodedPart:
        return DecodedPart(np.array([file.label for file in files], np.int64), chunks(files))

    def notes() -> tuple[str, ...]:
        if not transparent:
            return ()
        count = len(listing.train) + len(listing.test)
        return (
            f"transparency is dropped: {len(transparent)} of {count} images have transparent pixels"
            f" ({as_typed(transparent[0])} first); where it shows the shapes, put the images on a"
            " background",
        )

    return Decoded(
        shape=(height, width, channels),
        classes=listing.classes,
        train=part(listing.train),
        test=part(listing.test),
        fingerprint=content.hexdigest,
        notes=notes,
    )


def differing_size(root: Path) -> str | None:
    """What ``decode_folder`` would say of an image of another size than the first, or None.

    A few images are looked at, spread over the train part: such folders rarely have two alike.

    Raises:
        UserError: The folder or one of these files cannot be used.
    """
    listing = list_images(root)
    first, *_ = files = listing.train
    sizes = {
        file: outline(root / file.path, None)[1:] for file in files[:: -(-len(files) // LOOKED_AT)]
    }
    for file, size in sizes.items():
        if size != sizes[first]:
            return _sizes_differ(f"{root}/{file.path}", size, first, sizes[first])
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
    one: Callable[[ImageFile], Result], files: Sequence[ImageFile], size: int
) -> Generator[tuple[Sequence[ImageFile], list[Result]], None, None]:
    """Chunks of files with their results, as listed. Pillow lets threads decode side by side."""
    workers = cores()
    starts = iter(range(0, len(files), size))
    waiting: deque[tuple[Sequence[ImageFile], Future[list[Result]]]] = deque()
    is_over = Event()

    def every(some: Sequence[ImageFile]) -> list[Result]:
        # Nobody waits for the rest of a task after Ctrl-C or an error: it may take minutes.
        return [one(file) for file in takewhile(lambda _: not is_over.is_set(), some)]

    def submit(count: int) -> None:
        for start in islice(starts, count):
            some = files[start : start + size]
            waiting.append((some, pool.submit(every, some)))

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
