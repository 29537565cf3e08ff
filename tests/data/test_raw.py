"""Official files as people have them: packed anew, in other places, under other names."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convscope.data import raw
from convscope.data.datasets import DATASETS, Dataset
from convscope.data.nearby import advice_on_files
from convscope.data.sources import load, resolve_auto
from convscope.errors import UserError

if TYPE_CHECKING:
    from conftest import Server, Tiny

MNIST, FASHION_MNIST = DATASETS["mnist"], DATASETS["fashion_mnist"]
CIFAR10, CIFAR100 = DATASETS["cifar10"], DATASETS["cifar100"]


def tar_of(files: dict[str, bytes], prefix: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(prefix + path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def refused(name: str, root: Path) -> str:
    with pytest.raises(UserError) as error:
        load(name, root)
    return str(error.value)


@pytest.mark.parametrize("extract", [True, False])
def test_mnist_packed_anew_is_mnist(extract: bool, tiny_mnist: Tiny, tmp_path: Path) -> None:
    # Another level, time and name: other bytes, the same content.
    packed = {
        f"{path}.gz": gzip.compress(content, 1, mtime=1)
        for path, content in tiny_mnist.files.items()
    }
    assert not {*packed.values()} & {*tiny_mnist.archives.values()}
    tiny_mnist.write(tmp_path / "data", packed)
    own = None if extract else tmp_path / "own"
    images = load("mnist", tmp_path / "data", cache_root=own)
    assert (images.train_images[..., 0] == tiny_mnist.train_images).all()
    assert (images.test_labels == tiny_mnist.test_labels).all()
    assert images.fingerprint == tiny_mnist.known.fingerprint
    assert resolve_auto(tmp_path / "data") == ("mnist", None)


@pytest.mark.parametrize(
    "pack",
    [
        lambda files: gzip.compress(tar_of(files, "./"), 1),
        lambda files: lzma.compress(tar_of(files)),
        lambda files: tar_of(files, "from/somewhere/"),
        # A file of the same name that comes first is another one.
        lambda files: gzip.compress(tar_of({"old/data_batch_3": b"other"} | files)),
    ],
)
@pytest.mark.parametrize("extract", [True, False])
def test_cifar_packed_anew_is_cifar(
    pack: Callable[[dict[str, bytes]], bytes], extract: bool, tiny_cifar10: Tiny, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    tiny_cifar10.write(root, {"cifar-10-python.tar.gz": pack(tiny_cifar10.files)})
    images = load("cifar10", root, cache_root=None if extract else tmp_path / "own")
    assert (images.train_images == tiny_cifar10.train_images).all()
    assert images.fingerprint == tiny_cifar10.known.fingerprint
    assert (root / "cifar-10-batches-py/data_batch_1").exists() is extract


def test_a_file_without_a_checksum_of_its_own_is_read_out_of_its_archive(
    tiny_kmnist: Tiny, tmp_path: Path
) -> None:
    tiny_kmnist.write(tmp_path, tiny_kmnist.archives)
    first, second, *_ = tiny_kmnist.known.files
    # Whatever extracted it, nothing vouches for its content.
    (tmp_path / first.path).write_bytes(b"something else")
    for _ in range(2):
        images = load("kmnist", tmp_path)
        assert (images.train_images[..., 0] == tiny_kmnist.train_images).all()
        assert images.fingerprint == tiny_kmnist.known.fingerprint
    assert (tmp_path / first.path).read_bytes() == b"something else"
    assert not (tmp_path / second.path).exists()
    packed = tmp_path / second.archive.path
    packed.write_bytes(gzip.compress(tiny_kmnist.files[second.path], 1, mtime=1))
    said = refused("kmnist", tmp_path)
    assert said.startswith(f"{packed} is damaged: its md5 is ")
    assert f", not {second.archive.md5}; replace it" in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"hello", "Not a gzipped file (b'he')"),
        (
            lambda _: b"",
            "the md5 of train-images-idx3-ubyte in it is d41d8cd98f00b204e9800998ecf842",
        ),
        (lambda content: gzip.compress(content)[:-9], "Compressed file ended before"),
        (lambda content: gzip.compress(content)[:-8] + bytes(8), "CRC check failed"),
        (
            lambda content: gzip.compress(content[:-1]),
            "the md5 of train-images-idx3-ubyte in it is",
        ),
        (lambda _: gzip.compress(bytes(2000)), "it unpacks to more than 1,999 bytes"),
    ],
)
def test_an_archive_that_holds_something_else_is_named(
    change: Callable[[bytes], bytes],
    reason: str,
    tiny_mnist: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "1,999" in reason:
        monkeypatch.setattr(raw, "MAX_BYTES", 1999)
    path = tiny_mnist.known.files[0].path
    tiny_mnist.write(tmp_path, tiny_mnist.archives)
    (tmp_path / f"{path}.gz").write_bytes(change(tiny_mnist.files[path]))
    said = refused("mnist", tmp_path)
    assert said.startswith(f"{tmp_path}/{path}.gz is damaged: {reason}")
    assert said.endswith("; replace it, or delete it to have it downloaded again")
    assert "\n" not in said
    assert not (tmp_path / path).exists()


def test_a_tar_that_lacks_a_file_or_is_none_is_named(tiny_cifar10: Tiny, tmp_path: Path) -> None:
    files = dict(tiny_cifar10.files)
    del files["cifar-10-batches-py/data_batch_3"]
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(gzip.compress(tar_of(files)))
    assert f"{path} is damaged: data_batch_3 is not in it; " in refused("cifar10", tmp_path)
    shutil.rmtree(tmp_path / "cifar-10-batches-py")
    whole = gzip.compress(tar_of(tiny_cifar10.files))
    for content in (b"hello", b"", whole[: len(whole) // 2], gzip.compress(b"hello" * 200)):
        path.write_bytes(content)
        said = refused("cifar10", tmp_path)
        assert said.startswith(f"{path} is damaged: ")
        assert "\n" not in said


def test_an_extracted_file_counts_before_its_archive(tiny_mnist: Tiny, tmp_path: Path) -> None:
    path = tiny_mnist.known.files[2].path
    tiny_mnist.write(tmp_path)
    (tmp_path / f"{path}.gz").write_bytes(b"damaged, but not needed")
    assert (load("mnist", tmp_path).test_images[..., 0] == tiny_mnist.test_images).all()
    (tmp_path / f"{path}.gz").write_bytes(tiny_mnist.archives[f"{path}.gz"])
    (tmp_path / path).write_bytes(b"damaged, and needed")
    assert f"{tmp_path}/{path} is damaged" in refused("mnist", tmp_path)


def test_one_set_in_the_place_of_another_is_named(
    tiny_mnist: Tiny, tiny_cifar10: Tiny, tmp_path: Path
) -> None:
    tiny_mnist.write(tmp_path)
    path = tiny_mnist.known.files[0].path
    other = tiny_cifar10.known.files[1]
    (tmp_path / path).write_bytes(tiny_cifar10.files[other.path])
    assert refused("mnist", tmp_path) == (
        f"{tmp_path}/{path} is damaged: its md5 is {other.md5}, not "
        f"{tiny_mnist.known.files[0].md5}: it is cifar10's data_batch_2; replace it, or delete it"
        " to have it downloaded again"
    )


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "device"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_is_no_regular_file_is_named(
    kind: str, ending: str, tiny_mnist: Tiny, tmp_path: Path
) -> None:
    archive = bool(ending)
    tiny_mnist.write(tmp_path, tiny_mnist.archives if archive else None)
    path = tmp_path / f"{tiny_mnist.known.files[1].path}{ending}"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    assert refused("mnist", tmp_path) == f"{path} is not a regular file"


def test_a_folder_of_the_files_name_is_named(tiny_mnist: Tiny, tmp_path: Path) -> None:
    for path, content in tiny_mnist.files.items():
        tiny_mnist.write(tmp_path, {f"{path}/{Path(path).name}": content})
    path = tiny_mnist.known.files[0].path
    told = f"{tmp_path}/{path} is a folder; replace it by the file {Path(path).name} inside it"
    assert refused("mnist", tmp_path) == told
    with pytest.raises(UserError) as error:
        resolve_auto(tmp_path)
    assert str(error.value) == told


def damaged(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 3, 100))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return draw.choice((content[: draw.randrange(len(content))], bytes(changed), b"", content))


@pytest.mark.parametrize("tiny", ["tiny_mnist", "tiny_cifar10"])
def test_damage_anywhere_gives_what_was_published_or_one_line(
    tiny: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: Tiny = request.getfixturevalue(tiny)
    whole = 0
    for seed in range(40):
        draw, root = random.Random(seed), tmp_path / f"{seed}"
        for contents in (data.archives, data.files) if draw.random() < 0.4 else (data.archives,):
            some = draw.sample(sorted(contents), draw.randrange(1, len(contents) + 1))
            for path in some if contents is data.files else contents:
                harmed = damaged(draw, contents[path]) if draw.random() < 0.2 else contents[path]
                data.write(root, {path: harmed})
        try:
            images = load(data.known.name, root, cache_root=draw.choice((None, root / "own")))
        except UserError as error:
            said = str(error)
        else:
            said = f"{root}/"
            whole += 1
            expected = data.train_images.reshape(images.train_images.shape)
            assert np.array_equal(images.train_images, expected)
            assert np.array_equal(images.test_labels, data.test_labels)
        assert said.startswith(f"{root}/")
        assert len(said.splitlines()) == 1
    assert 5 < whole < 35


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"some content")


IDX = [file.path.rpartition("/")[2] for file in MNIST.files]
CIFAR = [file.path.rpartition("/")[2] for file in CIFAR10.files]


@pytest.mark.parametrize(
    ("known", "paths", "advice"),
    [
        (
            MNIST,
            [f"MNIST/raw/{name.replace('-idx', '.idx')}" for name in IDX],
            "{root}/MNIST/raw/t10k-images.idx3-ubyte is there: move it to"
            " {root}/MNIST/raw/t10k-images-idx3-ubyte, and so on with 3 more",
        ),
        (
            MNIST,
            [f"MNIST/{name}" for name in IDX],
            "{root}/MNIST/t10k-images-idx3-ubyte is there: move it to"
            " {root}/MNIST/raw/t10k-images-idx3-ubyte, and so on with 3 more",
        ),
        (
            MNIST,
            ["train-images-idx3-ubyte.gz"],
            "{root}/train-images-idx3-ubyte.gz is there: move it to"
            " {root}/MNIST/raw/train-images-idx3-ubyte.gz",
        ),
        (
            MNIST,
            ["archive/MNIST/raw/train-images-idx3-ubyte"],
            "{root}/archive/MNIST/raw/train-images-idx3-ubyte is there: set"
            " data.root={root}/archive",
        ),
        (
            MNIST,
            ["mnist.npz"],
            "{root}/mnist.npz is there, but not in the form that torchvision has:"
            " MNIST/raw/train-images-idx3-ubyte",
        ),
        (
            MNIST,
            [f"FashionMNIST/raw/{name}" for name in IDX],
            "{root}/FashionMNIST/raw is there: data=fashion_mnist uses it",
        ),
        (
            MNIST,
            [f"KMNIST/raw/{name}.gz" for name in IDX],
            "{root}/KMNIST/raw is there: data=kmnist uses it",
        ),
        (
            FASHION_MNIST,
            [f"MNIST/raw/{name}" for name in IDX],
            "{root}/MNIST/raw is there: data=mnist uses it",
        ),
        (
            CIFAR10,
            [f"data/cifar-10-batches-py/{name}" for name in CIFAR],
            "{root}/data/cifar-10-batches-py/batches.meta is there: set data.root={root}/data",
        ),
        (
            CIFAR10,
            ["cifar-10-batches-py/cifar-10-python.tar.gz"],
            "{root}/cifar-10-batches-py/cifar-10-python.tar.gz is there: set"
            " data.root={root}/cifar-10-batches-py",
        ),
        (
            CIFAR10,
            ["cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"],
            "{root}/cifar-100-python is there: data=cifar100 uses it",
        ),
        (
            CIFAR100,
            [f"cifar-10-batches-py/{name}" for name in CIFAR],
            "{root}/cifar-10-batches-py is there: data=cifar10 uses it",
        ),
        (
            CIFAR10,
            ["cifar-10-batches-bin/data_batch_1.bin"],
            "{root}/cifar-10-batches-bin is there, but not in the form that torchvision has:"
            " cifar-10-batches-py/data_batch_1",
        ),
        (
            CIFAR10,
            ["train/cat/1.png", "test/cat/1.png"],
            "{root} has an image folder's parts: data=image_folder uses them",
        ),
        (
            CIFAR10,
            ["jpeg/train/cat/1.png", "jpeg/test/cat/1.png"],
            "{root}/jpeg is an image folder: data=image_folder data.root={root}/jpeg uses it",
        ),
        (CIFAR100, ["cifar/train", "cifar/test", "notes.txt"], None),
        (MNIST, [], None),
    ],
)
def test_near_misses_are_named_with_what_to_do(
    known: Dataset, paths: list[str], advice: str | None, tmp_path: Path
) -> None:
    touch(tmp_path, *paths)
    said = advice_on_files(known, tmp_path)
    assert said == (advice and advice.format(root=tmp_path))


def test_a_root_that_points_too_deep_is_named(tmp_path: Path) -> None:
    touch(tmp_path, *(f"MNIST/raw/{name}" for name in IDX))
    for place in ("MNIST", "MNIST/raw"):
        advice = advice_on_files(MNIST, tmp_path / place)
        assert advice is not None
        assert advice.endswith(
            f"MNIST/raw/t10k-images-idx3-ubyte is there: set data.root={tmp_path}"
        )


def test_many_files_and_links_that_loop_cost_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to(".")
    touch(tmp_path, *(f"{i}/{j}/{k}/x" for i in range(6) for j in range(6) for k in range(6)))
    looked: list[object] = []
    scan = os.scandir

    def counted(folder: str) -> object:
        looked.append(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", counted)
    assert advice_on_files(MNIST, tmp_path) is None
    assert 100 < len(looked) < 130


def test_what_lies_there_is_told_where_it_cannot_be_downloaded(
    tiny_mnist: Tiny, tmp_path: Path
) -> None:
    touch(tmp_path, "MNIST/raw/train-images.idx3-ubyte")
    advice = (
        f"{tmp_path}/MNIST/raw/train-images.idx3-ubyte is there: move it to"
        f" {tmp_path}/MNIST/raw/train-images-idx3-ubyte"
    )
    assert refused("mnist", tmp_path) == (
        f"{tmp_path}/MNIST/raw/train-images-idx3-ubyte.gz could not be downloaded"
        f" (127.0.0.1: Connection refused); {advice}"
    )
    assert resolve_auto(tmp_path) == (
        "digits",
        f"MNIST is not under {tmp_path}/ and could not be downloaded (127.0.0.1: Connection"
        f" refused); {advice}",
    )


def test_auto_says_what_else_lies_where_it_downloads_mnist(
    tiny_mnist: Tiny, server: Server, tmp_path: Path
) -> None:
    tiny_mnist.serve_from(server.url)
    for path, content in tiny_mnist.archives.items():
        server.give(f"/{path}", content)
    touch(tmp_path, "train/ant/1.png", "test/ant/1.png")
    said = f"it was downloaded to {tmp_path}/; {tmp_path} has an image folder's parts: "
    assert resolve_auto(tmp_path) == ("mnist", f"{said}data=image_folder uses them")
    # It is there now: whoever has both has chosen.
    assert resolve_auto(tmp_path) == ("mnist", None)


def test_a_root_of_others_is_read_alone_with_a_cache_of_ones_own(
    tiny_mnist: Tiny, tmp_path: Path
) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    tiny_mnist.write(shared, tiny_mnist.archives)
    before = sorted(shared.rglob("*"))
    first = load("mnist", shared, cache_root=own)
    assert (first.train_images[..., 0] == tiny_mnist.train_images).all()
    assert sorted(shared.rglob("*")) == before
    (place,) = own.iterdir()
    assert place.name.startswith("shared-")
    name = f"mnist-{tiny_mnist.known.fingerprint[:12]}"
    assert sorted(entry.name for entry in place.iterdir()) == [".mnist.lock", name]
    again = load("mnist", shared, cache_root=own)
    assert np.array_equal(again.test_images, first.test_images)


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("name", ["mnist", "image_folder"])
def test_a_root_or_cache_that_loops_is_named(name: str, tiny_mnist: Tiny, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(UserError, match=f"^{loop}/"):
        load(name, loop, cache_root=tmp_path / "own")
    if name == "mnist":
        tiny_mnist.write(tmp_path / "data")
        with pytest.raises(UserError, match=f"^{loop}/data-[0-9a-f]{{12}} cannot be written: "):
            load(name, tmp_path / "data", cache_root=loop)


def test_two_roots_do_not_share_a_place_in_one_cache(tiny_mnist: Tiny, tmp_path: Path) -> None:
    own = tmp_path / "own"
    for place in ("a/data", "b/data"):
        tiny_mnist.write(tmp_path / place)
        load("mnist", tmp_path / place, cache_root=own)
    assert len([*own.glob("data-*/mnist-*")]) == 2
