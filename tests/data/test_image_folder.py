"""Folders of images, held against torchvision's ImageFolder and transforms."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convscope.cores import cores
from convscope.data import dataset_facts, image_folder, pixels
from convscope.data.image_folder import list_images
from convscope.data.sources import load
from convscope.errors import UserError

if TYPE_CHECKING:
    from conftest import Folder


def test_images_and_order_are_torchvisions(folder: Folder, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    folder.add("train/b/deep/below/z.PNG")
    folder.add("train/b/deep.png")
    folder.add("train/b/Deep/a.bmp")
    for i in range(2 * image_folder.CHUNK):
        folder.add(f"train/c/{i}.jpg")
    (tmp_path / "train/b/notes.txt").write_text("no image")
    (tmp_path / "train/stray.png").write_text("in no class")
    images = load("image_folder", tmp_path)
    for part, ours, labels in (
        ("train", images.train_images, images.train_labels),
        ("test", images.test_images, images.test_labels),
    ):
        theirs = ImageFolder(str(tmp_path / part))
        assert list(images.classes) == theirs.classes
        assert labels.tolist() == theirs.targets
        assert (np.stack([np.asarray(image) for image, _ in theirs]) == ours).all()
    facts = dataset_facts("image_folder", tmp_path)
    assert facts.input_shape == images.input_shape == (3, 10, 12)
    assert (facts.classes, facts.train_size) == (3, len(images.train_labels))


def test_hidden_files_are_passed_over(folder: Folder, tmp_path: Path) -> None:
    before = load("image_folder", tmp_path)
    (tmp_path / "train/a/._0.png").write_bytes(b"left by an archiver")
    (tmp_path / "train/.checkpoints").mkdir()
    after = load("image_folder", tmp_path)
    assert (after.classes, after.fingerprint) == (before.classes, before.fingerprint)


def test_all_grey_is_one_channel(tmp_path: Path, grey_folder: Folder) -> None:
    images = load("image_folder", tmp_path)
    assert images.input_shape == dataset_facts("image_folder", tmp_path).input_shape == (1, 10, 12)
    expected = np.asarray(Image.open(tmp_path / "train/a/0.png"))
    assert (images.train_images[0, ..., 0] == expected).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "LA", "CMYK"])
def test_one_that_is_not_grey_makes_all_colour(
    mode: str, tmp_path: Path, grey_folder: Folder
) -> None:
    name = "test/c/odd.tif" if mode == "CMYK" else "test/c/odd.png"
    grey_folder.add(name, mode)
    images = load("image_folder", tmp_path)
    assert images.input_shape == (3, 10, 12)
    grey = np.asarray(Image.open(tmp_path / "train/a/0.png"))
    assert (images.train_images[0] == grey[..., None]).all()
    odd = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    assert (images.test_images[-1] == odd).all()


def test_sizes_that_differ_name_the_first_odd_file(folder: Folder, tmp_path: Path) -> None:
    folder.add("train/b/zz.png", size=(11, 10))
    folder.add("test/a/zz.png", size=(9, 9))
    with pytest.raises(UserError) as error:
        load("image_folder", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/train/b/zz.png has 10x11 pixels (height x width), "
        f"train/a/0.png has 10x12; data.image_size=10 scales all to one size"
    )


@pytest.mark.parametrize("side", [5, 8, 17])
def test_image_size_is_torchvisions_resize_and_centre_crop(
    side: int, folder: Folder, tmp_path: Path
) -> None:
    from torchvision.transforms import CenterCrop, Compose, Resize

    folder.add("train/a/tall.png", size=(7, 23))
    folder.add("train/a/wide.png", size=(31, 8))
    images = load("image_folder", tmp_path, side)
    assert images.input_shape == (3, side, side)
    assert dataset_facts("image_folder", tmp_path, side).input_shape == (3, side, side)
    theirs = Compose([Resize(side), CenterCrop(side)])
    files = sorted((tmp_path / "train/a").iterdir())
    for ours, path in zip(images.train_images, files, strict=False):
        assert (np.asarray(theirs(Image.open(path).convert("RGB"))) == ours).all()
    assert load("image_folder", tmp_path, side + 1).fingerprint != images.fingerprint


def test_only_changes_are_decoded(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def counted(path: str) -> bytes:
        reads.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr(image_folder, "read", counted)

    def again() -> tuple[str, bool]:
        reads.clear()
        return load("image_folder", tmp_path).fingerprint, bool(reads)

    first, _ = again()
    assert again() == (first, False)
    odd = tmp_path / "train/a/0.png"
    os.utime(odd, (1, 1))
    assert again() == (first, True)
    assert again() == (first, False)
    folder.add("train/a/new.png")
    added, read = again()
    assert (added != first, read) == (True, True)
    (tmp_path / "train/a/new.png").unlink()
    assert again()[0] == first
    before = odd.read_bytes()
    odd.unlink()
    folder.add("train/a/0.png")
    changed, _ = again()
    assert odd.read_bytes() != before
    assert changed != first
    odd.rename(tmp_path / "train/a/00.png")
    assert again()[0] not in (first, changed)


def broken(kind: str) -> bytes:
    """A file with the name of an image that is none, or none that can be used."""
    file = io.BytesIO()
    if kind == "huge":
        file.write(b"\x89PNG\r\n\x1a\n")
        size = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
        for chunk in (b"IHDR" + size, b"IDAT"):
            length, checksum = len(chunk) - 4, zlib.crc32(chunk)
            file.write(struct.pack(">I", length) + chunk + struct.pack(">I", checksum))
    elif kind == "PostScript":
        Image.new("RGB", (12, 10)).save(file, "eps")
    elif kind == "16 bits":
        Image.fromarray(np.full((10, 12), 999, np.uint16)).save(file, "png")
    else:
        Image.fromarray(np.arange(360, dtype=np.uint8).reshape(10, 12, 3)).save(file, "png")
    content = file.getvalue()
    return {"text": b"hello", "empty": b"", "truncated": content[:60]}.get(kind, content)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "is not an image that can be read: it has no known image format$"),
        ("empty", "is not an image that can be read: it is empty$"),
        ("truncated", "is not an image that can be read: "),
        ("16 bits", "has more than 8 bits per channel"),
        ("PostScript", "is a PostScript program; convert it to an image$"),
        (
            "huge",
            r"is not an image that can be read: Image size \(2500000000 pixels\) exceeds limit",
        ),
    ],
)
@pytest.mark.parametrize("name", ["train/a/0.png", "train/b/9.png", "test/c/9.png"])
def test_broken_files_are_named_and_nothing_is_kept(
    kind: str, message: str, name: str, folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(broken(kind))
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path / name))} {message}") as error:
        load("image_folder", tmp_path)
    assert "\n" not in str(error.value)
    assert "object at" not in str(error.value)
    assert not list(tmp_path.glob(".convscope/*/"))


def test_whatever_pillow_raises_is_explained(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Exception] = [
        KeyError("x"),
        ZeroDivisionError(),
        MemoryError(),
        ValueError("a\nb"),
    ]
    said = []
    for error in raised:

        def load_pixels(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(Image.Image, "load", load_pixels)
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load_pixels)
        monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load_pixels)
        with pytest.raises(UserError) as refused:
            load("image_folder", tmp_path)
        said.append(
            str(refused.value).removeprefix(f"{tmp_path}/train/a/0.png is not an image that ")
        )
    assert said == [
        "can be read: 'x'",
        "can be read: ZeroDivisionError",
        "can be read: it takes more memory than there is",
        "can be read: a",
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_regular_files_of_a_bounded_size_are_read_alone(
    kind: str, folder: Folder, tmp_path: Path
) -> None:
    path = tmp_path / "train/a/9.png"
    reason = "is not a regular file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
        reason = "has more than 1,073,741,824 bytes"
    with pytest.raises(UserError, match=f"^{path} {reason}$"):
        load("image_folder", tmp_path)


def test_a_folder_named_as_an_image_is_a_folder(folder: Folder, tmp_path: Path) -> None:
    folder.add("train/a/x.png/1.png")
    (tmp_path / "train/a/y.png").mkdir()
    assert len(load("image_folder", tmp_path).train_labels) == 7


def test_of_many_frames_the_first_is_taken(folder: Folder, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (12, 10), color) for color in ("red", "blue")]
    for name in ("train/a/9.png", "train/a/9.webp", "train/a/9.tif"):
        frames[0].save(
            tmp_path / name, save_all=True, append_images=frames[1:], lossless=True, duration=100
        )
    images = load("image_folder", tmp_path)
    assert (images.train_images[2:5] == [255, 0, 0]).all()


ROTATED = {
    # As the EXIF standard (2.32, table 6) has it: where the stored image's rows and columns begin.
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", sorted(ROTATED))
@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_images_are_turned_as_viewers_show_them(
    orientation: int, ending: str, folder: Folder, tmp_path: Path
) -> None:
    stored = folder.random.randint(0, 256, (9, 14, 3)).astype(np.uint8)
    turned = ROTATED[orientation](stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in tmp_path.rglob("*.png"):
        folder.add(str(path.relative_to(tmp_path)), size=(turned.shape[1], turned.shape[0]))
    name = f"train/a/00.{ending}"
    Image.fromarray(stored).save(tmp_path / name, exif=exif, lossless=True)
    assert dataset_facts("image_folder", tmp_path).input_shape == (3, *turned.shape[:2])
    assert (load("image_folder", tmp_path).train_images[1] == turned).all()


def expected_fingerprint(root: Path, classes: tuple[str, ...], turned: str = "") -> str:
    content = hashlib.sha256(f"None {classes}".encode())
    for part in ("train", "test"):
        for path in sorted((root / part).rglob("*.*")):
            relative = path.relative_to(root).as_posix()
            content.update(relative.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
            if relative == turned:
                content.update(b"turned")
    return content.hexdigest()


def test_fingerprint_is_that_of_earlier_runs_unless_an_image_is_turned(
    folder: Folder, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    image = Image.open(tmp_path / "train/b/1.png")
    image.save(tmp_path / "train/b/1.png", exif=exif)
    assert load("image_folder", tmp_path).fingerprint == expected_fingerprint(tmp_path, (*"abc",))
    exif[0x0112] = 3
    image.save(tmp_path / "train/b/1.png", exif=exif)
    assert load("image_folder", tmp_path).fingerprint == expected_fingerprint(
        tmp_path, (*"abc",), turned="train/b/1.png"
    )


def test_damaged_exif_is_passed_over(
    folder: Folder, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    image = Image.open(tmp_path / "train/a/0.png").convert("RGB")
    for damage in (b"Exif\0\0MM\0*\0\0\0\x08\0", b"Exif\0\0nonsense", b"Exif\0\0", b""):
        image.save(tmp_path / "train/a/0.jpg", exif=damage, quality=100)
        assert len(load("image_folder", tmp_path).train_labels) == 7
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_that_is_dropped_is_told(mode: str, folder: Folder, tmp_path: Path) -> None:
    assert load("image_folder", tmp_path).notes == ()
    opaque = Image.new("RGBA", (12, 10), (200, 100, 50, 255))
    opaque.save(tmp_path / "train/a/8.png")
    assert load("image_folder", tmp_path).notes == ()
    for name in ("train/b/9.png", "test/c/9.png"):
        if mode == "P":
            shape = Image.new("P", (12, 10), 1)
            shape.putpixel((3, 3), 0)
            shape.save(tmp_path / name, transparency=bytes([0, 255]))
        else:
            shape = opaque.copy()
            shape.putpixel((3, 3), (200, 100, 50, 0))
            shape.convert(mode).save(tmp_path / name)
    told = (
        "transparency is dropped: 2 of 15 images have transparent pixels (train/b/9.png first); "
        "where it shows the shapes, put the images on a background",
    )
    assert load("image_folder", tmp_path).notes == told
    assert load("image_folder", tmp_path).notes == told  # From the cache.


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 50_000)])
def test_a_strip_is_scaled_within_bounds(
    size: tuple[int, int], folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add("train/a/00.png", size=size)
    sizes = []
    resize = Image.Image.resize

    def counted(image: Image.Image, size: tuple[int, int], *rest: object, **more: object) -> object:
        sizes.append(size[0] * size[1])
        return resize(image, size, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", counted)
    images = load("image_folder", tmp_path, 64)
    assert max(sizes) <= 2**25
    path = tmp_path / "train/a/00.png"
    monkeypatch.setattr(pixels, "MAX_SCALED_PIXELS", 1 << 40)
    whole = pixels.decode(path, path.read_bytes(), 16, 3).pixels
    monkeypatch.setattr(pixels, "MAX_SCALED_PIXELS", 0)
    cut = pixels.decode(path, path.read_bytes(), 16, 3).pixels
    assert images.train_images.shape[1:] == (64, 64, 3)
    assert np.abs(whole.astype(int) - cut).max() <= 1


def test_large_images_are_decoded_a_few_at_a_time(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folder, "CHUNK_BYTES", 2 * 10 * 12 * 3)
    counts: list[int] = []
    decoded = image_folder.decode_folder(list_images(tmp_path), None, 3, counts.append)
    assert [len(chunk) for chunk in decoded.train.chunks] == [2, 2, 2] == counts


def test_who_ends_decoding_waits_for_no_more_than_an_image(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may have 64 large images: half a minute."""
    for number in range(500):
        folder.add(f"train/a/{number}.png")
    begun: list[Path | str] = []
    threads = threading.active_count()

    def slow(path: Path | str, *arguments: Any) -> pixels.Picture:
        begun.append(path)
        time.sleep(0.02)
        return pixels.decode(path, *arguments)

    monkeypatch.setattr(image_folder, "decode", slow)
    chunks = iter(
        image_folder.decode_folder(list_images(tmp_path), None, 3, lambda _: None).train.chunks
    )
    next(chunks)
    asked = len(begun)
    chunks.close()
    assert len(begun) - asked <= cores()
    assert threading.active_count() == threads


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_images_are_decoded_leaves_nothing(
    signum: signal.Signals, folder: Folder, tmp_path: Path
) -> None:
    command = f"data=image_folder data.root={tmp_path} output_dir={tmp_path}/outputs"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            INTERRUPTED,
            *command.split(),
            "data.batch_size=2",
            "data.val_fraction=0.25",
            f"{signum:d}",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(image_folder.__file__).parents[2])},
        timeout=100,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signum, "", "")
    assert [path.name for path in (tmp_path / ".convscope").iterdir()] == [".image_folder.lock"]
    assert not (tmp_path / "outputs").exists()
    # Who comes next need not wait.
    assert len(load("image_folder", tmp_path).train_labels) == 6


