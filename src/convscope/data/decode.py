"""An image folder to pixels: in parallel, in order, all of one size."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from convscope.cores import cores
from convscope.data.cache import Decoded, DecodedPart
from convscope.data.image_folder import ImageFile, Listing
from convscope.data.pixels import decode, outline, read
from convscope.errors import UserError

CHUNK = 64
"""Images per task: enough that handing a task over costs nothing beside it."""
AHEAD = 4
"""Tasks per worker that may wait to be stored; bounds the memory held."""

Result = tuple[NDArray[np.uint8], bytes]
"""Pixels (H, W, C) and the sha256 of the file."""


def decode_folder(
    listing: Listing, image_size: int | None, channels: int, done: Callable[[int], object]
) -> Decoded:
    """A folder ready to be stored; files are decoded as its chunks are taken.

    The chunks raise UserError where a file cannot be decoded or differs in size from the first, and
    ColouredImage where ``channels`` is 1 and a file is not grey. The fingerprint is that of the
    files' paths and contents.

    Args:
        done: Told of each chunk's number of images.
    """
    first = listing.train[0]
    _, height, width = outline(listing.root / first.path, image_size)
    content = hashlib.sha256(f"{image_size} {listing.classes}".encode(errors="surrogateescape"))

    def one(file: ImageFile) -> Result:
        path = f"{listing.root}/{file.path}"
        raw = read(path)
        return decode(path, raw, image_size, channels), hashlib.sha256(raw).digest()

    def checked(file: ImageFile, result: Result) -> NDArray[np.uint8]:
        pixels, digest = result
        if pixels.shape[:2] != (height, width):
            raise UserError(
                f"{listing.root / file.path} has {pixels.shape[0]}x{pixels.shape[1]} pixels "
                f"(height x width), {first.path} has {height}x{width}; "
                f"data.image_size={min(height, width)} scales all to one size"
            )
        content.update(file.path.encode(errors="surrogateescape") + b"\0" + digest)
        return pixels

    def chunks(files: Sequence[ImageFile]) -> Iterator[NDArray[np.uint8]]:
        with closing(_in_order(one, files)) as stream:
            for some, results in stream:
                yield np.stack([checked(*pair) for pair in zip(some, results, strict=True)])
                done(len(some))

    def part(files: Sequence[ImageFile]) -> DecodedPart:
        return DecodedPart(np.array([file.label for file in files], np.int64), chunks(files))

    return Decoded(
        shape=(height, width, channels),
        classes=listing.classes,
        train=part(listing.train),
        test=part(listing.test),
        fingerprint=content.hexdigest,
    )


def _in_order(
    one: Callable[[ImageFile], Result], files: Sequence[ImageFile]
) -> Generator[tuple[Sequence[ImageFile], list[Result]], None, None]:
    """Chunks of files with their results, as listed. Pillow lets threads decode side by side."""
    workers = cores()
    starts = iter(range(0, len(files), CHUNK))
    waiting: deque[tuple[Sequence[ImageFile], Future[list[Result]]]] = deque()

    def every(some: Sequence[ImageFile]) -> list[Result]:
        return [one(file) for file in some]

    def submit(count: int) -> None:
        for start in islice(starts, count):
            some = files[start : start + CHUNK]
            waiting.append((some, pool.submit(every, some)))

    pool = ThreadPoolExecutor(workers)
    try:
        submit(workers * AHEAD)
        while waiting:
            some, future = waiting.popleft()
            yield some, future.result()
            submit(1)
    finally:
        pool.shutdown(cancel_futures=True)
