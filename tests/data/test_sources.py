"""Data sets by name: what ``auto`` becomes, and official files in every state."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convscope.data import dataset_facts
from convscope.data.images import Images
from convscope.data.sources import load, resolve_auto
from convscope.errors import UserError

if TYPE_CHECKING:
    from conftest import Server, Tiny


def assert_holds(images: Images, tiny: Tiny) -> None:
    channels = tiny.known.input_shape[0]
    for part, expected in (
        (images.train_images, tiny.train_images),
        (images.test_images, tiny.test_images),
    ):
        assert part.dtype == np.uint8
        assert (part == expected.reshape(*expected.shape[:3], channels)).all()
    assert (images.train_labels == tiny.train_labels).all()
    assert (images.test_labels == tiny.test_labels).all()
    assert images.train_labels.dtype == images.test_labels.dtype == np.int64
    assert images.input_shape == tiny.known.input_shape
    pixels = tiny.train_images.reshape(-1, channels).astype(np.float64)
    assert images.mean == pytest.approx(pixels.mean(0), rel=1e-12)
    assert images.std == pytest.approx(pixels.std(0), rel=1e-12)


def test_extracted_mnist(tiny_mnist: Tiny, tmp_path: Path) -> None:
    tiny_mnist.write(tmp_path)
    images = load("mnist", tmp_path)
    assert_holds(images, tiny_mnist)
    assert images.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert images.fingerprint == tiny_mnist.known.fingerprint


def test_extracted_cifar10(tiny_cifar10: Tiny, tmp_path: Path) -> None:
    tiny_cifar10.write(tmp_path)
    images = load("cifar10", tmp_path)
    assert_holds(images, tiny_cifar10)
    assert images.classes == tuple(f"kind {i}" for i in range(10))


def test_torchvision_reads_the_same(tiny_mnist: Tiny, tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    tiny_mnist.write(tmp_path)
    theirs = MNIST(str(tmp_path), train=True)
    ours = load("mnist", tmp_path)
    assert (theirs.data.numpy() == ours.train_images[..., 0]).all()
    assert (theirs.targets.numpy() == ours.train_labels).all()


@pytest.mark.parametrize("tiny", ["tiny_mnist", "tiny_cifar10"])
def test_archives_alone_are_extracted(
    tiny: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: Tiny = request.getfixturevalue(tiny)
    data.write(tmp_path, data.archives)
    assert_holds(load(data.known.name, tmp_path), data)
    for path, content in data.files.items():
        assert (tmp_path / path).read_bytes() == content


@pytest.mark.parametrize("tiny", ["tiny_mnist", "tiny_kmnist", "tiny_cifar10"])
def test_missing_files_are_downloaded(
    tiny: str, server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: Tiny = request.getfixturevalue(tiny)
    data.serve_from(server.url)
    for path, content in data.archives.items():
        server.give(f"/{path}", content)
    assert_holds(load(data.known.name, tmp_path / "new"), data)
    asked = len(server.asked)
    assert asked == len(data.archives)
    assert_holds(load(data.known.name, tmp_path / "new"), data)
    assert len(server.asked) == asked


@pytest.mark.parametrize("tiny", ["tiny_mnist", "tiny_cifar10"])
def test_each_damaged_file_is_named_and_nothing_is_kept(
    tiny: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: Tiny = request.getfixturevalue(tiny)
    for path, content in data.files.items():
        for damage in (content[:-1], b"", content[:-1] + bytes([content[-1] ^ 1])):
            data.write(tmp_path)
            (tmp_path / path).write_bytes(damage)
            with pytest.raises(UserError, match=f"^{tmp_path}/{path} is damaged: its md5 is "):
                load(data.known.name, tmp_path)
            assert not list(tmp_path.glob(".convscope/*/"))
    data.write(tmp_path)
    assert_holds(load(data.known.name, tmp_path), data)


@pytest.mark.parametrize("kept", [-1, None])
def test_damage_after_a_first_start_is_seen(
    kept: int | None, tiny_mnist: Tiny, tmp_path: Path
) -> None:
    tiny_mnist.write(tmp_path)
    load("mnist", tmp_path)
    path = tiny_mnist.known.files[3].path
    (tmp_path / path).write_bytes(tiny_mnist.files[path][:kept][::-1])
    with pytest.raises(UserError, match=f"{path} is damaged"):
        load("mnist", tmp_path)


def test_damaged_archive_is_named(tiny_mnist: Tiny, tmp_path: Path) -> None:
    tiny_mnist.write(tmp_path, tiny_mnist.archives)
    path = tiny_mnist.known.archives[1].path
    (tmp_path / path).write_bytes(tiny_mnist.archives[path][:-4])
    with pytest.raises(UserError, match=f"^{tmp_path}/{path} is damaged: "):
        load("mnist", tmp_path)


def test_missing_file_that_cannot_be_had_is_named(tiny_mnist: Tiny, tmp_path: Path) -> None:
    tiny_mnist.write(tmp_path)
    load("mnist", tmp_path)
    path = tiny_mnist.known.files[2].path
    (tmp_path / path).unlink()
    with pytest.raises(UserError) as error:
        load("mnist", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/{path}.gz could not be downloaded (127.0.0.1: Connection refused); "
        f"fetch http://127.0.0.1:9/nothing and put it there"
    )


def test_auto_is_mnist_where_it_lies(tiny_mnist: Tiny, tmp_path: Path) -> None:
    tiny_mnist.write(tmp_path / "whole")
    assert resolve_auto(tmp_path / "whole") == ("mnist", None)
    tiny_mnist.write(tmp_path / "packed", tiny_mnist.archives)
    assert resolve_auto(str(tmp_path / "packed")) == ("mnist", None)


def test_auto_is_mnist_where_it_can_be_downloaded(
    tiny_mnist: Tiny, server: Server, tmp_path: Path
) -> None:
    tiny_mnist.serve_from(server.url)
    for path, content in tiny_mnist.archives.items():
        server.give(f"/{path}", content)
    assert resolve_auto(tmp_path) == ("mnist", None)
    assert_holds(load("mnist", tmp_path), tiny_mnist)


def test_auto_is_digits_without_network(
    tiny_mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    tiny_mnist.serve_from("https://mnist.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    root = tmp_path / "data"
    assert resolve_auto(root) == (
        "digits",
        f"MNIST is not under {root}/ and could not be downloaded (no network)",
    )
    assert not root.exists()


def test_auto_gives_up_on_a_dead_network_in_time(
    tiny_mnist: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_mnist.serve_from("https://mnist.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(20))
    begin = time.monotonic()
    name, reason = resolve_auto(tmp_path)
    # The name server never answers: three seconds, and what a busy machine adds.
    assert time.monotonic() - begin < 15
    assert name == "digits"
    assert reason is not None
    assert "mnist.invalid did not answer in time" in reason


def test_auto_passes_over_no_damaged_file(tiny_mnist: Tiny, tmp_path: Path) -> None:
    path, content = next(iter(tiny_mnist.files.items()))
    tiny_mnist.write(tmp_path, {path: content[:-1]})
    with pytest.raises(UserError, match=f"^{tmp_path}/{path} is damaged"):
        resolve_auto(tmp_path)


@pytest.mark.parametrize(
    ("name", "image_size", "message"),
    [
        ("minst", None, "data.name must be one of auto, mnist, .*, image_folder, got minst"),
        ("mnist", 32, "data.image_size applies to image_folder only, got 32 with data.name=mnist"),
        ("image_folder", 0, "data.image_size must be at least 1, got 0"),
    ],
)
def test_bad_names_and_sizes(
    name: str, image_size: int | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        load(name, tmp_path, image_size)
    with pytest.raises(UserError, match=f"^{message}$"):
        dataset_facts(name, tmp_path, image_size)


def test_facts_start_light() -> None:
    code = (
        "import sys; from convscope.data import dataset_facts; dataset_facts('mnist', 'x');"
        "print({'numpy', 'torch', 'torchvision', 'PIL', 'filelock'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_loading_needs_no_torch(tiny_mnist: Tiny, tmp_path: Path) -> None:
    tiny_mnist.write(tmp_path)
    code = (
        "import sys; from convscope.data.sources import load, resolve_auto;"
        "from convscope.errors import UserError\n"
        "print(resolve_auto(sys.argv[1]))\n"
        "try: load('mnist', sys.argv[1])\n"
        "except UserError as error: print('is damaged' in str(error))\n"
        "print({'torch', 'torchvision'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "('mnist', None)\nTrue\nset()\n"