# train.py with images that take long to decode, and a signal once that has begun.
INTERRUPTED = """
import os, sys, threading, time
from convscope.cli import entry
from convscope.data import image_folder
signum, begun = int(sys.argv.pop()), threading.Event()

def slow(*arguments):
    begun.set()
    time.sleep(1)

image_folder.decode = slow

def interrupt():
    begun.wait()
    os.kill(os.getpid(), signum)

threading.Thread(target=interrupt, daemon=True).start()
entry.train()
"""


@pytest.mark.parametrize("side", [64, 300])
def test_the_proposed_size_is_usual_or_that_of_small_images(
    side: int, folder: Folder, tmp_path: Path
) -> None:
    folder.add("train/a/0.png", size=(side + 5, side))
    with pytest.raises(UserError) as error:
        load("image_folder", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/train/a/1.png has 10x12 pixels (height x width), train/a/0.png has "
        f"{side}x{side + 5}; data.image_size=64 scales all to one size"
    )


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize(
    ("link", "target", "message"),
    [
        ("train/a/self", "self", "train/a/self cannot be read: Too many levels of symbolic links"),
        ("train/a/x.png", "x.png", "train/a/x.png cannot be read: Too many levels of symbolic"),
        ("train/self", "self", "train cannot be read (Too many levels of symbolic links): "),
        ("train/a/up", "..", "train/a/up/a is a link to a folder that contains it"),
        ("train/a/here", ".", "train/a/here is a link to a folder that contains it"),
    ],
)
def test_links_that_loop_are_named(
    link: str, target: str, message: str, folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / link).symlink_to(target)
    with pytest.raises(UserError) as error:
        load("image_folder", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(error.value)


def test_links_that_do_not_loop_are_followed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train/a").rename(tmp_path / "elsewhere/a")
    (tmp_path / "train/a").symlink_to("../elsewhere/a")
    (tmp_path / "train/b/more").symlink_to("../../elsewhere/a")
    assert load("image_folder", tmp_path).train_labels.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]


