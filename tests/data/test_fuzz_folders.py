"""Random folders, near misses and damage: each gives images, or one line that says what is wrong.

By hand, for minutes: `pytest tests/data/test_fuzz_folders.py -m fuzz`.
"""

from __future__ import annotations

import io
import os
import random
import resource
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data import dataset_facts
from convscope.data.images import Images
from convscope.data.sources import load
from convscope.errors import UserError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pipes, sockets and links")

MODES = {
    "png": ("RGB", "L", "RGBA", "LA", "P", "1", "I;16"),
    "jpg": ("RGB", "L", "CMYK"),
    "bmp": ("RGB", "L", "P", "1"),
    "tif": ("RGB", "L", "RGBA", "CMYK", "P", "1", "F", "LAB"),
    "webp": ("RGB", "RGBA"),
    "ppm": ("RGB",),
    "pgm": ("L",),
}
PARTS = {
    "train": ("Train", "Training", "TRAIN", "trainset", "data/train", "."),
    "test": ("Testing", "val", "validation", "data/test", "tests"),
}
NAMES = ("ant", "bee", "Ant", "$1_$", "<b>x</b>", "{x}", "a\nb", "é", "\udcff", " ", "x" * 200)
HUGE = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)


class Case:
    """A folder made from a seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.draw = random.Random(seed)
        self.side = self.draw.choice((1, 3, 8, 8, 8, 20))
        self.same = self.draw.random() < 0.7
        self.file_type = self.draw.choice((None, *MODES))
        self._make_parts()
        for _ in range(self.draw.choice((0, 0, 1, 1, 2, 4))):
            files = sorted(
                path
                for path in root.rglob("*.*")
                if path.is_file() and path.stat().st_size < 1 << 20
            )
            self.draw.choice(ODD)(self, self.draw.choice(files) if files else root / "x.png")

    def _make_parts(self) -> None:
        classes = self.draw.sample(NAMES, self.draw.choice((1, 2, 2, 2, 2, 2, 3)))
        for part, misses in PARTS.items():
            part = part if self.draw.random() < 0.9 else self.draw.choice(misses)
            for name in classes if self.draw.random() < 0.95 else classes[1:]:
                for number in range(self.draw.choice((1, 2, 3))):
                    self.image(self.root / part / name / f"{number}")

    def image(self, path: Path) -> None:
        """Write an image; its ending is added."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if any(path.parent.glob(f"{path.name}.*")):
            return
        ending = self.file_type or self.draw.choice([*MODES])
        mode = MODES[ending][0] if self.same else self.draw.choice(MODES[ending])
        width, height = self.side, self.side
        if not self.same:
            width, height = self.draw.choice(((5, 9), (9, 5), (1, 300), (8, 8), (40, 30)))
        pixels = np.frombuffer(self.draw.randbytes(height * width * 3), np.uint8)
        image = Image.fromarray(pixels.reshape(height, width, 3))
        convertible = mode not in ("LAB", "I;16")
        image = image.convert(mode) if convertible else Image.new(mode, image.size)
        exif = Image.Exif()
        exif[0x0112] = self.draw.choice((1, 1, 1, 6, 3, 77))
        upper = self.draw.random() < 0.1
        image.save(f"{path}.{ending.upper() if upper else ending}", exif=exif.tobytes())

    def replace(self, path: Path, make: Callable[[Path], object]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() or path.is_symlink():
            path.unlink()
        if not os.path.lexists(path):
            make(path)


def _damage(case: Case, path: Path) -> None:
    content = bytearray(path.read_bytes() if path.is_file() else b"")
    how = case.draw.randrange(4)
    if how == 0:
        content = content[: case.draw.randrange(len(content) + 1)]
    elif how == 1:
        content = bytearray(
            case.draw.choice((b"", b"text", b"\x89PNG\r\n\x1a\n", b"P6 9999 9999 255\n"))
        )
    elif content:
        for _ in range(case.draw.choice((1, 5, 50))):
            content[case.draw.randrange(len(content))] = case.draw.randrange(256)
    path.write_bytes(content)


def _huge(case: Case, path: Path) -> None:
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    for chunk in (b"IHDR" + HUGE, b"IDAT"):
        file.write(struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    case.replace(path, lambda place: place.write_bytes(file.getvalue()))


def _sparse(case: Case, path: Path) -> None:
    case.replace(path, Path.touch)
    os.truncate(path, 1 << 41)


def _pipe(case: Case, path: Path) -> None:
    case.replace(path, os.mkfifo)


def _socket(case: Case, path: Path) -> None:
    place = path.parent / "s.png"
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(path.parent)  # A socket's path has at most 107 bytes.
        try:
            if not place.exists():
                listener.bind("s.png")
        finally:
            os.chdir(before)


def _link(case: Case, path: Path) -> None:
    target = case.draw.choice(("/dev/zero", "/dev/null", "nowhere", path.name, "..", ".", "/proc"))
    case.replace(path, lambda place: place.symlink_to(target))


def _loop(case: Case, path: Path) -> None:
    target = case.draw.choice((".", "..", "loop", "../..", str(case.root)))
    case.replace(path.parent / "loop", lambda place: place.symlink_to(target))


def _folder(case: Case, path: Path) -> None:
    case.replace(path, Path.mkdir)


def _deeper(case: Case, path: Path) -> None:
    case.image(path.parent / "deeper/and.png" / case.draw.choice(NAMES) / "1")


def _leftover(case: Case, path: Path) -> None:
    name = case.draw.choice(("Thumbs.db", ".DS_Store", "._1.png", "1.gif", "notes.txt", "__MACOSX"))
    case.replace(path.parent / name, lambda place: place.write_bytes(b"left"))


def _extra_class(case: Case, path: Path) -> None:
    case.image(path.parent.parent / case.draw.choice(NAMES) / "1")


def _emptied(case: Case, path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()


def _cache_in_the_way(case: Case, path: Path) -> None:
    place = case.root / ".convscope" / case.draw.choice((".image_folder.lock", ".image_folder.tmp"))
    place.parent.mkdir(exist_ok=True)
    case.replace(place, case.draw.choice((os.mkfifo, Path.mkdir, lambda p: p.symlink_to("loop"))))


ODD = (
    _damage,
    _damage,
    _damage,
    _huge,
    _sparse,
    _pipe,
    _socket,
    _link,
    _loop,
    _folder,
    _deeper,
    _leftover,
    _extra_class,
    _emptied,
    _cache_in_the_way,
)


def outcome(root: Path, image_size: int | None) -> Images | str:
    try:
        return load("image_folder", root, image_size, progress=False)
    except UserError as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    assert said.isprintable(), said
    assert "object at 0x" not in said
    return said


def check(root: Path, seed: int) -> str:
    """Load a random folder, twice, with its cache damaged between; how it ended."""
    case = Case(root, seed)
    size = case.draw.choice((None, 1, 8, 8))
    first = outcome(root, size)
    if isinstance(first, str):
        assert outcome(root, size) == first
        return "refused"
    count, height, width, channels = first.train_images.shape
    assert channels in (1, 3)
    assert len(first.train_labels) == count > 0
    assert first.test_images.shape[1:] == (height, width, channels)
    assert set(first.train_labels.tolist()) == set(range(len(first.classes)))
    facts = dataset_facts("image_folder", root, size)
    assert (facts.train_size, facts.input_shape[1:]) == (count, (height, width))
    kept = sorted(root.glob(".convscope/image_folder-*/*"))
    _damage(case, case.draw.choice(kept))
    second = outcome(root, size)
    assert isinstance(second, Images)
    assert np.array_equal(first.train_images, second.train_images)
    assert np.array_equal(first.test_labels, second.test_labels)
    assert (first.fingerprint, first.mean) == (second.fingerprint, second.mean)
    return "loaded"


def check_all(root: Path, seeds: range) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = []
    for seed in seeds:
        place = root / f"{seed}"
        place.mkdir()
        try:
            ends.append(check(place, seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        shutil.rmtree(place)
    # Both kinds are met, and no file makes it hold what it claims to have.
    assert min(ends.count("loaded"), ends.count("refused")) > len(ends) / 6
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1_000_000, f"{grown} KiB"


@pytest.mark.timeout(120)
def test_sixty_folders_give_images_or_one_line(tmp_path: Path) -> None:
    check_all(tmp_path, range(60))


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_thousands_of_folders_give_images_or_one_line(tmp_path: Path) -> None:
    check_all(tmp_path, range(1000, 4000))
