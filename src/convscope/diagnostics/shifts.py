"""Answers to shifted images: shift consistency, changes at one pixel, accuracy by shift."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from convscope.data.order import generator
from convscope.diagnostics.subject import Measured, Subject

_SHARE = 8
"""Random shifts are at most the image's shorter side over this: 3 pixels of 28, 4 of 32. As EQ-T
of Karras et al., "Alias-Free Generative Adversarial Networks" (2021); Chaman and Dokmanic
shift 32 pixels by up to 3, Zhang crops 224 of 256."""
_MAP_REACH = 4
"""Largest shift of the map of accuracy, in pixels: one period of a total stride of 8."""
_MAP_PASSES = 4
"""Forward passes of the map of accuracy, per image of the subject."""
_ONE_PIXEL = ((-1, 0), (1, 0), (0, -1), (0, 1))


def shifts(subject: Subject) -> Measured:
    """Measure how answers change when images move.

    A realistic shift fills the gap with black; a circular shift wraps around.

    - `shift_consistency`: share of images with the same predicted class under two random realistic
      shifts, each uniform in -s to s pixels on both axes, where s is an eighth of the shorter side
      but at least 1: Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019). There,
      the shifts are crops of a larger image and equal for all images of a batch; here, each image
      has shifts of its own.
    - `circular_consistency`: the same under circular shifts: Chaman and Dokmanic, "Truly
      Shift-Invariant Convolutional Neural Networks" (2021). No content is lost, so that a network
      with circular padding, no stride and global pooling has 1.
    - `shift_change`: share of images whose predicted class changes under a realistic shift of one
      pixel, mean of the four directions: P(top-1 change) of Azulay and Weiss, "Why do deep
      convolutional networks generalize so poorly to small image transformations?" (2019).
    - `shift_similarity`: mean cosine similarity of the class scores, before softmax, for the same
      four: after Mouton, Myburgh and Davel, "Stride and Translation Invariance in CNNs" (2020).
    - array `shift_accuracy` (2 r + 1, 2 r + 1): accuracy under a realistic shift by row - r pixels
      down and column - r right, r = min(s, 4), on some of the images, the same for all shifts.

    Random shifts do not depend on the run, the variant, the batch size or the device. Predicted
    classes are those of the run's test, with the mirror image where the test averages it. Where a
    class score is not finite, there are no values: the largest of several NaNs would never change.
    """
    images, labels = subject.images, subject.labels
    count, reach = len(images), max(1, min(images.shape[2:]) // _SHARE)
    drawn = torch.randint(-reach, reach + 1, (count, 4, 2), generator=generator("shifts", 0, 0))
    first, second, third, fourth = drawn.unbind(1)
    still = subject.scores
    moved = [_scores(subject, images, shift) for shift in (first, second)]
    rolled = [_scores(subject, images, shift, circular=True) for shift in (third, fourth)]
    by_one = {step: _scores(subject, images, torch.tensor(step)) for step in _ONE_PIXEL}
    if not all(scores.isfinite().all() for scores in (still, *moved, *rolled, *by_one.values())):
        return Measured()

    known = {(0, 0): still} | by_one
    steps = range(-min(reach, _MAP_REACH), min(reach, _MAP_REACH) + 1)
    some = subject.sample(_MAP_PASSES * count // max(1, len(steps) ** 2 - len(known)))
    answers = torch.stack(
        [
            known[down, right][some].argmax(1)
            if (down, right) in known
            else _scores(subject, images[some], torch.tensor((down, right))).argmax(1)
            for down in steps
            for right in steps
        ]
    )
    accuracy = (answers == labels[some]).float().mean(1).view(len(steps), len(steps))
    similarities = [cosine_similarity(still, scores) for scores in by_one.values()]
    return Measured(
        {
            "shift_change": 1 - sum(_agreement(still, one) for one in by_one.values()) / 4,
            "shift_similarity": min(1.0, torch.stack(similarities).mean().item()),
            "shift_consistency": _agreement(*moved),
            "circular_consistency": _agreement(*rolled),
        },
        {"shift_accuracy": accuracy.cpu().numpy()},
    )


def shifted(images: Tensor, shifts: Tensor, black: Tensor | None) -> Tensor:
    """Return images moved by whole pixels, each by a shift of its own.

    Args:
        images: (batch, channels, height, width).
        shifts: (batch, 2) int64, pixels down and right.
        black: (channels, 1, 1), fills the gap; None wraps the image around.
    """
    height, width = (torch.arange(side, device=images.device) for side in images.shape[2:])
    rows = (height - shifts[:, :1])[:, None, :, None]
    columns = (width - shifts[:, 1:])[:, None, None]
    from_rows, from_columns = rows % len(height), columns % len(width)
    # About 4 times as fast on a CPU as one indexing of both axes.
    moved = images.gather(2, from_rows.expand(images.shape))
    moved = moved.gather(3, from_columns.expand(images.shape))
    if black is None:
        return moved
    return torch.where((rows == from_rows) & (columns == from_columns), moved, black)


def _scores(subject: Subject, images: Tensor, shifts: Tensor, *, circular: bool = False) -> Tensor:
    """Return class scores (n, classes) of images moved by a shift each, or one for all."""
    black = None if circular else subject.black
    each = shifts.expand(len(images), 2).to(images.device)
    parts = zip(*(torch.split(one, subject.batch_size) for one in (images, each)), strict=True)
    return torch.cat([subject.class_scores(shifted(part, own, black)) for part, own in parts])


def _agreement(scores: Tensor, others: Tensor) -> float:
    """Return the share of images with the same predicted class."""
    return (scores.argmax(1) == others.argmax(1)).sum().item() / len(scores)