def test_deep_folders_are_walked(folder: Folder, tmp_path: Path) -> None:
    load("image_folder", tmp_path)
    deep = [f"{tmp_path}/train/a{'/d' * i}" for i in range(1, 250)]
    for path in deep:
        os.mkdir(path)
    Path(tmp_path, "train/a/1.png").rename(f"{deep[-1]}/1.png")
    # As of 1,000 and more, which pytest could not remove.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        images = load("image_folder", tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    assert images.train_labels.tolist() == [0, 0, 1, 1, 2, 2]


def move(root: Path, *pairs: tuple[str, str]) -> None:
    for old, new in pairs:
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)


@pytest.mark.parametrize(
    ("moves", "place", "missing", "advice"),
    [
        (
            [("train", "Training"), ("test", "Testing")],
            "",
            "train",
            "rename {root}/Training to train and {root}/Testing to test",
        ),
        ([("train", "TRAIN")], "", "train", "rename {root}/TRAIN to train"),
        (
            [("train", "training"), ("test", "validation")],
            "",
            "train",
            "rename {root}/training to train and {root}/validation to test",
        ),
        ([("test", "val")], "", "test", "rename {root}/val to test"),
        (
            [("train", "train_set"), ("test/a", "unused")],
            "",
            "train",
            "rename {root}/train_set to train",
        ),
        ([("test", "other")], "", "test", "make test/, with some images of each class from train/"),
        (
            [("train", "Train"), ("test", "other")],
            "",
            "train",
            "rename {root}/Train to train and make test/, with some images of each class from"
            " train/",
        ),
        ([("train", "set/train"), ("test", "set/test")], "", "train", "set data.root={root}/set"),
        (
            [("train", "set/Train"), ("test", "set/Test")],
            "",
            "train",
            "set data.root={root}/set and rename {root}/set/Train to train and {root}/set/Test to"
            " test",
        ),
        ([], "train", "train/train", "set data.root={root}"),
        (
            [("train/a", "a"), ("train/b", "b"), ("train", "x"), ("test", "y")],
            "",
            "train",
            "if a, b, x, … are the classes, move them into {root}/train, and some images of each"
            " into {root}/test",
        ),
    ],
)
def test_near_misses_of_the_layout_are_named_with_what_to_do(
    moves: list[tuple[str, str]],
    place: str,
    missing: str,
    advice: str,
    folder: Folder,
    tmp_path: Path,
) -> None:
    move(tmp_path, *moves)
    root = tmp_path / place
    with pytest.raises(UserError) as error:
        dataset_facts("image_folder", root)
    assert str(error.value) == (
        f"{tmp_path}/{missing} cannot be read (No such file or directory): image_folder wants "
        f"{root}/{{train,test}}/<class>/<image>; {advice.format(root=tmp_path)}"
    )


