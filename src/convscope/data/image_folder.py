"""A folder of images: ``<root>/{train,test}/<class>/**/<image>``.

As torchvision's ImageFolder has it: classes are the sorted folder names, images are the files with
its extensions in its order. Hidden files and folders are passed over, since they are never meant.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from convscope.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class ImageFile(NamedTuple):
    """A file as it was found; ``path`` is relative to the root, with forward slashes."""

    path: str
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of an image folder, class by class, sorted."""

    root: Path
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]

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
                raise UserError(f"{path} cannot be read: {error.strerror}") from error
            lines.append(f"{file.path}\0{stat.st_size}\0{stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def list_images(root: Path) -> Listing:
    """Find the images under ``root`` by their names alone.

    Raises:
        UserError: A part is missing, a class has no image, or the parts differ in classes.
    """
    train, test = (_class_names(root, part) for part in ("train", "test"))
    for name in sorted({*train} ^ {*test}):
        here, there = ("train", "test") if name in train else ("test", "train")
        raise UserError(
            f"{root / there / name} is missing: class {name} is in {here}/ but not in {there}/"
        )
    return Listing(root, train, _images(root, "train", train), _images(root, "test", test))


def _class_names(root: Path, part: str) -> tuple[str, ...]:
    folder = root / part
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}): image_folder wants "
            f"{root}/{{train,test}}/<class>/<image>; set data.root to where they are"
        ) from error
    if not names:
        raise UserError(f"{folder} has no folders: each class needs one, with its images in it")
    return tuple(names)


def _images(root: Path, part: str, classes: tuple[str, ...]) -> tuple[ImageFile, ...]:
    found: list[ImageFile] = []
    for label, name in enumerate(classes):
        before = len(found)
        # Folders sort as strings, as torchvision's sorted(os.walk(...)) does.
        for _, paths in sorted(_walk(f"{root}/{part}/{name}", f"{part}/{name}")):
            found += [ImageFile(path, label) for path in sorted(paths)]
        if len(found) == before:
            raise UserError(
                f"{root / part / name} has no images (files named *{', *'.join(EXTENSIONS)})"
            )
    return tuple(found)


def _walk(folder: str, relative: str) -> Iterator[tuple[str, list[str]]]:
    """(relative folder, relative paths of its images), of ``folder`` and of all below it."""
    paths = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(entry.path, f"{relative}/{entry.name}")
            elif entry.name.lower().endswith(EXTENSIONS):
                paths.append(f"{relative}/{entry.name}")
    yield relative, paths
