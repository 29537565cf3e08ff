"""A folder of images: ``<root>/{train,test}/<class>/**/<image>``.

As torchvision's ImageFolder has it: classes are the sorted folder names, images are the files with
its extensions in its order. Hidden files and folders are passed over, since they are never meant,
and so is what macOS's archiver adds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from convscope.config.schema import as_typed
from convscope.data.nearby import entries, folder_advice, parts_beside
from convscope.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_OTHER_FORMATS = (".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".tga", ".svg")
_NEVER_MEANT = ("__MACOSX",)


class ImageFile(NamedTuple):
    """A file as it was found; ``path`` is relative to the root, with forward slashes."""

    path: str
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of an image folder, class by class, sorted.

    Attributes:
        notes: What lies there and is not used, a line each.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]
    notes: tuple[str, ...] = ()

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """Training images of each class."""
        return tuple(len(list(files)) for _, files in groupby(self.train, lambda file: file.label))

    def digest(self, image_size: int | None) -> str:
        """Equal as long as no file is added, removed or changed (by size and time).

        Raises:
            UserError: A file has gone, or is a link to nothing.
        """
        lines = [f"{image_size} {self.classes}"]
        for file in (*self.train, *self.test):
            path = f"{self.root}/{file.path}"
            try:
                stat = os.stat(path)
            except OSError as error:
                raise _unreadable(path, error) from error
            lines.append(f"{file.path}\0{stat.st_size}\0{stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


@dataclass
class _Unused:
    """Files that look like images and are none of a class, or of no format that is read."""

    count: int = 0
    first: str = ""

    def add(self, path: str) -> None:
        self.first = self.first or path
        self.count += 1


def list_images(root: Path) -> Listing:
    """Find the images under ``root`` by their names alone.

    Raises:
        UserError: A part is missing, a class has no image, the parts differ in classes, or there is
            one class only.
    """
    unused = _Unused()
    train, test = (_class_names(root, part, unused) for part in ("train", "test"))
    _check_classes(root, train, test)
    train_files, test_files = (_images(root, part, train, unused) for part in ("train", "test"))
    notes = [
        f"{as_typed(root / name)} is not used: validation images are held back from train/, a share"
        " of data.val_fraction"
        for name in parts_beside(root, "val")
    ]
    if unused.count:
        notes.append(
            f"{unused.count} files are not used ({as_typed(root / unused.first)} first): images lie"
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
        inside = [name for name, is_folder in entries(root / "train" / train[0]) if is_folder]
        advice = f"; if its folders ({_few(inside)}) are the classes, move them up" * bool(inside)
        raise UserError(
            f"{as_typed(root / 'train')} has one class only, {as_typed(train[0])}: two are needed"
            f"{advice}"
        )


def _may_be_meant(name: str) -> bool:
    return not name.startswith(".") and name not in _NEVER_MEANT


def _few(names: list[str]) -> str:
    return ", ".join(map(as_typed, names[:3])) + ", …" * (len(names) > 3)


def _class_names(root: Path, part: str, unused: _Unused) -> tuple[str, ...]:
    folder = root / part
    names, loose = [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _may_be_meant(entry.name):
                    continue
                if entry.is_dir():
                    names.append(entry.name)
                elif entry.name.lower().endswith(EXTENSIONS + _OTHER_FORMATS):
                    loose += 1
                    unused.add(f"{part}/{entry.name}")
    except OSError as error:
        raise UserError(
            f"{as_typed(folder)} cannot be read ({error.strerror}): image_folder wants "
            f"{as_typed(root)}/{{train,test}}/<class>/<image>; {folder_advice(root)}"
        ) from error
    if not names:
        lie = f" ({loose} images lie in it directly)" if loose else ""
        raise UserError(
            f"{as_typed(folder)} has no folders: each class needs one, with its images in it{lie}"
        )
    return tuple(sorted(names))


def _images(
    root: Path, part: str, classes: tuple[str, ...], unused: _Unused
) -> tuple[ImageFile, ...]:
    found: list[ImageFile] = []
    for label, name in enumerate(classes):
        before = len(found)
        # Folders sort as strings, as torchvision's sorted(os.walk(...)) does.
        for _, paths in sorted(_walk(f"{root}/{part}/{name}", f"{part}/{name}", unused)):
            found += [ImageFile(path, label) for path in sorted(paths)]
        if len(found) == before:
            raise UserError(
                f"{as_typed(root / part / name)} has no images"
                f" (files named *{', *'.join(EXTENSIONS)})"
            )
    return tuple(found)


def _walk(folder: str, relative: str, unused: _Unused) -> Iterator[tuple[str, list[str]]]:
    """(relative folder, relative paths of its images), of ``folder`` and of all below it.

    Links are followed.

    Raises:
        UserError: A folder cannot be read, or links to one that it lies in.
    """
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(folder, relative, frozenset())]
    while waiting:
        folder, relative, above = waiting.pop()
        paths = []
        place = folder
        try:
            found = os.stat(folder)
            key = (found.st_dev, found.st_ino)
            if key in above:
                raise UserError(f"{as_typed(folder)} is a link to a folder that it lies in")
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not _may_be_meant(entry.name):
                        continue
                    place, path = entry.path, f"{relative}/{entry.name}"
                    if entry.is_dir():
                        waiting.append((place, path, above | {key}))
                    elif entry.name.lower().endswith(EXTENSIONS):
                        paths.append(path)
                    elif entry.name.lower().endswith(_OTHER_FORMATS):
                        unused.add(path)
        except OSError as error:
            raise _unreadable(place, error) from error
        yield relative, paths


def _unreadable(path: str, error: OSError) -> UserError:
    return UserError(f"{as_typed(path)} cannot be read: {error.strerror}")
