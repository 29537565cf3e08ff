"""Advice on misplaced and misnamed data: what is near `data.root`, and what to move or rename.

Only names are read, of at most `MAX_ENTRIES` files in each of at most `MAX_FOLDERS` folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from convscope.config.schema import as_typed
from convscope.data.datasets import DATASETS, Dataset

MAX_FOLDERS = 100
MAX_ENTRIES = 1000
_DEPTH = 3
_MAKE_TEST = "make test/, with some images of each class from train/"
_PARTS = {"train": ("train", "trn"), "test": ("test", "tst"), "val": ("val", "dev")}
"""Prefixes of folder names that suggest a part, in lower case."""


def _paths(known: Dataset) -> list[str]:
    """Return the paths of a data set's files and archives, relative to the data root."""
    return [path for file in known.files for path in (file.path, file.archive.path)]


_PUBLISHED_PATHS = {path for known in DATASETS.values() for path in _paths(known)}
_PUBLISHED_NAMES = {path.partition("/")[0] for path in _PUBLISHED_PATHS}


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in `folder` and whether each is a folder; [] if it cannot be read."""
    try:
        with os.scandir(folder) as scan:
            visible = (entry for entry in scan if not entry.name.startswith("."))
            return sorted(
                (entry.name, os.path.isdir(entry.path)) for entry in islice(visible, MAX_ENTRIES)
            )
    except OSError:
        return []


def folders_in(root: Path) -> list[str]:
    """Return the names of the folders in `root`."""
    return [name for name, is_folder in _entries(root) if is_folder]


def name_some(names: list[str]) -> str:
    """Return the first three names, separated by commas, with an ellipsis if there are more."""
    return ", ".join(map(as_typed, names[:3])) + ", …" * (len(names) > 3)


def misnamed_parts(root: Path, *parts: str) -> list[str]:
    """Return the folders in `root` whose names resemble, but do not equal, those of `parts`."""
    folders = folders_in(root)
    return [
        name
        for part in parts
        for name in folders
        if name.lower().startswith(_PARTS[part]) and name not in ("train", "test")
    ]


def advice_on_folders(root: Path) -> str:
    """Return what to do if `root` is not an image folder, judged by its content."""
    if renames := _renames(root):
        has_test = (root / "test").is_dir() or misnamed_parts(root, "test", "val")
        return renames if has_test else f"{renames} and {_MAKE_TEST}"
    for name in folders_in(root):
        inside = root / name
        renames = _renames(inside)
        if renames or _is_image_folder(inside):
            return f"set data.root={as_typed(inside)}" + f" and {renames}" * bool(renames)
    if root.is_dir() and _is_image_folder(root.parent):
        return f"set data.root={as_typed(root.parent)}"
    if (root / "train").is_dir():
        return _MAKE_TEST
    classes = [n for n in folders_in(root) if n not in _PUBLISHED_NAMES and _entries(root / n)]
    if classes:
        return (
            f"if {name_some(classes)} are the classes, move them into"
            f" {as_typed(root / 'train')}, and some images of each into {as_typed(root / 'test')}"
        )
    return "set data.root to where they are"


def _is_image_folder(root: Path) -> bool:
    return all((root / part).is_dir() for part in ("train", "test"))


def _renames(root: Path) -> str:
    """Return which folders in `root` to rename to train and test; "" if there are none."""
    pairs = []
    for part, others in (("train", ("train",)), ("test", ("test", "val"))):
        found = misnamed_parts(root, *others)
        if found and not (root / part).is_dir():
            pairs.append(f"{as_typed(root / found[0])} to {part}")
    return f"rename {' and '.join(pairs)}" if pairs else ""


def advice_on_files(known: Dataset, root: Path) -> str | None:
    """Return what to do with a data set's files that are misplaced or misnamed under `root`.

    If there are no such files, return `other_data`.
    """
    misplaced = {
        path: found
        for found in _files(root)
        if found.relative_to(root).as_posix() not in _PUBLISHED_PATHS
        for path in _paths(known)
        if _same_name(found, path)
    }
    if misplaced:
        path, found = next(iter(misplaced.items()))
        problem, whole = f"{as_typed(found)} is there", str(found.absolute())
        if whole.endswith(f"/{path}"):
            return f"{problem}: set data.root={as_typed(whole.removesuffix(f'/{path}'))}"
        more = f", and so on with {len(misplaced) - 1} more" if len(misplaced) > 1 else ""
        return f"{problem}: move it to {as_typed(root / path)}{more}"
    for name, _ in _entries(root):
        if _plain(name).startswith(_plain(known.name)) and name not in _PUBLISHED_NAMES:
            return (
                f"{as_typed(root / name)} is there, but not in the form that torchvision has:"
                f" {known.files[0].path}"
            )
    return other_data(root, known.name)


def other_data(root: Path, name: str) -> str | None:
    """Return the other data sets under `root` and the options that use them; None if none."""
    found = [
        f"{as_typed((root / known.files[0].path).parent)} is there: data={known.name} uses it"
        for known in DATASETS.values()
        if known.name != name
        and any((root / (f.path if f.md5 else f.archive.path)).is_file() for f in known.files)
    ]
    if _is_image_folder(root) or _renames(root):
        found.append(f"{as_typed(root)} has an image folder's parts: data=image_folder uses them")
    found += [
        f"{path} is an image folder: data=image_folder data.root={path} uses it"
        for folder in folders_in(root)
        for path in [as_typed(root / folder)]
        if _is_image_folder(root / folder)
    ]
    return "; ".join(found) or None


def _same_name(found: Path, path: str) -> bool:
    """Return whether a file is named like `path`, ignoring separators and a copy's number.

    CIFAR's file names are generic (train, meta), so their folder's name must match too.
    """
    wanted = Path(path)
    if _plain(found.name) != _plain(wanted.name):
        return False
    return not wanted.parent.name.startswith("cifar") or (
        _plain(found.parent.name) == _plain(wanted.parent.name)
    )


def _plain(name: str) -> str:
    return re.sub(r"\(\d+\)|[^a-z0-9]", "", name.lower())


def _files(root: Path) -> Iterator[Path]:
    """Yield the files at most `_DEPTH` folders below `root`, breadth first."""
    folders = [(root, 0)]
    for folder, depth in folders:
        for name, is_folder in _entries(folder):
            if not is_folder:
                yield folder / name
            elif depth < _DEPTH and len(folders) < MAX_FOLDERS:
                folders.append((folder / name, depth + 1))
