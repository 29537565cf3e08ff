"""The registry of data sets, `DATASETS`, and what is known of each before it is loaded.

Imports neither NumPy nor torch: an error in a config must not wait for them. Folders, mirrors and
archives' checksums are torchvision's, so that files downloaded by torchvision are found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convscope.config.schema import as_typed
from convscope.errors import UserError


@dataclass(frozen=True)
class Archive:
    """A published file that is downloaded.

    Attributes:
        path: Path relative to the data root.
        md5: Checksum of the archive itself, in hex.
        urls: Mirrors, in the order in which they are tried.
    """

    path: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class RawFile:
    """A file that is decoded, extracted from an archive.

    Attributes:
        path: Path relative to the data root.
        md5: Checksum of the extracted file, so that repacked archives are accepted; None if only
            the archive's checksum is published: the file is then read from the archive and not
            extracted.
        archive: The archive that contains the file, under the same file name.
    """

    path: str
    md5: str | None
    archive: Archive


@dataclass(frozen=True)
class Facts:
    """Shape and sizes of a data set, known before it is loaded, to check a config against.

    Attributes:
        name: The value of `data.name`.
        input_shape: (channels, height, width). For an `image_folder`, the shape of its first image;
            the loaded images may differ (if any image has colours, all are loaded in colour).
        classes: Number of classes.
        train_size: Number of training images, including those for validation.
        class_sizes: Number of training images of each class; empty if unknown before loading.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    train_size: int
    class_sizes: tuple[int, ...] = ()

    def split_train_size(self, val_fraction: float) -> int:
        """Return the number of images to train on; approximate if `class_sizes` is empty."""
        if not self.class_sizes:
            return int(self.train_size * (1 - val_fraction))
        return sum(size - validation_size(size, val_fraction) for size in self.class_sizes)


def validation_size(class_size: int, val_fraction: float) -> int:
    """Return how many images of a class go to the validation part."""
    return int(class_size * val_fraction + 0.5)


@dataclass(frozen=True, kw_only=True)
class Dataset(Facts):
    """An entry of `DATASETS`: a data set with a fixed shape and fixed sizes.

    Attributes:
        test_size: Number of test images.
        files: Files to download, verify and decode; none if `loader` is given.
        layout: Format and order of `files`: `idx` (train images, train labels, test images, test
            labels) or `pickle` (train batches, one test batch, class names).
        label_key, names_key: Keys of the labels and of the class names in the pickles.
        class_names: Names by label, if the files have none.
        torchvision: Name of the class in `torchvision.datasets`, for the benchmark.
        loader: `module:function` that returns the `Images` of a data set without files.
    """

    test_size: int
    files: tuple[RawFile, ...] = ()
    layout: Literal["idx", "pickle"] = "idx"
    label_key: str = ""
    names_key: str = ""
    class_names: tuple[str, ...] = ()
    torchvision: str = ""
    loader: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the files' checksums, in hex."""
        md5s = [file.md5 or file.archive.md5 for file in self.files]
        return hashlib.sha256(" ".join([self.name, *md5s]).encode()).hexdigest()

    @property
    def archives(self) -> tuple[Archive, ...]:
        """Each archive once, in the order of the files."""
        return tuple(dict.fromkeys(file.archive for file in self.files))


def _like_mnist(
    name: str,
    torchvision: str,
    class_names: tuple[str, ...],
    mirrors: tuple[str, ...],
    md5s: tuple[tuple[str | None, str], ...],
) -> Dataset:
    """Return a data set of 60,000 and 10,000 grey images in MNIST's file format.

    Args:
        name: The value of `data.name`.
        torchvision: Name of its class in torchvision, and of its folder.
        class_names: Names by label.
        mirrors: URLs of the folders that the files are downloaded from.
        md5s: Checksums (of the file, of its archive) of the train images, train labels, test images
            and test labels.
    """
    files = []
    for part, (md5, gz_md5) in zip(
        ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"),
        md5s,
        strict=True,
    ):
        path = f"{torchvision}/raw/{part}-ubyte"
        urls = tuple(f"{mirror}{part}-ubyte.gz" for mirror in mirrors)
        files.append(RawFile(path, md5, Archive(f"{path}.gz", gz_md5, urls)))
    return Dataset(
        name=name,
        input_shape=(1, 28, 28),
        classes=len(class_names),
        train_size=60_000,
        test_size=10_000,
        files=tuple(files),
        layout="idx",
        class_names=class_names,
        torchvision=torchvision,
    )


