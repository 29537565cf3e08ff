"""Shift consistency and changes at one pixel: by hand, by plain loops, and exact cases."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convscope.diagnostics import Subject
from convscope.diagnostics.shifts import shifted, shifts

from .subjects import geometry_of, single_conv, subject_of

CIRCULAR = ("conv.padding_mode=circular", "conv.padding=half", "model.pool_after=[]")


def moved_by_hand(image: Tensor, down: int, right: int, black: Tensor | None) -> Tensor:
    """A shifted image, pixel by pixel."""
    channels, height, width = image.shape
    moved = image.clone()
    for row in range(height):
        for column in range(width):
            from_row, from_column = row - down, column - right
            for channel in range(channels):
                if black is None:
                    value = image[channel, from_row % height, from_column % width]
                elif 0 <= from_row < height and 0 <= from_column < width:
                    value = image[channel, from_row, from_column]
                else:
                    value = black[channel, 0, 0]
                moved[channel, row, column] = value
    return moved


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (3, 3)])
def test_each_image_moves_by_its_own_shift(size: tuple[int, int]) -> None:
    images, black = torch.randn(4, 2, *size), torch.tensor([-0.5, -0.2])[:, None, None]
    by = torch.tensor([[0, 0], [1, -2], [-3, 3], [2, 0]])
    for fill in (black, None):
        found = shifted(images, by, fill)
        for image, (down, right), one in zip(images, by.tolist(), found, strict=True):
            assert torch.equal(one, moved_by_hand(image, down, right, fill))


def test_a_circular_network_without_stride_gives_the_same_answers() -> None:
    subject = subject_of(geometry_of(*CIRCULAR, "model.channels=[8,8]"), 200)
    assert len(set(subject.scores.argmax(1).tolist())) > 5
    values = shifts(subject).values
    assert values["circular_consistency"] == 1
    assert values["shift_consistency"] < 1
    # With a black frame, a realistic shift is a circular one.
    subject.images[:] = subject.black
    subject.images[..., 3:-3, 3:-3] = torch.randn(200, 1, 22, 22)
    vars(subject).pop("scores")
    values = shifts(subject).values
    assert values["shift_consistency"] == values["circular_consistency"] == 1
    assert values["shift_change"] == 0
    assert 1 - 1e-6 < values["shift_similarity"] <= 1


class TopLeft(nn.Module):
    """Scores of two classes: the top left pixel, and 0.5."""

    def forward(self, images: Tensor) -> Tensor:
        pixel = images[:, 0, 0, 0]
        return torch.stack([pixel, torch.full_like(pixel, 0.5)], 1)


def by_hand() -> Subject:
    images = torch.tensor([[[[1.0, 0], [0, 0]]], [[[1.0, 1], [1, 1]]]])
    subject = single_conv(torch.ones(1, 1, 1, 1), images, 1)
    return replace(
        subject,
        network=TopLeft(),
        labels=torch.zeros(2, dtype=torch.long),
        black=torch.zeros(1, 1, 1),
    )


def test_two_images_by_hand() -> None:
    values, arrays = shifts(by_hand())
    # The first image's only white pixel leaves the corner in all four directions; in the second,
    # black comes into the corner from above and from the left.
    assert values["shift_change"] == 6 / 8
    changed = 0.5 * 0.5 / (0.5 * math.sqrt(1.25))
    assert values["shift_similarity"] == pytest.approx((6 * changed + 2) / 8, abs=1e-7)
    assert arrays["shift_accuracy"].tolist() == [[0.5, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]


def drawn(images: int, reach: int) -> list[list[list[int]]]:
    """The random shifts, as their documentation says."""
    seed = int.from_bytes(hashlib.blake2b(b"shifts 0 0", digest_size=8).digest(), "big")
    source = torch.Generator().manual_seed(seed)
    return torch.randint(-reach, reach + 1, (images, 4, 2), generator=source).tolist()


@pytest.mark.parametrize(
    ("typed", "reach"),
    [
        (("model.channels=[4,8]", "conv.stride=2"), 3),
        (("data=cifar10", "model=wide", "model.channels=[4,8,8]", "conv.padding=0"), 4),
    ],
)
def test_against_plain_loops(typed: tuple[str, ...], reach: int) -> None:
    subject = subject_of(geometry_of(*typed), 24, is_sampled=True)
    network, black = subject.network, subject.black

    def scores(image: Tensor, down: int, right: int, fill: Tensor | None) -> Tensor:
        with torch.no_grad():
            return network(moved_by_hand(image, down, right, fill)[None])[0]

    consistent, circular, changes, similarities = [], [], [], []
    for image, draws in zip(subject.images, drawn(24, reach), strict=True):
        a, b, c, d = draws
        consistent.append(scores(image, *a, black).argmax() == scores(image, *b, black).argmax())
        circular.append(scores(image, *c, None).argmax() == scores(image, *d, None).argmax())
        still = scores(image, 0, 0, black)
        for step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            other = scores(image, *step, black)
            changes.append(still.argmax() != other.argmax())
            similarities.append(still @ other / still.norm() / other.norm())
    steps = range(-reach, reach + 1)
    chosen = 4 * 24 // (len(steps) ** 2 - 5)
    indices = [index * 24 // chosen for index in range(chosen)]
    accuracy = [
        [
            np.mean(
                [
                    scores(subject.images[index], down, right, black).argmax().item()
                    == subject.labels[index].item()
                    for index in indices
                ]
            )
            for right in steps
        ]
        for down in steps
    ]
    values, arrays = shifts(subject)
    assert values == pytest.approx(
        {
            "shift_consistency": float(np.mean(consistent)),
            "circular_consistency": float(np.mean(circular)),
            "shift_change": float(np.mean(changes)),
            "shift_similarity": float(np.mean(similarities)),
        },
        abs=1e-6,
    )
    assert 0 < values["shift_change"] < 1
    np.testing.assert_allclose(arrays["shift_accuracy"], accuracy, atol=1e-6)


def test_neither_batches_nor_other_networks_change_the_shifts() -> None:
    geometry = geometry_of("model.channels=[4,8]", "conv.stride=2")
    whole, parts = subject_of(geometry, 30), subject_of(geometry, 30)
    vars(parts)["batch_size"] = 7
    assert shifts(parts).values == pytest.approx(shifts(whole).values, abs=1e-6)


def test_answers_are_those_of_the_test_with_mirror_images() -> None:
    class Averaged(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (subject.network(images) + subject.network(images.flip(3))) / 2

    subject = subject_of(geometry_of("model.channels=[4,8]"), 30, test_flip=True)
    wrapped = replace(subject, network=Averaged(), test_flip=False)
    found, expected = shifts(subject), shifts(wrapped)
    assert found.values == pytest.approx(expected.values, abs=1e-6)
    assert found.values != shifts(replace(subject, test_flip=False)).values
    assert (found.arrays["shift_accuracy"] == expected.arrays["shift_accuracy"]).all()


@pytest.mark.parametrize(
    ("shape", "side"), [((3, 1, 1), 3), ((1, 9, 40), 3), ((1, 40, 17), 5), ((3, 200, 200), 9)]
)
def test_images_of_any_size(shape: tuple[int, int, int], side: int) -> None:
    subject = single_conv(torch.randn(2, shape[0], 1, 1), torch.randn(3, *shape), 1)
    values, arrays = shifts(subject)
    assert set(values) == {
        "shift_change",
        "shift_similarity",
        "shift_consistency",
        "circular_consistency",
    }
    assert all(0 <= values[name] <= 1 for name in values if name != "shift_similarity")
    assert -1 <= values["shift_similarity"] <= 1
    assert arrays["shift_accuracy"].shape == (side, side)


def test_one_class_is_always_the_answer() -> None:
    subject = by_hand()

    class OneClass(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 1 + images.abs().mean((2, 3))

    values, arrays = shifts(replace(subject, network=OneClass()))
    assert values == {
        "shift_change": 0,
        "shift_similarity": 1,
        "shift_consistency": 1,
        "circular_consistency": 1,
    }
    assert (arrays["shift_accuracy"] == 1).all()


def test_scores_that_are_not_finite_are_not_consistent() -> None:
    subject = subject_of(geometry_of("model.channels=[4,8]"))
    with torch.no_grad():
        subject.network.get_parameter("features.conv2.weight")[0, 0, 0, 0] = torch.nan
    assert shifts(subject) == ({}, {})
