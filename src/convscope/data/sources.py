"""Load a data set by its name, through the cache; choose the one that `auto` stands for."""

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
from convscope.errors import UserError
from convscope.runs.record import RunRecord, record_errors

AUTO_SECONDS = 30.0
"""Time limit for the download of MNIST by `auto`, seconds."""


def resolve_auto(root: str | Path) -> tuple[str, str | None]:
    """Return the name of the data set that `auto` stands for, and a message for the user or None.

    It is `mnist` if MNIST is under `root` or can be downloaded (within `CONNECT_SECONDS` to connect
    and `AUTO_SECONDS` in all), else `digits`. Nothing is written if no server answers.

    The message says why it is `digits`, or, if MNIST was downloaded, which other data sets are
    under `root`, since the user may have meant those.

    Raises:
        UserError: A file of MNIST is under `root`, but damaged.
    """
    root, known = Path(root), DATASETS["mnist"]
    if raw.is_present(known, root):
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
    """Return the images of a data set, from the cache if they have been decoded before.

    Args:
        name: A key of `DATASETS`, or image_folder; not `auto`, see `resolve_auto`.
        root: `data.root`, the folder of the raw files; `digits` has none.
        image_size: Side in pixels to which the images of an `image_folder` are scaled.
        cache_root: `data.cache`, the folder of the cache; None puts it under `root`.
        progress: Draw progress bars on stderr if it is a terminal.

    Raises:
        UserError: A file is missing, damaged or cannot be written.
    """
    check_name(name, image_size)
    root = Path(root)
    folder = cache.cache_folder(root, None if cache_root is None else Path(cache_root))
    if name == "image_folder":
        return load_folder(root, folder, image_size, progress)
    known = DATASETS[name]
    if known.loader:
        images: Images = resolve_name(known.loader)()
        return images
    if raw.is_present(known, root) and (found := cache.find(folder, name, _listing(known, root))):
        return found
    # With a cache elsewhere, `root` may be read-only: files are read from their archives.
    raw.ensure(known, root, progress=progress, extract=cache_root is None)
    with cache.lock(folder, name):
        # Hashed before the files are read: a later change makes the cache out of date.
        listing = _listing(known, root)
        return cache.find(folder, name, listing) or cache.store(
            folder, name, listing, raw.decode(known, root)
        )


def load_recorded(record: RunRecord) -> Images:
    """Return the images that a run was trained on, if they are still there unchanged.

    Raises:
        UserError: they are not, or the record is damaged.
    """
    with record_errors(record):
        data = record.config["data"]
        source = data["name"], data["root"], data["image_size"], data.get("cache")
        fingerprint = record.dataset["fingerprint"]
    images = load(*source)
    if images.fingerprint != fingerprint:
        raise UserError(
            f"the {images.name} images under data.root={data['root']} are not those that "
            f"{record.name} was trained on"
        )
    return images


def _listing(known: Dataset, root: Path) -> str:
    paths = (raw.source_path(file, root).relative_to(root).as_posix() for file in known.files)
    return cache.hash_sources(repr(known), root, paths)
