"""Answers and calibration against scikit-learn, torchmetrics and NumPy."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from convscope.diagnostics import Measured
from convscope.diagnostics.predictions import answers, calibration, to_predictions


@pytest.fixture
def scores() -> torch.Tensor:
    return 3 * torch.randn(500, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.randint(7, (500,), generator=torch.Generator().manual_seed(1))


def test_answers_are_those_of_a_softmax(scores: torch.Tensor, labels: torch.Tensor) -> None:
    found = to_predictions(answers(scores, labels))
    exponents = np.exp(scores.double().numpy())
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    own = probabilities[np.arange(500), labels]
    assert found.predicted.dtype == np.uint8
    assert (found.predicted == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(found.probability, own, rtol=1e-5)
    np.testing.assert_allclose(found.confidence, probabilities.max(axis=1), rtol=1e-5)
    assert found.loss.mean() == pytest.approx(log_loss(labels, probabilities), rel=1e-5)


def test_calibration_is_that_of_the_libraries(scores: torch.Tensor, labels: torch.Tensor) -> None:
    measured = calibration(to_predictions(answers(scores, labels)), labels.numpy())
    probabilities = scores.softmax(dim=1)
    error = multiclass_calibration_error(probabilities, labels, 7, n_bins=15, norm="l1")
    assert measured.values["ece"] == pytest.approx(float(error), abs=1e-6)
    brier = brier_score_loss(labels, probabilities.double(), scale_by_half=False)
    assert measured.values["brier"] == pytest.approx(brier, abs=1e-6)
    assert measured.arrays["calibration_images"].sum() == 500


def test_calibration_by_hand() -> None:
    """Two images with confidence 0.75, one of them right: accuracy 0.5, error 0.25."""
    scores = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log()
    measured = calibration(to_predictions(answers(scores, torch.tensor([0, 1]))), np.array([0, 1]))
    assert measured.values["ece"] == pytest.approx(0.25)
    # (0.25² + 0.25² + 0.75² + 0.75²) / 2
    assert measured.values["brier"] == pytest.approx(0.625)


def test_scores_that_are_no_numbers() -> None:
    found = to_predictions(answers(torch.tensor([[torch.nan, 1.0]]), torch.tensor([0])))
    assert calibration(found, np.array([0])) == Measured()


def test_a_certain_answer_of_the_only_class() -> None:
    found = to_predictions(answers(torch.tensor([[7.0]]), torch.tensor([0])))
    assert calibration(found, np.array([0])).values == {"ece": 0.0, "brier": 0.0}
