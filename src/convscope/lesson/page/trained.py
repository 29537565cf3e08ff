"""The trained run's part of the page: filters of a layer that reads the image, and test images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from convscope.checkpoint import read_best
from convscope.data.images import Images
from convscope.data.sources import load_recorded
from convscope.errors import UserError
from convscope.geometry import Graph, Shape, central_field, network_geometry
from convscope.lesson.page.layer import PageLayer, page_layer
from convscope.runs.directory import RunDirectory
from convscope.runs.predictions import read_arrays
from convscope.runs.record import RunRecord, current_record, record_errors, run_folder
from convscope.text import size
from convscope.variant import recorded_graph

_PREFIXES = ("network.features", "network")
"""Of weights in a checkpoint: in networks made from a graph, and in foreign ones."""
_MOST_FILTERS = 64
_FILTER_BYTES = 72_000
_MOST_IMAGES = 6
_LARGEST_SIDE = 64
_REACH = 3
"""Pixels by which an image is shifted, at most, for the network's answers."""
_ANSWERS = 3
"""Classes that an answer has."""


@dataclass(frozen=True)
class Trained:
    """A trained run's part of the page.

    Attributes:
        layer: a layer of the run's network.
        content: values for JSON; arrays are base64: `filters` float32 (n, channels, height, width),
            each of `images` uint8 (height, width, channels). `answers` of a finished run has the
            most probable classes as (name, probability), per image and shift, row by row;
            `effective`, if it was measured, is the effective receptive field, see `_effective`.
            None if the page cannot show the layer's filters.
        reason: why it cannot.
    """

    layer: PageLayer
    content: dict[str, Any] | None = None
    reason: str | None = None


def read_trained(run: Path, layer: str | None = None) -> Trained:
    """Read a test image of each of the first classes, and a layer of the best checkpoint.

    Images larger than 64 pixels are cropped to the middle. The first filters that fit on the page
    are taken.

    Args:
        run: the run's folder.
        layer: name of the layer; by default the first varied one.

    Raises:
        UserError: the network has no such layer, the checkpoint is missing or damaged, or the data
            are not those of the run.
    """
    record = current_record(run)
    with record_errors(record):
        graph = recorded_graph(record)
        channels, height, width = record.dataset["input_shape"]
    name = layer or graph.varied[0]
    shown = page_layer(graph, (channels, height, width), name, record.name)
    if shown.groups != 1 or not graph.reads_image(name):
        why = {None: "has no weights", 1: "does not read the image"}.get(shown.groups, "has groups")
        return Trained(shown, reason=f"no trained filters: {name} {why}; the input is numbers")
    filters = _filters(RunDirectory(run), record, name)
    count = min(len(filters), _MOST_FILTERS, _FILTER_BYTES // filters[0].nbytes)
    if count == 0:
        raise UserError(f"{run}: one filter of {name} has {filters[0].size:,} weights, too many")
    content = {
        "name": record.name,
        "filters_in_all": len(filters),
        "shape": [count, *filters.shape[1:]],
        "filters": _base64(filters[:count]),
        **_shown(images := load_recorded(record)),
        "answers": _answers(record, images) if record.status == "finished" else None,
        "effective": _effective(RunDirectory(run), record, graph, (channels, height, width)),
    }
    return Trained(shown, content)


def _filters(directory: RunDirectory, record: RunRecord, layer: str) -> NDArray[np.float32]:
    if not directory.best.is_file():
        raise UserError(
            f"{directory.path} has no trained filters ({record.status}): "
            f"{directory.best.relative_to(directory.path)} is missing"
        )
    state = read_best(directory, record.id)["state_dict"]
    try:
        names = [f"{prefix}.{layer}.weight" for prefix in _PREFIXES]
        (found,) = [state[name] for name in names if name in state]
        weight: NDArray[np.float32] = found.float().numpy()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{directory.best} has no weights of {layer}") from error
    if not np.isfinite(weight).all():
        raise UserError(
            f"{directory.best}: {layer}'s weights are not finite, the training diverged"
        )
    return weight


def _answers(record: RunRecord, images: Images) -> list[list[list[tuple[str, float]]]]:
    """Return the network's answers to the page's images, moved by up to 3 pixels either way."""
    # Imports PyTorch.
    from convscope.inference import load_run

    trained = load_run(record, run_folder(record).parent)

    def best(probabilities: NDArray[np.float32]) -> list[tuple[str, float]]:
        labels = np.argsort(-probabilities, kind="stable")[:_ANSWERS]
        return [(trained.classes[at], round(float(probabilities[at]), 4)) for at in labels]

    moved = (_moved(images.test_images[index]) for index in _chosen(images))
    return [[best(one) for one in trained.scores(several).numpy()] for several in moved]


def _effective(
    directory: RunDirectory, record: RunRecord, graph: Graph, input_shape: Shape
) -> dict[str, Any] | None:
    """Return the effective receptive field in the part of the image that the page shows.

    `contributions` are the square roots of shares of the largest, 0 to 255. The first and last
    edges of the theoretical field's part on the image are `field`, those of the square with half of
    all contributions `square`, as (row, column).
    """
    side, share = record.metrics.get("erf_side"), record.metrics.get("erf_share")
    if side is None or share is None or not directory.diagnostics.exists():
        return None
    geometry = network_geometry(graph, input_shape)
    contributions = read_arrays(directory.diagnostics).get("erf")
    image = geometry.input_shape[1:]
    if (
        contributions is None
        or contributions.shape != image
        or not 0 < contributions.max() < np.inf
    ):
        raise UserError(f"{directory.diagnostics} is damaged: it has no erf of {size(image)}")
    part = tuple(_middle(length) for length in image)
    starts = np.array([one.start for one in part])
    field = np.array([(pixels.start, pixels.stop) for pixels in central_field(geometry)]).T
    middle, reach = field.mean(axis=0), np.array([[-side / 2], [side / 2]])
    shades = np.sqrt(np.clip(contributions[part] / contributions.max(), 0, 1))
    return {
        "contributions": _base64(np.round(255 * shades).astype(np.uint8)),
        "field": (field - starts).tolist(),
        "square": (middle + reach - starts).tolist(),
        "side": side,
        "share": share,
        "receptive_field": geometry.receptive_field,
        "map": geometry.final_map,
    }


def _moved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (height, width, channels) at all shifts, row by row; black comes in."""
    height, width, channels = image.shape
    around = ((_REACH, _REACH), (_REACH, _REACH), (0, 0))
    windows = sliding_window_view(np.pad(image, around), image.shape)
    # The window that begins in the first row shows the image moved down the most.
    return windows[::-1, ::-1].reshape(-1, height, width, channels)


def _chosen(images: Images) -> list[int]:
    """Return the test images that the page shows: one of each of the first classes."""
    _, first = np.unique(images.test_labels, return_index=True)
    return [int(index) for index in first[:_MOST_IMAGES]]


def _shown(images: Images) -> dict[str, Any]:
    chosen = _chosen(images)
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