def test_official_files_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    with pytest.raises(UserError, match="<class>/<image>; set data.root to where they are$"):
        dataset_facts("image_folder", tmp_path)


def test_a_part_that_is_a_file(folder: Folder, tmp_path: Path) -> None:
    move(tmp_path, ("test", "val"))
    (tmp_path / "test").write_text("")
    with pytest.raises(UserError) as error:
        load("image_folder", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/test cannot be read (Not a directory): image_folder wants "
        f"{tmp_path}/{{train,test}}/<class>/<image>; rename {tmp_path}/val to test"
    )


def test_images_outside_of_the_classes_are_told(folder: Folder, tmp_path: Path) -> None:
    root = tmp_path
    for name in ("flat/train/1.png", "flat/train/2.JPG"):
        folder.add(name)
    with pytest.raises(UserError) as error:
        load("image_folder", root / "flat")
    assert str(error.value) == (
        f"{root}/flat/train has no folders: each class needs one, with its images in it"
        " (2 images are directly in it)"
    )
    for name in ("train/a/9.gif", "train/b/x/9.HEIC", "test/c/notes.txt", "train/a/Thumbs.db"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"none")
    folder.add("test/stray.png")
    folder.add("train/a/8.PNG")
    (notes,) = load("image_folder", root).notes
    assert notes.startswith(f"3 files are not used ({root}/test/stray.png first): ")
    assert notes.endswith(
        ": images must be in a class's folder and are named *.jpg, *.jpeg, *.png, *.ppm, *.bmp,"
        " *.pgm, *.tif, *.tiff, *.webp"
    )
    assert len(load("image_folder", root).train_labels) == 7


