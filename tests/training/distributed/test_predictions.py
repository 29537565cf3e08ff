"""Answers of a run on two devices, each of which tests every other image."""

import numpy as np

import convscope
from convscope.data.digits import load_digits
from convscope.runs.predictions import read_predictions
from convscope.training.request import RunRequest


def test_answers_are_in_the_order_of_the_images(trained: RunRequest) -> None:
    found = read_predictions(trained.directory.predictions)
    digits = load_digits()
    scores = convscope.load(trained.directory.path).scores(digits.test_images).numpy()
    assert found.predicted.tolist() == scores.argmax(axis=1).tolist()
    own = scores[np.arange(len(scores)), digits.test_labels]
    np.testing.assert_allclose(found.probability, own, atol=1e-6)
