"""Augmentation, image by image, against torchvision's functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as F

from convscope.data.augment import Augmentation, Draws, mean_with_mirrored

RANDOM = np.random.RandomState(3)


def draws(**columns: list[int]) -> Draws:
    size = len(next(iter(columns.values())))
    names = ("flip", "top", "left", "row", "column")
    return Draws(**{name: torch.tensor(columns.get(name, [0] * size)) for name in names})


def some_images(count: int, channels: int, height: int = 9, width: int = 12) -> Tensor:
    return torch.from_numpy(
        RANDOM.randint(0, 256, (count, height, width, channels)).astype(np.uint8)
    )


def planes(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("flip", "shift"), [(True, 0), (False, 3), (True, 2), (True, 10)])
def test_move_is_pad_crop_flip_of_each_image(channels: int, flip: bool, shift: int) -> None:
    images = some_images(64, channels)
    augmentation = Augmentation(flip=flip, shift=shift)
    drawn = augmentation.draw(seed=0, step=5, batch_size=64, height=9, width=12)
    expected = []
    for i, image in enumerate(planes(images)):
        padded = F.pad(image, [shift])
        cropped = F.crop(padded, int(drawn.top[i]), int(drawn.left[i]), 9, 12)
        expected.append(F.hflip(cropped) if flip and drawn.flip[i] else cropped)
    moved = augmentation.move(images.clone(), drawn)
    assert torch.equal(planes(moved), torch.stack(expected))
    assert moved.is_contiguous()


def test_shift_by_hand() -> None:
    image = torch.arange(1, 7, dtype=torch.uint8).view(1, 2, 3, 1)
    # Window at (0, 0) of the padded image: down and right by one, black comes in.
    moved = Augmentation(shift=1).move(image, draws(top=[0], left=[0]))
    assert moved[0, ..., 0].tolist() == [[0, 0, 0], [0, 1, 2]]
    moved = Augmentation(shift=1).move(image, draws(top=[2], left=[1]))
    assert moved[0, ..., 0].tolist() == [[4, 5, 6], [0, 0, 0]]


def test_scores_are_averaged_over_an_image_and_its_mirror_image() -> None:
    images = torch.tensor([[1.0, 2.0, 5.0], [0.0, 1.0, 0.0]]).view(2, 1, 1, 3)
    left = mean_with_mirrored(lambda inputs: inputs[:, 0, 0, :2], images)
    assert left.tolist() == [[3.0, 2.0], [0.0, 1.0]]


@pytest.mark.parametrize("cutout", [1, 2, 5, 40])
def test_cut_sets_a_clipped_square_of_each_image_to_zero(cutout: int) -> None:
    augmentation = Augmentation(cutout=cutout)
    drawn = augmentation.draw(seed=1, step=2, batch_size=32, height=9, width=12)
    pixels = some_images(32, 3).float() + 1
    expected = pixels.clone()
    for i in range(32):
        top = int(drawn.row[i]) - cutout // 2
        left = int(drawn.column[i]) - cutout // 2
        rows = slice(max(0, top), max(0, top + cutout))
        expected[i, rows, max(0, left) : max(0, left + cutout)] = 0
    assert torch.equal(augmentation.cut(pixels.clone(), drawn), expected)
    assert (expected == 0).any()


def test_cutout_by_hand() -> None:
    ones = torch.ones(1, 4, 4, 1)
    cut = Augmentation(cutout=2).cut(ones, draws(row=[1], column=[0]))
    # Rows 0 and 1; columns -1, which is outside, and 0.
    assert cut[0, ..., 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_draws_are_a_function_of_seed_and_step() -> None:
    augmentation = Augmentation(flip=True, shift=4, cutout=8)

    def drawn(seed: int, step: int) -> str:
        return str(augmentation.draw(seed, step, 16, 28, 28))

    forward = [drawn(0, step) for step in range(4)]
    torch.manual_seed(5)
    assert [drawn(0, step) for step in (3, 1, 0, 2)] == [forward[i] for i in (3, 1, 0, 2)]
    assert len({*forward, drawn(1, 0)}) == 5


def test_draws_cover_their_ranges_evenly() -> None:
    drawn = Augmentation(shift=2).draw(0, 0, 50_000, 28, 32)
    for column, size in (
        (drawn.flip, 2),
        (drawn.top, 5),
        (drawn.left, 5),
        (drawn.row, 28),
        (drawn.column, 32),
    ):
        counts = column.bincount()
        assert len(counts) == size
        # 6 standard deviations of a binomial count.
        expected = 50_000 / size
        assert (counts - expected).abs().max() < 6 * expected**0.5


def test_only_what_is_asked_for_happens() -> None:
    images = some_images(8, 1)
    off = Augmentation()
    drawn = Augmentation(flip=True, shift=3).draw(0, 0, 8, 9, 12)
    assert torch.equal(off.move(images, drawn), images)
    assert torch.equal(off.cut(images.float(), drawn), images.float())