def _like_cifar(
    classes: int, folder: str, archive_md5: str, labels: str, md5s: dict[str, str]
) -> Dataset:
    """Return a data set of 50,000 and 10,000 colour images in CIFAR's file format.

    Args:
        classes: Number of classes, which is part of all its names.
        folder: Folder of the extracted files.
        archive_md5: Checksum of the archive.
        labels: Name of a label, in the singular, in the keys of the pickles.
        md5s: Checksum of each file, by name: train batches, the test batch, class names.
    """
    tar = f"cifar-{classes}-python.tar.gz"
    archive = Archive(tar, archive_md5, (f"https://www.cs.toronto.edu/~kriz/{tar}",))
    return Dataset(
        name=f"cifar{classes}",
        input_shape=(3, 32, 32),
        classes=classes,
        train_size=50_000,
        test_size=10_000,
        files=tuple(RawFile(f"{folder}/{name}", md5, archive) for name, md5 in md5s.items()),
        layout="pickle",
        label_key=f"{labels}s",
        names_key=f"{labels}_names",
        torchvision=f"CIFAR{classes}",
    )


DATASETS = {
    dataset.name: dataset
    for dataset in (
        _like_mnist(
            "mnist",
            "MNIST",
            tuple("0123456789"),
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
            (
                ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
                ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
                ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
            ),
        ),
        _like_mnist(
            "fashion_mnist",
            "FashionMNIST",
            (
                *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
                *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
            ),
            ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            (
                ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
                ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
                ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
            ),
        ),
        # Only the checksums of its archives are published.
        _like_mnist(
            "kmnist",
            "KMNIST",
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            (
                (None, "bdb82020997e1d708af4cf47b453dcf7"),
                (None, "e144d726b3acfaa3e44228e80efcd344"),
                (None, "5c965bf0a639b31b8f53240b1b52f4d7"),
                (None, "7320c461ea6c1c855c0b718fb2a4b134"),
            ),
        ),
        _like_cifar(
            10,
            "cifar-10-batches-py",
            "c58f30108f718f92721af3b95e74349a",
            "label",
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
        _like_cifar(
            100,
            "cifar-100-python",
            "eb9058c3a382ffc7106e4002c42a8d85",
            "fine_label",
            {
                "train": "16019d7e3df5f24257cddd939b257f8d",
                "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
                "meta": "7973b15100ade9c7d40fb424638fde48",
            },
        ),
        Dataset(
            name="digits",
            input_shape=(1, 28, 28),
            classes=10,
            train_size=1438,
            test_size=359,
            loader="convscope.data.digits:load_digits",
        ),
    )
}


def dataset_facts(name: str, root: str | Path, image_size: int | None = None) -> Facts:
    """Return the facts of a data set from `DATASETS`, or of an image folder from its files.

    The facts of `auto` are MNIST's, whose shape the digits share.

    Args:
        name: The value of `data.name`.
        root: `data.root`.
        image_size: `data.image_size`, in pixels.

    Raises:
        UserError: `name` is unknown, `image_size` does not apply to it, or there are no images.
    """
    check_name(name, image_size)
    if known := DATASETS.get("mnist" if name == "auto" else name):
        return known
    # Imported here: it imports NumPy and Pillow.
    from convscope.data.image_folder import folder_facts

    return folder_facts(Path(root), image_size)


def check_name(name: str, image_size: int | None) -> None:
    """Raise UserError if `name` is not a data set, or `image_size` does not apply to it."""
    names = ("auto", *DATASETS, "image_folder")
    if name not in names:
        raise UserError(f"data.name must be one of {', '.join(names)}, got {as_typed(name)}")
    if image_size is not None and name != "image_folder":
        raise UserError(
            f"data.image_size applies to image_folder only, got {image_size} with data.name={name}"
        )
    if image_size is not None and image_size < 1:
        raise UserError(f"data.image_size must be at least 1, got {image_size}")
