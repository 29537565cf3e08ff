"""Batches: selection, normalisation, layout, ranks, and where the images lie."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as F

from convscope.data.augment import Augmentation
from convscope.data.batches import DeviceImages, EvalBatches, TrainBatches, placement
from convscope.data.order import BatchOrder
from convscope.errors import UserError

RANDOM = np.random.RandomState(4)
GIB = 2**30
AUGMENTATION = Augmentation(flip=True, shift=2, cutout=3)


class Pictures:
    """Random images with the DeviceImages made of them."""

    def __init__(self, channels: int, count: int = 50) -> None:
        self.images = RANDOM.randint(0, 256, (count, 8, 10, channels)).astype(np.uint8)
        self.labels = RANDOM.randint(0, 10, count)
        self.mean = [33.0, 120.5, 7.25][:channels]
        self.std = [78.5, 3.0, 60.0][:channels]

    def on(self, device: str = "cpu", location: str | None = None) -> DeviceImages:
        return DeviceImages(self.images, self.labels, self.mean, self.std, device, location)  # type: ignore[arg-type]

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """(C, H, W) float32 of one (H, W, C) image, channel by channel."""
        return np.stack(
            [
                (image[..., c].astype(np.float32) - np.float32(mean)) * np.float32(1 / std)
                for c, (mean, std) in enumerate(zip(self.mean, self.std, strict=True))
            ]
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("location", ["device", "host"])
def test_batch_is_the_normalised_images(channels: int, location: str) -> None:
    pictures = Pictures(channels)
    chosen = [7, 0, 49, 7]
    images, labels = pictures.on(location=location).batch(torch.tensor(chosen))
    assert images.dtype == torch.float32
    assert images.shape == (4, channels, 8, 10)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == pictures.labels[chosen].tolist()
    expected = np.stack([pictures.normalised(pictures.images[i]) for i in chosen])
    assert (images.numpy() == expected).all()
    for ours, i in zip(images, chosen, strict=True):
        theirs = F.normalize(
            torch.from_numpy(pictures.images[i]).permute(2, 0, 1).float(),
            pictures.mean,
            pictures.std,
        )
        torch.testing.assert_close(ours, theirs)


def test_batch_leaves_the_images_alone() -> None:
    pictures = Pictures(3)
    before = pictures.images.copy()
    images = pictures.on()
    draws = AUGMENTATION.draw(0, 0, 50, 8, 10)
    first = images.batch(torch.arange(50), AUGMENTATION, draws)[0].clone()
    images.batch(torch.arange(50))[0].zero_()
    assert (pictures.images == before).all()
    assert torch.equal(images.batch(torch.arange(50), AUGMENTATION, draws)[0], first)


@pytest.mark.parametrize("channels", [1, 3])
def test_augmented_batch_moves_pixels_then_normalises_then_cuts(channels: int) -> None:
    pictures = Pictures(channels)
    draws = AUGMENTATION.draw(9, 4, 20, 8, 10)
    images, _ = pictures.on().batch(torch.arange(20), AUGMENTATION, draws)
    assert images.is_contiguous(memory_format=torch.channels_last)
    for i, ours in enumerate(images):
        image = torch.from_numpy(pictures.images[i]).permute(2, 0, 1)
        image = F.crop(F.pad(image, [2]), int(draws.top[i]), int(draws.left[i]), 8, 10)
        image = F.hflip(image) if draws.flip[i] else image
        expected = pictures.normalised(image.permute(1, 2, 0).numpy())
        top, left = int(draws.row[i]) - 1, int(draws.column[i]) - 1
        expected[:, max(0, top) : top + 3, max(0, left) : left + 3] = 0
        assert (ours.numpy() == expected).all()


def train_batches(
    pictures: Pictures,
    rank: int = 0,
    world_size: int = 1,
    augmentation: Augmentation = AUGMENTATION,
) -> TrainBatches:
    order = BatchOrder(torch.arange(5, 45), 8, 11, rank, world_size)
    return TrainBatches(pictures.on(), order, augmentation)


def test_training_batch_is_a_function_of_the_step() -> None:
    pictures = Pictures(1)
    batches = train_batches(pictures)
    assert batches.steps_per_epoch == 5
    forward = [batches.batch(step) for step in range(10)]
    again = train_batches(pictures)
    for step in (9, 2, 7, 0):
        for ours, theirs in zip(again.batch(step), forward[step], strict=True):
            assert torch.equal(ours, theirs)
    assert not torch.equal(forward[0][0], forward[5][0])


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_together_make_the_batch_of_one(world_size: int) -> None:
    pictures = Pictures(3)
    alone = train_batches(pictures)
    ranks = [train_batches(pictures, rank, world_size) for rank in range(world_size)]
    for step in (0, 6):
        parts = [rank.batch(step) for rank in ranks]
        whole = alone.batch(step)
        for ours, theirs in zip(zip(*parts, strict=True), whole, strict=True):
            assert torch.equal(torch.cat(ours), theirs)


@pytest.mark.parametrize("location", ["device", "host"])
def test_an_alternating_flip_mirrors_each_image_in_every_other_epoch(location: str) -> None:
    pictures, plain = Pictures(3), Augmentation(flip=True, shift=2)
    order = BatchOrder(torch.arange(5, 45), 8, 11)
    alternating = Augmentation(flip=True, shift=2, alternate_flip=True)
    batches = TrainBatches(pictures.on(location=location), order, alternating)
    usual = TrainBatches(pictures.on(), order, plain)
    flips = torch.full((6, 50), -1)
    for step in range(30):
        inputs, draws = batches.inputs([step]).step(0), usual.inputs([step]).step(0).draws
        assert inputs.draws is not None
        assert draws is not None
        flips[step // 5, inputs.indices] = inputs.draws.flip
        # All else is drawn as without it.
        assert torch.equal(inputs.draws.top, draws.top)
        assert torch.equal(inputs.draws.left, draws.left)
    assert (flips[:, 5:45].sum(1) - 20).abs().max() < 10
    assert torch.equal(flips[0], flips[2])
    assert torch.equal(flips[0, 5:45] + flips[1, 5:45], torch.ones(40, dtype=torch.long))
    # The flip is made of this number: the batch has the mirrored images.
    inputs = batches.inputs([7]).step(0)
    expected = pictures.on().batch(inputs.indices, plain, inputs.draws)[0]
    assert torch.equal(batches.batch(7)[0], expected)


def test_an_alternating_flip_follows_epochs_that_are_limited() -> None:
    alternating = Augmentation(flip=True, alternate_flip=True)
    order = BatchOrder(torch.arange(40), 8, 11)
    batches = TrainBatches(Pictures(1).on(), order, alternating, steps_per_epoch=2)
    first = batches.augmentation.first_flips(11, 50)  # type: ignore[union-attr]
    inputs = batches.inputs(range(6))
    assert inputs.draws is not None
    epochs = torch.tensor([0, 0, 1, 1, 2, 2])[:, None]
    assert torch.equal(inputs.draws.flip, (first[inputs.indices] + epochs) % 2)


def test_without_augmentation_batches_are_the_images() -> None:
    pictures = Pictures(1)
    batches = train_batches(pictures, augmentation=Augmentation())
    plain = pictures.on().batch(batches.order.batch_indices(3))
    for ours, theirs in zip(batches.batch(3), plain, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("world_size", [1, 3])
def test_evaluation_sees_every_image_once(world_size: int) -> None:
    pictures = Pictures(1)
    indices = torch.arange(3, 26)
    seen: list[Tensor] = []
    for rank in range(world_size):
        batches = EvalBatches(pictures.on(), indices, 4, rank, world_size)
        for _ in range(2):
            found = list(batches)
            assert len(found) == len(batches)
            assert [len(labels) for _, labels in found[:-1]] == [4] * (len(found) - 1)
        seen += [image for images, _ in found for image in images]
    expected = [pictures.normalised(image) for image in pictures.images[3:26]]
    assert sorted(image.numpy().tobytes() for image in seen) == sorted(
        e.tobytes() for e in expected
    )


@pytest.mark.parametrize(
    ("image_bytes", "free_bytes", "where"),
    [
        (47_040_000, 22 * GIB, "device"),
        (4 * GIB, 8 * GIB, "device"),
        (4 * GIB, 8 * GIB - 1, "host"),
        (30 * GIB, 22 * GIB, "host"),
        (1, 0, "host"),
    ],
)
def test_placement(image_bytes: int, free_bytes: int, where: str) -> None:
    assert placement(image_bytes, free_bytes) == where


def test_a_memory_map_is_neither_copied_nor_complained_about(tmp_path: object) -> None:
    path = f"{tmp_path}/images.npy"
    np.save(path, Pictures(1).images)
    mapped = np.load(path, mmap_mode="c")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = DeviceImages(mapped, np.zeros(50, np.int64), [0.0], [1.0])
    before = float(images.batch(torch.tensor([1]))[0][0, 0, 0, 0])
    mapped[1, 0, 0, 0] = 255 - before
    assert float(images.batch(torch.tensor([1]))[0][0, 0, 0, 0]) == 255 - before


def test_a_mapped_file_that_was_cut_short_is_named(tmp_path: Path) -> None:
    """Reading on would be SIGBUS, which nothing catches."""
    path, moved = tmp_path / "train_images.npy", tmp_path / "moved.npy"
    np.save(path, Pictures(1).images)
    images = DeviceImages(np.load(path, mmap_mode="c"), np.zeros(50, np.int64), [0.0], [1.0])
    # As a cache that is deleted, or made anew: it stays whole to those who have it open.
    path.rename(moved)
    images.batch(torch.tensor([1]))
    os.truncate(moved, moved.stat().st_size - 1)
    with pytest.raises(UserError) as raised:
        # Of the first page, which can be read: a test that fails is not to kill pytest.
        images.batch(torch.tensor([0]))
    assert str(raised.value) == (
        f"{path} was cut short by another program while it was in use; start again: it is made"
        " again"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("location", [None, "device", "host"])
def test_cuda_makes_the_same_batches(location: str | None) -> None:
    pictures = Pictures(3)
    there = pictures.on("cuda", location)
    order = BatchOrder(torch.arange(5, 45), 8, 11, device=there.index_device)
    batches = TrainBatches(there, order, AUGMENTATION)
    for step in range(7):
        for ours, theirs in zip(
            batches.batch(step), train_batches(pictures).batch(step), strict=True
        ):
            assert ours.is_cuda
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-6, atol=1e-6)
