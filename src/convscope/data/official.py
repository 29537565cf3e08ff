"""The official data sets as plain facts: where their files lie, what they must contain.

Nothing here reads a file or imports more than the standard library. Folders, mirrors and archive
checksums are torchvision's, so that files which it left are found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Archive:
    """A file as it is published.

    Attributes:
        path: Where it is kept, relative to the data root.
        md5: Of the archive itself.
        urls: Mirrors, in the order in which they are tried.
    """

    path: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class RawFile:
    """A file that is decoded.

    Attributes:
        path: Relative to the data root.
        md5: Of the file as extracted.
        archive: The archive that holds it under its own file name.
    """

    path: str
    md5: str
    archive: Archive


@dataclass(frozen=True)
class OfficialSet:
    """An official data set.

    Attributes:
        name: As in ``data.name``.
        layout: How ``files`` are written: ``idx`` (train images, train labels, test images, test
            labels) or ``pickle`` (train batches, one test batch, class names).
        input_shape: (channels, height, width).
        label_key, names_key: Of the pickles.
        class_names: Where the files hold none.
    """

    name: str
    layout: Literal["idx", "pickle"]
    input_shape: tuple[int, int, int]
    classes: int
    train_size: int
    test_size: int
    files: tuple[RawFile, ...]
    label_key: str = ""
    names_key: str = ""
    class_names: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the content: hex, from the files' checksums."""
        md5s = [file.md5 for file in self.files]
        return hashlib.sha256(" ".join([self.name, *md5s]).encode()).hexdigest()

    @property
    def archives(self) -> tuple[Archive, ...]:
        """Each archive once, in the order of the files."""
        return tuple(dict.fromkeys(file.archive for file in self.files))


def _idx_files(
    folder: str, mirrors: tuple[str, ...], md5s: dict[str, tuple[str, str]]
) -> tuple[RawFile, ...]:
    """One gzip archive per file; ``md5s``: name -> (of the file, of the archive)."""
    return tuple(
        RawFile(
            f"{folder}/{name}",
            md5,
            Archive(f"{folder}/{name}.gz", gz_md5, tuple(f"{url}{name}.gz" for url in mirrors)),
        )
        for name, (md5, gz_md5) in md5s.items()
    )


def _cifar_files(folder: str, archive: Archive, md5s: dict[str, str]) -> tuple[RawFile, ...]:
    return tuple(RawFile(f"{folder}/{name}", md5, archive) for name, md5 in md5s.items())


MNIST = OfficialSet(
    name="mnist",
    layout="idx",
    input_shape=(1, 28, 28),
    classes=10,
    train_size=60_000,
    test_size=10_000,
    class_names=tuple("0123456789"),
    files=_idx_files(
        "MNIST/raw",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        {
            "train-images-idx3-ubyte": (
                "6bbc9ace898e44ae57da46a324031adb",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            ),
            "train-labels-idx1-ubyte": (
                "a25bea736e30d166cdddb491f175f624",
                "d53e105ee54ea40749a09fcbcd1e9432",
            ),
            "t10k-images-idx3-ubyte": (
                "2646ac647ad5339dbf082846283269ea",
                "9fb629c4189551a2d022fa330f9573f3",
            ),
            "t10k-labels-idx1-ubyte": (
                "27ae3e4e09519cfbb04c329615203637",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        },
    ),
)

FASHION_MNIST = OfficialSet(
    name="fashion_mnist",
    layout="idx",
    input_shape=(1, 28, 28),
    classes=10,
    train_size=60_000,
    test_size=10_000,
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    files=_idx_files(
        "FashionMNIST/raw",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            "train-images-idx3-ubyte": (
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            ),
            "train-labels-idx1-ubyte": (
                "9018921c3c673c538a1fc5bad174d6f9",
                "25c81989df183df01b3e8a0aad5dffbe",
            ),
            "t10k-images-idx3-ubyte": (
                "8181f5470baa50b63fa0f6fddb340f0a",
                "bef4ecab320f06d8554ea6380940ec79",
            ),
            "t10k-labels-idx1-ubyte": (
                "15d484375f8d13e6eb1aabb0c3f46965",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        },
    ),
)

CIFAR10 = OfficialSet(
    name="cifar10",
    layout="pickle",
    input_shape=(3, 32, 32),
    classes=10,
    train_size=50_000,
    test_size=10_000,
    label_key="labels",
    names_key="label_names",
    files=_cifar_files(
        "cifar-10-batches-py",
        Archive(
            "cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        ),
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
)

CIFAR100 = OfficialSet(
    name="cifar100",
    layout="pickle",
    input_shape=(3, 32, 32),
    classes=100,
    train_size=50_000,
    test_size=10_000,
    label_key="fine_labels",
    names_key="fine_label_names",
    files=_cifar_files(
        "cifar-100-python",
        Archive(
            "cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
            ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
        ),
        {
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
)

OFFICIAL = {known.name: known for known in (MNIST, FASHION_MNIST, CIFAR10, CIFAR100)}
