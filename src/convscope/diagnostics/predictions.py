"""A network's answers on test images, and how well its confidence fits them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from convscope.diagnostics.subject import Measured
from convscope.runs.predictions import Predictions

BINS = 15
"""Bins of the expected calibration error, as in Guo et al. (2017)."""


def answers(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the values of `Predictions`, (batch, 6) float32, of class scores (batch, classes)."""
    scores = scores.float()
    log_probabilities = scores.log_softmax(dim=1)
    loss = functional.nll_loss(log_probabilities, labels, reduction="none")
    probabilities = log_probabilities.exp()
    predicted = scores.argmax(dim=1)
    target = functional.one_hot(labels, scores.shape[1])
    columns = (
        predicted.float(),
        (-loss).exp(),
        loss,
        probabilities.gather(1, predicted[:, None])[:, 0],
        (probabilities - target).square().sum(dim=1),
        (predicted == labels).float(),
    )
    return torch.stack(columns, dim=1)


def to_predictions(rows: Tensor) -> Predictions:
    """Return rows as `answers` makes them, of all test images, as arrays."""
    predicted, *others, correct = rows.T.cpu().contiguous().numpy()
    classes = np.min_scalar_type(int(predicted.max(initial=0)))
    probability, loss, confidence, brier = others
    return Predictions(
        *(predicted.astype(classes), probability, loss, confidence, brier), correct.astype(bool)
    )


def calibration(predictions: Predictions, labels: NDArray[np.integer]) -> Measured:
    """Measure how well confidence fits accuracy: expected calibration error and Brier score.

    The error is the mean over images of |accuracy - confidence| of their bin, among 15 bins of
    equal width, which include their upper limit only: Guo, Pleiss, Sun and Weinberger, "On
    Calibration of Modern Neural Networks" (2017). The score: Brier, "Verification of Forecasts
    Expressed in Terms of Probability" (1950). Both are left out where a confidence is not finite.

    Args:
        predictions: of the whole test.
        labels: (n,) true classes.
    """
    confidence = predictions.confidence.astype(np.float64)
    if not np.isfinite(confidence).all():
        return Measured()
    is_right = predictions.predicted == labels
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
    images = np.bincount(bins, minlength=BINS)
    right = np.bincount(bins, is_right, minlength=BINS)
    confident = np.bincount(bins, confidence, minlength=BINS)
    return Measured(
        {
            "ece": float(np.abs(right - confident).sum() / len(labels)),
            "brier": float(predictions.brier.mean(dtype=np.float64)),
        },
        {
            "calibration_images": images,
            "calibration_right": right.astype(np.int64),
            "calibration_confidence": confident / np.maximum(images, 1),
        },
    )
