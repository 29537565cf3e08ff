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

from convscope.data import cache, raw
from convscope.data.images import PixelHistogram
from convscope.data.sources import load
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

    monkeypatch.setattr(raw, "read_all", read)


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


@pytest.mark.parametrize("mapped", [False, True])
def test_second_start_reads_no_source_and_maps_large_images(
    mapped: bool, mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("mnist", tmp_path)
    forbid_reading(monkeypatch)
    # 30 images of 784 bytes and 30 labels of 8, behind headers of 128.
    assert cache.IN_MEMORY_BYTES == 256 * 1024**2
    size = 30 * (784 + 8) + 4 * 128
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", size - 1 if mapped else size)
    second = load("mnist", tmp_path)
    assert isinstance(second.train_images, np.memmap) is mapped
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


def test_any_changed_byte_is_noticed(mnist: Tiny, tmp_path: Path) -> None:
    load("mnist", tmp_path)
    (folder,) = tmp_path.glob(".convscope/mnist-*")
    listing = json.loads((folder / "meta.json").read_text())["listing"]
    random = np.random.RandomState(3)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in random.choice(len(whole), 60):
            changed = bytearray(whole)
            changed[place] ^= 1 << random.randint(8)
            path.write_bytes(changed)
            found = cache.find(tmp_path / ".convscope", "mnist", listing)
            # JSON has bytes that may change and mean the same: none of the content's.
            if found is not None:
                assert path.name == "meta.json"
                assert whole[place : place + 1].isspace()
        path.write_bytes(whole)
    assert cache.find(tmp_path / ".convscope", "mnist", listing) is not None


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", ["train_images.npy", "test_labels.npy"])
def test_other_bytes_of_the_same_length_are_made_anew(
    name: str, mapped: bool, mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mapped:
        monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 0)
    load("mnist", tmp_path)
    (path,) = tmp_path.glob(f".convscope/mnist-*/{name}")
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    images = load("mnist", tmp_path)
    assert (images.train_images[..., 0] == mnist.train_images).all()
    assert (images.test_labels == mnist.test_labels).all()
    # Under new dates, too, where only these would be written otherwise.
    path.write_bytes(content)
    os.utime(tmp_path / mnist.known.files[0].path, (1, 1))
    images = load("mnist", tmp_path)
    assert (images.train_images[..., 0] == mnist.train_images).all()
    assert (images.test_labels == mnist.test_labels).all()
    assert len(caches(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b"[" * 100_000, b'{"format": 2}', b'{"format": 1}', b"\xff\xfe"],
)
def test_any_meta_that_is_none_is_made_anew(content: bytes, mnist: Tiny, tmp_path: Path) -> None:
    load("mnist", tmp_path)
    (path,) = tmp_path.glob(".convscope/mnist-*/meta.json")
    whole = path.read_bytes()
    path.write_bytes(content)
    load("mnist", tmp_path)
    assert path.read_bytes() == whole


TRUNCATED = """
import os, sys
from pathlib import Path
from convscope.data.sources import load
images = load("image_folder", sys.argv[1])
for path in Path(sys.argv[1]).glob(".convscope/image_folder-*/*.npy"):
    os.truncate(path, 0)
print(int(images.train_images.sum()), int(images.test_images.sum()))
"""


def test_a_file_cut_short_while_it_is_trained_from_costs_nothing(
    folder: Folder, tmp_path: Path
) -> None:
    # In a process of its own: through a memory map it would be killed.
    run = subprocess.run(
        [sys.executable, "-c", TRUNCATED, str(tmp_path)], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")
    # The next start makes it anew.
    images = load("image_folder", tmp_path)
    expected = [images.train_images.sum(), images.test_images.sum()]
    assert min(expected) > 0
    assert run.stdout.split() == [str(total) for total in expected]


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize("name", ["train_images.npy", "train_labels.npy", "meta.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop"])
def test_what_is_no_file_of_a_cache_is_made_anew(
    name: str, kind: str, mnist: Tiny, tmp_path: Path
) -> None:
    load("mnist", tmp_path)
    (path,) = tmp_path.glob(f".convscope/mnist-*/{name}")
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else name)
    assert (load("mnist", tmp_path).train_images[..., 0] == mnist.train_images).all()
    assert path.is_file()
    assert not path.is_symlink()
    assert len(caches(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("name", [".mnist.tmp", ".mnist.old.tmp", "mnist-{}", "mnist-other"])
@pytest.mark.parametrize("target", ["precious", "nowhere", "loop"])
def test_links_in_a_cache_are_replaced_and_not_followed(
    name: str, target: str, mnist: Tiny, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    name = name.format(mnist.known.fingerprint[:12])
    link = tmp_path / ".convscope" / name
    link.parent.mkdir()
    link.symlink_to(name if target == "loop" else tmp_path / target)
    assert (load("mnist", tmp_path).train_images[..., 0] == mnist.train_images).all()
    assert [entry.name for entry in precious.iterdir()] == ["file"]
    assert link.is_symlink() == (name == "mnist-other")


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_lock_that_is_no_file_is_named(kind: str, mnist: Tiny, tmp_path: Path) -> None:
    path = tmp_path / ".convscope/.mnist.lock"
    path.parent.mkdir()
    (tmp_path / "precious").write_text("kept")
    {
        "pipe": os.mkfifo,
        "folder": os.mkdir,
        "link": lambda place: os.symlink(tmp_path / "precious", place),
    }[kind](path)
    with pytest.raises(UserError, match=f"^{path} is not a regular file$"):
        load("mnist", tmp_path)
    assert (tmp_path / "precious").read_text() == "kept"


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
        "decoded images are kept there: set data.cache to a folder that you can write to"
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
from convscope.data import image_folder
from convscope.data.sources import load
decode, decoded = image_folder.decode_folder, []
image_folder.decode_folder = lambda *asked: decoded.append(asked) or decode(*asked)
images = load("image_folder", sys.argv[1])
print(images.fingerprint, bool(decoded))
"""


def test_of_two_processes_one_decodes_and_both_read(folder: Folder, tmp_path: Path) -> None:
    with cache.lock(tmp_path / ".convscope", "image_folder"):
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
    counts = PixelHistogram(3)
    for some in np.array_split(images, 7):
        counts.add(some)
    mean, std = counts.mean_std()
    pixels = images.reshape(-1, 3).astype(np.float64)
    assert mean == pytest.approx(pixels.mean(0), rel=1e-12)
    assert std == pytest.approx([*pixels.std(0)[:2], 1.0], rel=1e-12)
