"""The trained run's part of the page: conv1's filters and some test images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.checkpoint import read_best
from convscope.data.images import Images
from convscope.data.sources import load
from convscope.errors import UserError
from convscope.geometry import ConvSpec, convs_from_config
from convscope.runs.directory import RunDirectory
from convscope.runs.record import RunRecord, current_record, record_errors

_WEIGHT = "network.features.conv1.weight"
_MOST_FILTERS = 64
_FILTER_BYTES = 90_000
_MOST_IMAGES = 6
_LARGEST_SIDE = 64


@dataclass(frozen=True)
class Trained:
    """A trained run's part of the page.

    Attributes:
        conv: the run's conv1.
        content: values for JSON; arrays are base64: `filters` float32 (n, channels, height, width),
            each of `images` uint8 (height, width, channels).
    """

    conv: ConvSpec
    content: dict[str, Any]


def read_trained(run: Path) -> Trained:
    """Read a test image of each of the first classes, and conv1 of the best checkpoint.

    Images larger than 64 pixels are cropped to the middle. The first filters that fit on the page
    are taken.

    Raises:
        UserError: the checkpoint is missing or damaged, or the data are not those of the run.
    """
    record = current_record(run)
    filters = _filters(RunDirectory(run), record)
    with record_errors(record):
        conv = convs_from_config(record.config["conv"])[0]
    count = min(len(filters), _MOST_FILTERS, _FILTER_BYTES // filters[0].nbytes)
    if count == 0:
        raise UserError(f"{run}: one filter of conv1 has {filters[0].size:,} weights, too many")
    content = {
        "name": record.name,
        "filters_in_all": len(filters),
        "shape": [count, *filters.shape[1:]],
        "filters": _base64(filters[:count]),
        **_shown(_images(record)),
    }
    return Trained(conv=conv, content=content)


def _filters(directory: RunDirectory, record: RunRecord) -> NDArray[np.float32]:
    if not directory.best.is_file():
        raise UserError(
            f"{directory.path} has no trained filters ({record.status}): "
            f"{directory.best.relative_to(directory.path)} is missing"
        )
    state = read_best(directory, record.id)["state_dict"]
    try:
        weight: NDArray[np.float32] = state[_WEIGHT].float().numpy()
    except (AttributeError, LookupError, TypeError) as error:
        raise UserError(f"{directory.best} has no weights of conv1") from error
    if not np.isfinite(weight).all():
        raise UserError(f"{directory.best}: conv1's weights are not finite, the training diverged")
    return weight


def _images(record: RunRecord) -> Images:
    """Return the images that the run was trained on, if they are still there unchanged."""
    with record_errors(record):
        data = record.config["data"]
        source = data["name"], data["root"], data["image_size"], data.get("cache")
    images = load(*source)
    if images.fingerprint != record.dataset["fingerprint"]:
        raise UserError(
            f"the {images.name} images under data.root={data['root']} are not those that "
            f"{record.name} was trained on"
        )
    return images


def _shown(images: Images) -> dict[str, Any]:
    _, first = np.unique(images.test_labels, return_index=True)
    chosen = [int(index) for index in first[:_MOST_IMAGES]]
    height, width = images.test_images.shape[1:3]
    rows, columns = _middle(height), _middle(width)
    cropped = images.test_images[chosen][:, rows, columns]
    return {
        "dataset": images.name,
        "full_size": [height, width],
        "size": list(cropped.shape[1:3]),
        "mean": images.mean,
        "std": images.std,
        "images": [
            {"label": images.classes[images.test_labels[index]], "pixels": _base64(pixels)}
            for index, pixels in zip(chosen, cropped, strict=True)
        ],
    }


def _middle(size: int) -> slice:
    kept = min(size, _LARGEST_SIDE)
    start = (size - kept) // 2
    return slice(start, start + kept)


def _base64(array: NDArray[Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")
