"""Folders of images, held against torchvision's ImageFolder and transforms."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from convscope.data import dataset_facts, decode
from convscope.data.sources import load
from convscope.errors import UserError

if TYPE_CHECKING:
    from conftest import Folder


def test_images_and_order_are_torchvisions(folder: Folder, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    folder.add("train/b/deep/below/z.PNG")
    folder.add("train/b/deep.png")
    folder.add("train/b/Deep/a.bmp")
    for i in range(2 * decode.CHUNK):
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

    monkeypatch.setattr(decode, "read", counted)

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
    if kind == "16 bits":
        Image.fromarray(np.full((10, 12), 999, np.uint16)).save(file, "png")
    else:
        Image.fromarray(np.arange(360, dtype=np.uint8).reshape(10, 12, 3)).save(file, "png")
    content = file.getvalue()
    return {"text": b"hello", "empty": b"", "truncated": content[:60]}.get(kind, content)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "is not an image that can be read: "),
        ("empty", "is not an image that can be read: "),
        ("truncated", "is not an image that can be read: "),
        ("16 bits", "has more than 8 bits per channel"),
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
    assert not list(tmp_path.glob(".convscope/*/"))


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
