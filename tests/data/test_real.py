"""The real MNIST and a JPEG copy of CIFAR-10, where ``$CONVSCOPE_DATA`` has them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.image_folder import list_images
from convscope.data.sources import load, resolve_auto
from convscope.data.split import stratified_split

DATA = os.environ.get("CONVSCOPE_DATA")


def linked(place: str, root: Path, under: str = "") -> Path:
    """``root`` with the real files linked into it, so that caches stay out of theirs."""
    if DATA is None:
        pytest.skip("CONVSCOPE_DATA is not set")
    source = Path(DATA, place).resolve()
    if not source.is_dir():
        pytest.skip(f"{source} is not there")
    (root / under).parent.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        (root / under).mkdir(parents=True, exist_ok=True)
        (root / under / entry.name).symlink_to(entry)
    return root


def test_mnist(tmp_path: Path) -> None:
    root = linked("MNIST/raw", tmp_path, "MNIST/raw")
    assert resolve_auto(root) == ("mnist", None)
    images = load("mnist", root)
    # Counts as in the MNIST literature.
    assert np.bincount(images.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(images.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    # The usual transforms.Normalize((0.1307,), (0.3081,)).
    assert round(images.mean[0] / 255, 4) == 0.1307
    assert round(images.std[0] / 255, 4) == 0.3081
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4) for n in (10_000, 28, 28))
    digest = hashlib.md5(header + images.test_images.tobytes()).hexdigest()
    assert digest == "2646ac647ad5339dbf082846283269ea"
    # 0.06 s for 55 MB, checksums included; of this process, for the machine may be busy.
    begin = time.process_time()
    load("mnist", root)
    assert time.process_time() - begin < 0.3
    train, val = stratified_split(images.train_labels, 0.1)
    assert np.bincount(images.train_labels[val]).tolist() == [
        592, 674, 596, 613, 584, 542, 592, 627, 585, 595,
    ]  # fmt: skip
    assert len(train) + len(val) == 60_000


def test_jpeg_cifar(tmp_path: Path) -> None:
    root = linked("cifar10-jpeg", tmp_path / "all")
    listing = list_images(root)
    for files, count in ((listing.train, 5000), (listing.test, 1000)):
        assert np.bincount([file.label for file in files]).tolist() == [count] * 10
    for name in ("cat", "dog"):
        for part in ("train", "test"):
            there = tmp_path / "some" / part / name
            there.mkdir(parents=True)
            for file in sorted((root / part / name).iterdir())[:300]:
                (there / file.name).symlink_to(file)
    images = load("image_folder", tmp_path / "some")
    assert images.input_shape == (3, 32, 32)
    assert images.classes == ("cat", "dog")
    assert np.bincount(images.train_labels).tolist() == [300, 300]
    first = sorted((root / "train/dog").iterdir())[0]
    assert (images.train_images[300] == np.asarray(Image.open(first))).all()
