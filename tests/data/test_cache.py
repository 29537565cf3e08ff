"""The decoded cache: whole or absent, whoever writes it and however that ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convscope.data import cache, formats
from convscope.data.sources import load
from convscope.data.stats import PixelCounts
from convscope.errors import UserError

if TYPE_CHECKING:
    from conftest import Folder, Tiny


@pytest.fixture
def mnist(tiny_mnist: Tiny, tmp_path: Path) -> Tiny:
    tiny_mnist.write(tmp_path)
    return tiny_mnist


def caches(root: Path) -> list[str]:
    """What ``.convscope`` holds, less locks."""
    return sorted(p.name for p in root.glob(".convscope/*") if p.suffix != ".lock")


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the source was read again")

    monkeypatch.setattr(formats, "read_verified", read)


def test_layout_on_disk(mnist: Tiny, tmp_path: Path) -> None:
    load("mnist", tmp_path)
    fingerprint = mnist.known.fingerprint
    assert caches(tmp_path) == [f"mnist-{fingerprint[:12]}"]
    folder = tmp_path / ".convscope" / f"mnist-{fingerprint[:12]}"
    names = [
        "meta.json",
        *(f"{p}_{k}.npy" for p in ("test", "train") for k in ("images", "labels")),
    ]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert np.load(folder / "train_images.npy").shape == (20, 28, 28, 1)
    assert np.load(folder / "test_labels.npy").tolist() == mnist.test_labels.tolist()
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["fingerprint"] == fingerprint
    assert meta["bytes"]["train_images.npy"] == 128 + 20 * 784


def test_second_start_reads_no_source_and_maps_the_images(
    mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("mnist", tmp_path)
    forbid_reading(monkeypatch)
    second = load("mnist", tmp_path)
    assert isinstance(second.train_images, np.memmap)
    assert (second.train_images == first.train_images).all()
    assert (second.mean, second.std, second.classes) == (first.mean, first.std, first.classes)


def test_what_a_user_writes_into_the_arrays_stays_out_of_the_cache(
    mnist: Tiny, tmp_path: Path
) -> None:
    load("mnist", tmp_path).train_images[:] = 7
    assert (load("mnist", tmp_path).train_images[..., 0] == mnist.train_images).all()


def test_new_dates_are_verified_once(
    mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load("mnist", tmp_path)
    for file in mnist.known.files:
        os.utime(tmp_path / file.path, (1, 1))
    assert load("mnist", tmp_path).fingerprint == before.fingerprint
    forbid_reading(monkeypatch)
    load("mnist", tmp_path)
    assert len(caches(tmp_path)) == 1


@pytest.mark.parametrize("name", ["train_images.npy", "test_labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_damaged_cache_is_made_anew(mnist: Tiny, tmp_path: Path, name: str, damage: str) -> None:
    load("mnist", tmp_path)
    (path,) = tmp_path.glob(f".convscope/mnist-*/{name}")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.unlink()
    images = load("mnist", tmp_path)
    assert (images.train_images[..., 0] == mnist.train_images).all()
    assert (images.test_labels == mnist.test_labels).all()
    assert len(caches(tmp_path)) == 1


def test_unwritable_root_is_named(mnist: Tiny, tmp_path: Path) -> None:
    (tmp_path / ".convscope").write_text("")
    with pytest.raises(UserError, match=f"^{tmp_path}/.convscope cannot be written: "):
        load("mnist", tmp_path)


def test_a_root_that_is_for_reading_alone_is_named_with_a_way_out(
    mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError) as refused:
        load("mnist", tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}/.convscope cannot be written: Permission denied\n"
        "decoded images are kept there: have its owner train once, or copy the images and set"
        " data.root"
    )


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.name != "posix", reason="needs limits on file sizes")
def test_failed_write_is_named_and_leaves_nothing(mnist: Tiny, tmp_path: Path) -> None:
    # As on a full disk: some bytes go through, then the system refuses.
    with file_size_limit(8000), pytest.raises(UserError) as error:
        load("mnist", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/.convscope/.mnist.tmp cannot be written: {os.strerror(errno.EFBIG)}"
    )
    assert caches(tmp_path) == []
    assert (load("mnist", tmp_path).train_labels == mnist.train_labels).all()


KILLED = """
import os, signal, sys
from convscope.data import cache
from convscope.data.sources import load
cache.sync_folder = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
load("image_folder", sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_writer_leaves_only_what_the_next_removes(folder: Folder, tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    assert run.returncode == -signal.SIGKILL
    assert caches(tmp_path) == [".image_folder.tmp"]
    images = load("image_folder", tmp_path)
    assert caches(tmp_path) == [f"image_folder-{images.fingerprint[:12]}"]


LOAD = """
import sys
from convscope.data.sources import load
images = load("image_folder", sys.argv[1])
print(images.fingerprint, "convscope.data.decode" in sys.modules)
"""


def test_of_two_processes_one_decodes_and_both_read(folder: Folder, tmp_path: Path) -> None:
    with cache.lock(tmp_path, "image_folder"):
        both = [
            subprocess.Popen(
                [sys.executable, "-c", LOAD, str(tmp_path)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        time.sleep(1)
        assert [process.poll() for process in both] == [None, None]
    said = [process.communicate(timeout=120)[0].split() for process in both]
    fingerprint = load("image_folder", tmp_path).fingerprint
    assert sorted(said) == [[fingerprint, "False"], [fingerprint, "True"]]


def test_statistics_are_exact_in_any_portions() -> None:
    images = np.random.RandomState(0).randint(0, 256, (50, 9, 7, 3)).astype(np.uint8)
    images[..., 2] = 40
    counts = PixelCounts(3)
    for some in np.array_split(images, 7):
        counts.add(some)
    mean, std = counts.mean_std()
    pixels = images.reshape(-1, 3).astype(np.float64)
    assert mean == pytest.approx(pixels.mean(0), rel=1e-12)
    assert std == pytest.approx([*pixels.std(0)[:2], 1.0], rel=1e-12)
