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
from convscope.runs.pack import read_run_file

MAX_BYTES = 2**28


@dataclass(frozen=True)
class Predictions:
    """A value per test image, (n,) each, in the test set's order.

    Attributes:
        predicted: the class with the highest score, as an integer.
        probability: of the true class, 0 to 1, float32.
        loss: cross-entropy, -log(probability), float32.
        confidence: probability of the predicted class, float32.
        brier: squared distance between the class probabilities and the true class, 0 to 2, float32.
    """

    predicted: NDArray[np.integer]
    probability: NDArray[np.float32]
    loss: NDArray[np.float32]
    confidence: NDArray[np.float32]
    brier: NDArray[np.float32]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Replace predictions.npz atomically.

    Raises:
        UserError: the disk is full or not writable; the old content is intact.
    """
    write_arrays(path, asdict(predictions))


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
        found = Predictions(**{one.name: arrays[one.name] for one in fields(Predictions)})
    except KeyError as error:
        raise UserError(f"{path} is damaged: it lacks {error}") from error
    if len({(array.ndim, len(array)) for array in asdict(found).values() if array.ndim}) != 1:
        raise UserError(f"{path} is damaged: its arrays differ in length")
    return found


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
