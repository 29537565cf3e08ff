"""Diagnostics of a finished run: its best checkpoint measured on test images, and recorded."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from convscope.data.batches import DeviceImages, EvalBatches
from convscope.data.sources import load_recorded
from convscope.diagnostics.measures import MEASURES
from convscope.diagnostics.predictions import answers, calibration, to_predictions
from convscope.diagnostics.subject import Subject
from convscope.inference import TrainedVariant, load_run
from convscope.metrics import diagnostics
from convscope.runs.directory import RunDirectory
from convscope.runs.environment import source_versions
from convscope.runs.predictions import Predictions, read_predictions, write_predictions
from convscope.runs.record import RunRecord, read_record, utc_now, with_metrics
from convscope.runs.usage import data_usage
from convscope.training.devices import device_name, device_of
from convscope.training.diagnose import lacks_diagnostics
from convscope.training.record import amend_record
from convscope.training.tensorboard.diagnostics import diagnostic_pictures

MOST_IMAGES = 500
"""Largest number of test images at the level `standard`."""
_SAMPLES = 150
"""Training samples per test image, so that measuring takes less than a tenth of the training time:
a test image costs about 22 forward passes in 32 bits, a training sample 3 in 16 or 32 bits."""
_PIXELS = 50_000
"""Pixels of test images that are measured even after a short training, in about 2 s."""
_FEWEST_IMAGES = 5


def diagnose(folder: Path, level: str) -> RunRecord:
    """Measure what a finished run lacks, write what is found, and return its new record.

    Answers that an older run lacks are added to its predictions; its diagnostics are measured only
    if it has none at this level.

    Args:
        folder: of the run.
        level: `standard` measures on some of the test images, `full` on all.

    Raises:
        UserError: the run has no usable checkpoint, its images have changed, or a file cannot be
            written.
    """
    started = time.perf_counter()
    directory = RunDirectory(folder)
    record = read_record(directory.record)
    if directory.predictions.exists():
        _add_answers(directory, record)
        if not lacks_diagnostics(record, level):
            return record
    trained = load_run(folder, folder.parent)
    record = trained.record
    device = device_of(record)
    trained.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    source = load_recorded(record)
    images = DeviceImages(source.test_images, source.test_labels, source.mean, source.std, device)
    predictions = _predictions(directory, trained, images)
    tested = len(predictions.predicted)
    count = _subset_size(record, tested) if level == "standard" else tested
    subject = _subject(trained, images, tested, count, is_sampled=level == "standard")
    results = [calibration(predictions, source.test_labels[:tested])]
    results += [measure(subject) for measure in MEASURES]
    values = {name: one for result in results for name, one in result.values.items()}
    arrays = {name: one for result in results for name, one in result.arrays.items()}
    about = {
        "level": level,
        "images": count,
        "seconds": round(time.perf_counter() - started, 3),
        "device": device_name(device.type),
        "torch": source_versions()["torch"],
        "measured_at": utc_now(),
    }

    return amend_record(
        directory,
        lambda record: with_metrics(record, diagnostics(), values, {"diagnostics": about}),
        arrays,
        diagnostic_pictures(arrays, trained.geometry),
    )


def _add_answers(directory: RunDirectory, record: RunRecord) -> None:
    """Add to predictions.npz of an older version which images are answered correctly."""
    known = read_predictions(directory.predictions)
    if known.correct is None:
        labels = load_recorded(record).test_labels[: len(known.predicted)]
        write_predictions(directory.predictions, replace(known, correct=known.predicted == labels))


def _predictions(
    directory: RunDirectory, trained: TrainedVariant, images: DeviceImages
) -> Predictions:
    """Return the run's answers in its test; those of older runs are computed, and written."""
    if directory.predictions.exists():
        return read_predictions(directory.predictions)
    record = trained.record
    tested = data_usage(record)["test"] or len(images)
    batches = EvalBatches(images, torch.arange(tested), record.config["data"]["batch_size"])
    mixed = record.environment["precision"] == "bf16-mixed"
    with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, mixed):
        rows = [answers(trained.class_scores(batch), labels) for batch, labels in batches]
    predictions = to_predictions(torch.cat(rows))
    write_predictions(directory.predictions, predictions)
    return predictions


def _subset_size(record: RunRecord, tested: int) -> int:
    """Return the number of test images for `standard`, equal for all variants of a study."""
    steps = data_usage(record)["steps"] or 0
    trained: int = steps * record.config["data"]["batch_size"]
    _, height, width = record.dataset["input_shape"]
    affordable: int = max(trained // _SAMPLES, _PIXELS // (height * width), _FEWEST_IMAGES)
    return min(MOST_IMAGES, affordable, tested)


def _subject(
    trained: TrainedVariant, images: DeviceImages, tested: int, count: int, *, is_sampled: bool
) -> Subject:
    """Return a run's network with `count` of the tested images, evenly spaced among them."""
    # Evenly spaced: in an image_folder, the images of a class follow each other.
    pixels, labels = images.batch(torch.arange(count) * tested // count)
    black = -torch.tensor(trained.mean) / torch.tensor(trained.std)
    return Subject(
        trained.network,
        trained.geometry,
        pixels,
        labels,
        black[:, None, None].to(images.device),
        trained.record.config["data"].get("test_flip", False),
        is_sampled,
    )
