"""A trained variant loaded again: the accuracy on record, and errors in the user's words."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import convscope
from convscope.errors import UserError
from convscope.inference import TrainedVariant
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.training.request import RunRequest
from convscope.training.train import train

Ask = Callable[..., RunRequest]


@pytest.fixture(scope="module", params=["32-true", "bf16-mixed"])
def request_run(
    request: pytest.FixtureRequest, ask: Ask, tmp_path_factory: pytest.TempPathFactory
) -> RunRequest:
    """Trained well enough that its classes are close together and not all one."""
    asked = ask(
        tmp_path_factory.mktemp("outputs"),
        "conv.stride=2",
        "optim.lr=0.05",
        "trainer.limit_train_batches=40",
        f"trainer.precision={request.param}",
        "study=sizes",
    )
    record = train(asked, lambda line: None)
    assert record.status == "finished", record.reason
    return asked


@pytest.fixture(scope="module")
def record(request_run: RunRequest) -> RunRecord:
    return read_record(request_run.directory.record)


@pytest.fixture(scope="module")
def variant(request_run: RunRequest) -> TrainedVariant:
    return convscope.load(request_run.directory.path)


@pytest.fixture(scope="module")
def images(request_run: RunRequest) -> NDArray[np.uint8]:
    """(360, 28, 28, 1): the test images as they are."""
    return request_run.images.test_images


def test_predictions_have_the_accuracy_on_record(
    request_run: RunRequest, record: RunRecord, variant: TrainedVariant, images: NDArray[np.uint8]
) -> None:
    names = [request_run.images.classes[label] for label in request_run.images.test_labels]
    right = sum(p == n for p, n in zip(variant.predict(images), names, strict=True))
    assert np.float32(right) / np.float32(len(names)) == record.metrics["test_accuracy"]
    assert right > len(names) / 2


def test_images_are_normalised_as_they_were_in_training(
    request_run: RunRequest, variant: TrainedVariant, images: NDArray[np.uint8]
) -> None:
    (mean,), (std,) = request_run.images.mean, request_run.images.std
    expected = (images[:5].astype(np.float64) - mean) / std
    made = variant.preprocess(images[:5])
    assert made.shape == (5, 1, 28, 28)
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.numpy()[:, 0], expected[..., 0], rtol=1e-5, atol=1e-6)


def test_one_image_many_images_arrays_and_tensors(
    variant: TrainedVariant, images: NDArray[np.uint8]
) -> None:
    expected = variant.predict(images[:3])
    assert variant.predict(images[:3, :, :, 0]) == expected
    assert variant.predict(torch.from_numpy(images[:3])) == expected
    assert variant.predict(images[0]) == expected[:1]
    assert variant.predict(images[0, :, :, 0]) == expected[:1]
    assert variant.predict(images[:0]) == []


def test_scores_are_probabilities(variant: TrainedVariant, images: NDArray[np.uint8]) -> None:
    scores = variant.scores(images[:7])
    assert scores.shape == (7, 10)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(7))
    assert not scores.requires_grad


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (np.zeros((2, 28, 28, 1), np.float32), "torch.float32 of shape (2, 28, 28, 1)"),
        (np.zeros((2, 28, 28, 3), np.uint8), "torch.uint8 of shape (2, 28, 28, 3)"),
        (np.zeros((2, 27, 28), np.uint8), "torch.uint8 of shape (2, 27, 28)"),
        (np.zeros((28,), np.uint8), "torch.uint8 of shape (28,)"),
        (np.zeros((2, 1, 28, 28), np.uint8), "torch.uint8 of shape (2, 1, 28, 28)"),
    ],
)
def test_other_images_are_refused(
    variant: TrainedVariant, made: NDArray[np.uint8], got: str
) -> None:
    expected = f"images must be uint8 of shape (batch, 28, 28, 1), got {got}"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        variant.predict(made)


def test_a_run_is_found_by_record_folder_study_and_name(
    request_run: RunRequest, record: RunRecord, images: NDArray[np.uint8]
) -> None:
    output_dir = request_run.directory.path.parents[1]
    for run in (record, record.path, f"sizes/{record.name}", record.name):
        assert run is not None
        assert convscope.load(run, output_dir).record == record


def test_a_record_loads_where_it_was_not_read_from_disk(
    request_run: RunRequest, record: RunRecord
) -> None:
    """As `convscope.train` returns it."""
    assert convscope.load(replace(record, path=None)).record == record


def test_a_run_that_did_not_finish_is_refused(record: RunRecord, tmp_path: Path) -> None:
    assert record.path is not None
    folder = tmp_path / record.name
    shutil.copytree(record.path, folder)
    failed = replace(record, status="failed", reason="a reason")
    write_record(folder / "run.json", failed)
    with pytest.raises(UserError, match="is failed: it has no trained network to load"):
        convscope.load(folder)
    write_record(folder / "run.json", record)
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"")
    with pytest.raises(UserError, match="cannot read .*best.ckpt: missing or damaged checkpoint"):
        convscope.load(folder)
    (folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(UserError, match="cannot read .*best.ckpt: missing or damaged checkpoint"):
        convscope.load(folder)
