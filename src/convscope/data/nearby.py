"""What lies near the folder where a data set is looked for, and what to rename.

Names are looked at, in `MOST_FOLDERS` and of `MOST_ENTRIES` each at most; nothing is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from convscope.config.schema import as_typed
from convscope.data.datasets import DATASETS, Dataset

MOST_FOLDERS = 100
MOST_ENTRIES = 1000
_DEPTH = 3
_MAKE_TEST = "make test/, with some images of each class from train/"
_PARTS = {"train": ("train", "trn"), "test": ("test", "tst"), "val": ("val", "dev")}
"""Beginnings of the names of a part's folder, in any case."""


def _paths(known: Dataset) -> list[str]:
    """Paths of its files and archives, relative to the data root."""
    return [path for file in known.files for path in (file.path, file.archive.path)]


_PUBLISHED_PATHS = {path for known in DATASETS.values() for path in _paths(known)}
_PUBLISHED_NAMES = {path.partition("/")[0] for path in _PUBLISHED_PATHS}


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Return names in `folder` and whether each is a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as scan:
            visible = (entry for entry in scan if not entry.name.startswith("."))
            return sorted(
                (entry.name, os.path.isdir(entry.path)) for entry in islice(visible, MOST_ENTRIES)
            )
    except OSError:
        return []


def folders_in(root: Path) -> list[str]:
    """Return the names of folders in `root`."""
    return [name for name, is_folder in _entries(root) if is_folder]


def few(names: list[str]) -> str:
    """Return the first three of some names, for a sentence."""
    return ", ".join(map(as_typed, names[:3])) + ", …" * (len(names) > 3)


def parts_beside(root: Path, *parts: str) -> list[str]:
    """Return folders in `root` that are named like one of these parts, but not exactly so."""
    folders = folders_in(root)
    return [
        name
        for part in parts
        for name in folders
        if name.lower().startswith(_PARTS[part]) and name not in ("train", "test")
    ]


def folder_advice(root: Path) -> str:
    """Return what to do where `root` is no image folder, judged by what lies in it."""
    if renames := _renames(root):
        has_test = (root / "test").is_dir() or parts_beside(root, "test", "val")
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
            f"if {few(classes)} are the classes, move them into {as_typed(root / 'train')}, and"
            f" some images of each into {as_typed(root / 'test')}"
        )
    return "set data.root to where they are"


def _is_image_folder(root: Path) -> bool:
    return all((root / part).is_dir() for part in ("train", "test"))


def _renames(root: Path) -> str:
    """Which folders in `root` to call train and test; empty where none is to be renamed."""
    pairs = []
    for part, others in (("train", ("train",)), ("test", ("test", "val"))):
        found = parts_beside(root, *others)
        if found and not (root / part).is_dir():
            pairs.append(f"{as_typed(root / found[0])} to {part}")
    return f"rename {' and '.join(pairs)}" if pairs else ""


def published_advice(known: Dataset, root: Path) -> str | None:
    """Return which of a data set's files lie under `root` under other names, and what to do."""
    misplaced = {
        path: found
        for found in _files(root)
        if found.relative_to(root).as_posix() not in _PUBLISHED_PATHS
        for path in _paths(known)
        if _same_name(found, path)
    }
    if misplaced:
        path, found = next(iter(misplaced.items()))
        lies, whole = f"{as_typed(found)} lies there", str(found.absolute())
        if whole.endswith(f"/{path}"):
            return f"{lies}: set data.root={as_typed(whole.removesuffix(f'/{path}'))}"
        more = f", and so on with {len(misplaced) - 1} more" if len(misplaced) > 1 else ""
        return f"{lies}: move it to {as_typed(root / path)}{more}"
    for name, _ in _entries(root):
        if _plain(name).startswith(_plain(known.name)) and name not in _PUBLISHED_NAMES:
            return (
                f"{as_typed(root / name)} lies there, but not in the form that torchvision has:"
                f" {known.files[0].path}"
            )
    return other_data(root, known.name)


def other_data(root: Path, name: str) -> str | None:
    """Return the other data sets that lie under `root`, and the choices that use them."""
    found = [
        f"{as_typed((root / known.files[0].path).parent)} lies there: data={known.name} takes it"
        for known in DATASETS.values()
        if known.name != name
        and any((root / (f.path if f.md5 else f.archive.path)).is_file() for f in known.files)
    ]
    if _is_image_folder(root) or _renames(root):
        found.append(f"{as_typed(root)} has an image folder's parts: data=image_folder takes them")
    found += [
        f"{path} is an image folder: data=image_folder data.root={path} takes it"
        for folder in folders_in(root)
        for path in [as_typed(root / folder)]
        if _is_image_folder(root / folder)
    ]
    return "; ".join(found) or None


def _same_name(found: Path, path: str) -> bool:
    """Whether a file is named as `path` but for separators and a copy's number.

    CIFAR's names say little (train, meta), so that their folder's name counts too.
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
    """Files down to `_DEPTH`, those further up first."""
    folders = [(root, 0)]
    for folder, depth in folders:
        for name, is_folder in _entries(folder):
            if not is_folder:
                yield folder / name
            elif depth < _DEPTH and len(folders) < MOST_FOLDERS:
                folders.append((folder / name, depth + 1))