@pytest.mark.parametrize("name", ["val", "Validation", "dev"])
def test_a_validation_folder_is_said_to_be_unused(
    name: str, folder: Folder, tmp_path: Path
) -> None:
    folder.add(f"{name}/a/0.png")
    assert load("image_folder", tmp_path).notes == (
        f"{tmp_path}/{name} is not used: validation images are taken from train/, a share of"
        " data.val_fraction",
    )


def test_what_archivers_and_editors_leave_is_passed_over(folder: Folder, tmp_path: Path) -> None:
    before = load("image_folder", tmp_path)
    for name in ("__MACOSX/a/._0.png", "a/.DS_Store", ".ipynb_checkpoints/0.png", "a/Thumbs.db"):
        for part in ("train", "test"):
            (tmp_path / part / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / part / name).write_bytes(b"none")
    after = load("image_folder", tmp_path)
    assert (after.classes, after.fingerprint, after.notes) == ((*"abc",), before.fingerprint, ())


def test_one_class_is_none_to_learn(folder: Folder, tmp_path: Path) -> None:
    for part in ("train", "test"):
        folder.add(f"one/{part}/a/0.png")
        folder.add(f"nested/{part}/images/cat/0.png")
        folder.add(f"nested/{part}/images/dog/0.png")
    for place, name, advice in (
        ("one", "a", ""),
        ("nested", "images", "; if its folders (cat, dog) are the classes, move them up"),
    ):
        with pytest.raises(UserError) as error:
            dataset_facts("image_folder", tmp_path / place)
        assert str(error.value) == (
            f"{tmp_path}/{place}/train has one class only, {name}: two are needed{advice}"
        )


