"""A data set by name: which one `auto` is, and its images, from the cache or into it."""

from __future__ import annotations

import time
from pathlib import Path
from pkgutil import resolve_name

from convscope.data import cache, raw
from convscope.data.datasets import DATASETS, Dataset, check_name
from convscope.data.download import DownloadError
from convscope.data.image_folder import load_folder
from convscope.data.images import Images
from convscope.data.nearby import other_data

AUTO_SECONDS = 30.0
"""Longest time that `auto` spends on downloading MNIST."""


def resolve_auto(root: str | Path) -> tuple[str, str | None]:
    """Return the data set that `auto` stands for: `("mnist", None)` or `("digits", reason)`.

    MNIST where it lies under `root` or can be downloaded, with CONNECT_SECONDS to connect and
    AUTO_SECONDS in all. Writes nothing where no server answers.

    The reason says what else lies there, for the user may have meant that; where MNIST was
    downloaded beside other data, so that `auto` could have meant them, there is one too.

    Raises:
        UserError: A part of MNIST lies there, but is damaged: that is not to be passed over.
    """
    root, known = Path(root), DATASETS["mnist"]
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
    """Load the images of `name`, decoded at most once per data root.

    Args:
        name: One of `DATASETS`, or image_folder; `auto` must be resolved before.
        root: `data.root`: holds the files and the cache. `digits` does not touch it.
        image_size: Side in pixels to which an `image_folder` is scaled.
        cache_root: `data.cache`: holds the cache; by default it lies under `root`.
        progress: Draw bars on stderr, where it is a terminal.

    Raises:
        UserError: A file is missing, damaged or cannot be written.
    """
    check_name(name, image_size)
    root = Path(root)
    folder = cache.folder_of(root, None if cache_root is None else Path(cache_root))
    if name == "image_folder":
        return load_folder(root, folder, image_size, progress)
    known = DATASETS[name]
    if known.loader:
        made: Images = resolve_name(known.loader)()
        return made
    if raw.present(known, root) and (found := cache.find(folder, name, _listing(known, root))):
        return found
    # With a cache of its own, the root may be for reading only.
    raw.ensure(known, root, progress=progress, extract=cache_root is None)
    with cache.lock(folder, name):
        # Before the files are read: whatever changes later makes the cache out of date.
        listing = _listing(known, root)
        return cache.find(folder, name, listing) or cache.store(
            folder, name, listing, raw.decode(known, root)
        )


def _listing(known: Dataset, root: Path) -> str:
    paths = (raw.source_of(file, root).relative_to(root).as_posix() for file in known.files)
    return cache.listing_of(repr(known), root, paths)
