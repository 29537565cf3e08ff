"""predictions.npz: how the network of a run answered each test image."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.errors import UserError
from convscope.files import replace_file
from convscope.runs.pack import CORRECT, DAMAGED, is_packed, read_run_file

MAX_BYTES = 2**28
_ROUNDING = 1e-6
"""Relative difference of two probabilities of one score: exp of float32, by two functions."""
_SAME = 1e-3
"""Largest share of the images by which answers may differ from the recorded accuracy."""


@dataclass(frozen=True)
class Predictions:
    """A value per test image, (n,) each, in the test set's order.

    Attributes:
        predicted: the class with the highest score, as an integer.
        probability: of the true class, 0 to 1, float32.
        loss: cross-entropy, -log(probability), float32.
        confidence: probability of the predicted class, float32.
        brier: squared distance between the class probabilities and the true class, 0 to 2, float32.
        correct: whether the predicted class is the true one, bool; None in files of versions that
            did not write it.
    """

    predicted: NDArray[np.integer]
    probability: NDArray[np.float32]
    loss: NDArray[np.float32]
    confidence: NDArray[np.float32]
    brier: NDArray[np.float32]
    correct: NDArray[np.bool_] | None = None


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Replace predictions.npz atomically.

    Raises:
        UserError: the disk is full or not writable; the old content is intact.
    """
    arrays = asdict(predictions)
    write_arrays(path, {name: array for name, array in arrays.items() if array is not None})


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Replace an npz file atomically.

    Raises:
        UserError: the disk is full or not writable; the old content is intact.
    """
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    replace_file(path, content.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Return the content of predictions.npz.

    Raises:
        UserError: the file is missing or damaged.
    """
    arrays = read_arrays(path)
    try:
        values = {one.name: arrays[one.name] for one in fields(Predictions) if one.name in arrays}
        found = Predictions(**values)
    except TypeError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if len({(array.ndim, len(array)) for array in values.values() if array.ndim}) != 1:
        raise UserError(f"{path} is damaged: its arrays differ in length")
    return found


def read_answers(run: Path, accuracy: float) -> NDArray[np.bool_] | None:
    """Return whether a run is right on each test image, (n,); None if that is not known.

    Files of older versions lack `correct`. In them, an image whose true class is as probable as the
    predicted one is right, or the two classes tie. If as many images as the accuracy says are so,
    none is a tie.

    Args:
        run: folder of the run, which may be packed.
        accuracy: of the run in its test, from its record.
    """
    try:
        if is_packed(run):
            content = io.BytesIO(read_run_file(run / CORRECT, MAX_BYTES))
            right = np.load(content, allow_pickle=False)
        else:
            content = io.BytesIO(read_run_file(run / "predictions.npz", MAX_BYTES))
            with np.load(content, allow_pickle=False) as arrays:
                # Each member takes time: only what is needed is decompressed.
                if "correct" in arrays:
                    right = arrays["correct"]
                else:
                    right = arrays["probability"] >= arrays["confidence"] * (1 - _ROUNDING)
                    if np.count_nonzero(right) != round(accuracy * len(right)):
                        return None
    except (OSError, UserError, KeyError, *DAMAGED):
        return None
    is_known = right.dtype == bool and right.ndim == 1 and len(right) > 0
    # Answers that `--diagnose` added may come from another device, and differ on a few images.
    apart = abs(np.count_nonzero(right) - accuracy * len(right))
    return right if is_known and apart <= max(1, _SAME * len(right)) else None


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file, by name; no code in it is executed.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        content = read_run_file(path, MAX_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: {error}") from error