def test_classes_of_one_part_are_named_with_a_like_one(folder: Folder, tmp_path: Path) -> None:
    move(tmp_path, ("test/b", "test/B"))
    with pytest.raises(UserError) as error:
        dataset_facts("image_folder", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/train/B is missing: class B is in test/ but not in train/; rename train/b"
    )
    for part, names in (("train", "de"), ("test", "fg")):
        move(
            tmp_path,
            *((f"{part}/{old}", f"{part}/{new}") for old, new in zip("ac", names, strict=True)),
        )
    move(tmp_path, ("test/B", "test/b"))
    with pytest.raises(UserError) as error:
        dataset_facts("image_folder", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/test/d is missing: class d is in train/ but not in test/ (so are 3 more)"
    )


@pytest.mark.skipif(os.name != "posix", reason="names on other systems have no such characters")
def test_names_with_line_breaks_make_no_second_line(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "train/a/line\nbreak\x1b[2J.png"
    path.write_bytes(b"none")
    with pytest.raises(UserError) as error:
        load("image_folder", tmp_path)
    assert str(error.value) == (
        f"{str(path)!r} is not an image that can be read: it has no known image format"
    )


def test_dangling_link_is_named(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "train/a/9.png").symlink_to("nowhere")
    with pytest.raises(UserError, match="train/a/9.png cannot be read: No such file"):
        load("image_folder", tmp_path)


def test_missing_parts(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        dataset_facts("image_folder", tmp_path / "elsewhere")
    assert str(error.value) == (
        f"{tmp_path}/elsewhere/train cannot be read (No such file or directory): "
        f"image_folder wants {tmp_path}/elsewhere/{{train,test}}/<class>/<image>; "
        f"set data.root to where they are"
    )
    folder.add("train/d/0.png")
    with pytest.raises(UserError, match="test/d is missing: class d is in train/ but not in test/"):
        dataset_facts("image_folder", tmp_path)
    (tmp_path / "test/d").mkdir()
    with pytest.raises(UserError, match=r"test/d has no images \(files named \*.jpg, "):
        dataset_facts("image_folder", tmp_path)
    (tmp_path / "new/train").mkdir(parents=True)
    with pytest.raises(UserError, match="new/train has no folders: each class needs one"):
        dataset_facts("image_folder", tmp_path / "new")


def test_progress_is_drawn_on_a_terminal_alone(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for progress, stream, drawn in (
        (True, io.StringIO(), False),
        (False, Terminal(), False),
        (True, Terminal(), True),
    ):
        folder.add("train/a/0.png")
        monkeypatch.setattr(sys, "stderr", stream)
        load("image_folder", tmp_path, progress=progress)
        assert ("decode" in stream.getvalue()) is drawn
