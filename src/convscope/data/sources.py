"""A data set by name: which one ``auto`` is, and its images, from the cache or into it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.data import cache, raw
from convscope.data.download import DownloadError
from convscope.data.facts import check_name
from convscope.data.images import Images
from convscope.data.nearby import other_data
from convscope.data.official import OFFICIAL, OfficialSet

if TYPE_CHECKING:
    from convscope.data.image_folder import Listing

AUTO_SECONDS = 30.0
"""That ``auto`` spends on downloading MNIST, at most."""


def resolve_auto(root: str | Path) -> tuple[str, str | None]:
    """The data set that ``auto`` stands for: ``("mnist", None)`` or ``("digits", reason)``.

    MNIST where it lies under ``root`` or can be downloaded, with CONNECT_SECONDS to connect and
    AUTO_SECONDS in all. Writes nothing where no server answers.

    The reason says what else lies there, for the user may have meant that; where MNIST was
    downloaded beside other data, so that ``auto`` could have meant them, there is one too.

    Raises:
        UserError: A part of MNIST lies there, but is damaged: that is not to be passed over.
    """
    root, known = Path(root), OFFICIAL["mnist"]
    if raw.present(known, root):
        return "mnist", None
    for file in known.files:
        if (root / file.path).exists():
            raw.read_verified(file, root)
    try:
        raw.ensure(known, root, deadline=time.monotonic() + AUTO_SECONDS)
    except DownloadError as error:
        reason = f"MNIST is not under {root}/ and could not be downloaded ({error.reason})"
        return "digits", f"{reason}; {error.advice}" if error.advice else reason
    others = other_data(root, known.name)
    return "mnist", f"it was downloaded to {root}/; {others}" if others else None


def load(
    name: str,
    root: str | Path,
    image_size: int | None = None,
    cache_root: str | Path | None = None,
    progress: bool = True,
) -> Images:
    """The images of ``name``, decoded at most once per data root.

    Args:
        name: One of ``DATASETS``; ``auto`` must be resolved before.
        root: ``data.root``: holds the files and the cache. ``digits`` does not touch it.
        image_size: Side in pixels to which an ``image_folder`` is scaled.
        cache_root: ``data.cache``: holds the cache; by default it lies under ``root``.
        progress: Draw bars on stderr, where it is a terminal.

    Raises:
        UserError: A file is missing, damaged or cannot be written.
    """
    check_name(name, image_size)
    if name == "digits":
        from convscope.data.digits import load_digits

        return load_digits()
    root = Path(root)
    folder = cache.folder_of(root, None if cache_root is None else Path(cache_root))
    if name == "image_folder":
        return _load_folder(root, folder, image_size, progress)
    known = OFFICIAL[name]
    # With a cache of its own, the root may be for reading only.
    return _load_official(known, root, folder, extract=cache_root is None, progress=progress)


def _load_official(
    known: OfficialSet, root: Path, folder: Path, extract: bool, progress: bool
) -> Images:
    if raw.present(known, root):
        found = cache.find(folder, known.name, _official_listing(known, root))
        if found is not None:
            return found
    raw.ensure(known, root, progress=progress, extract=extract)
    with cache.lock(folder, known.name):
        # Before the files are read: whatever changes later makes the cache out of date.
        listing = _official_listing(known, root)
        found = cache.find(folder, known.name, listing)
        if found is not None:
            return found
        from convscope.data.formats import read_official

        train, test, classes = read_official(known, root)
        channels, height, width = known.input_shape
        return cache.store(
            folder,
            known.name,
            listing,
            cache.Decoded(
                shape=(height, width, channels),
                classes=classes,
                train=cache.DecodedPart(train[1], [train[0]]),
                test=cache.DecodedPart(test[1], [test[0]]),
                fingerprint=lambda: known.fingerprint,
            ),
        )


def _official_listing(known: OfficialSet, root: Path) -> str:
    """Equal as long as no file is changed (by size and time) and the same content is expected."""
    lines = [repr(known)]
    for file in known.files:
        path = file.path if (root / file.path).is_file() else file.archive.path
        stat = (root / path).stat()
        lines.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _load_folder(root: Path, folder: Path, image_size: int | None, progress: bool) -> Images:
    from convscope.data.image_folder import list_images

    listing = list_images(root)
    images = _decoded(listing, folder, image_size, progress)
    return replace(images, notes=(*listing.notes, *images.notes))


def _decoded(listing: Listing, folder: Path, image_size: int | None, progress: bool) -> Images:
    """The images of ``listing``, from the cache in ``folder`` or into it."""
    name = "image_folder"
    digest = listing.digest(image_size)
    found = cache.find(folder, name, digest)
    if found is not None:
        return found
    with cache.lock(folder, name):
        found = cache.find(folder, name, digest)
        if found is not None:
            return found
        from tqdm import tqdm

        from convscope.data.decode import decode_folder
        from convscope.data.pixels import ColouredImage, outline, without_warnings

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
