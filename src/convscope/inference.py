"""Classification of images by the trained network of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from convscope.checkpoint import read_best
from convscope.data.augment import mean_with_mirrored
from convscope.data.pixels import fit_to_input
from convscope.errors import UserError
from convscope.geometry import NetworkGeometry, network_geometry
from convscope.metrics import describe
from convscope.modules import build_network
from convscope.runs.directory import RunDirectory
from convscope.runs.pack import require_folder
from convscope.runs.record import RunRecord, current_record, record_errors
from convscope.runs.study import find_run
from convscope.text import size
from convscope.variant import recorded_graph

Picture = str | Path | Image.Image
"""An image file, or an image that Pillow has opened: of any size, grey or in colour."""
Pictures = Picture | Sequence[Picture] | NDArray[np.uint8] | Tensor
"""One image or several; arrays have the shape ([batch,] height, width[, channels])."""


@dataclass(frozen=True, repr=False)
class TrainedVariant:
    """A trained network in evaluation mode, with its preprocessing.

    Attributes:
        network: maps preprocessed images to class scores.
        record: the run's record.
        mean, std: normalisation per channel, on the scale of 0 to 255.
        classes: names, indexed by label.
        input_shape: (channels, height, width).
        geometry: of the network's layers.
    """

    network: nn.Module
    record: RunRecord
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    geometry: NetworkGeometry

    def __repr__(self) -> str:
        """Show the run's name, its test accuracy, the input's size and the number of classes."""
        return (
            f"<TrainedVariant {self.record.name}:"
            f" {describe(self.record.metrics, 'test_accuracy')},"
            f" input {size(self.input_shape)}, {len(self.classes)} classes>"
        )

    def preprocess(self, images: Pictures) -> Tensor:
        """Normalise images as in training.

        Args:
            images: files and Pillow images are scaled and cropped to the input's size, and made
                grey if the input is; arrays are uint8 and have that size.

        Returns:
            Shape (batch, channels, height, width), float32.

        Raises:
            UserError: another type or shape, or a file that is not an image.
        """
        pixels = self._pixels(images)
        # Bit-equal to `DeviceImages`.
        scale = (1 / torch.tensor(self.std, dtype=torch.float64)).float()
        return ((pixels.float() - torch.tensor(self.mean)) * scale).permute(0, 3, 1, 2)

    def _pixels(self, images: Pictures) -> Tensor:
        """Return images as uint8 of shape (batch, height, width, channels)."""
        if not isinstance(images, np.ndarray | Tensor):
            return self._fitted(images)
        if isinstance(images, np.ndarray):
            # PyTorch refuses negative strides and warns of read-only arrays.
            images = np.require(images, requirements=["C", "W"])
        channels, height, width = self.input_shape
        shape = tuple(images.shape)
        try:
            pixels = torch.as_tensor(images)
        except TypeError as error:
            raise self._wrong_array(f"{images.dtype} of shape {shape}") from error
        if channels == 1 and shape[-1:] != (1,):
            pixels = pixels[..., None]
        if pixels.ndim == 3:
            pixels = pixels[None]
        if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != (height, width, channels):
            raise self._wrong_array(f"{pixels.dtype} of shape {shape}")
        return pixels

    def _fitted(self, images: Picture | Sequence[Picture]) -> Tensor:
        several = images if isinstance(images, list | tuple) else [images]
        for image in several:
            if not isinstance(image, Picture):
                raise UserError(
                    "images must be paths, PIL images or a list of them, or a uint8 array,"
                    f" got {type(image).__name__}"
                )
        channels, height, width = self.input_shape
        pixels = np.empty((len(several), height, width, channels), np.uint8)
        for number, image in enumerate(several):
            pixels[number] = fit_to_input(image, self.input_shape)
        return torch.from_numpy(pixels)

    def _wrong_array(self, got: str) -> UserError:
        channels, height, width = self.input_shape
        return UserError(
            f"images must be uint8 of shape (batch, {height}, {width}, {channels}), got {got}"
        )

    @torch.inference_mode()
    def scores(self, images: Pictures) -> Tensor:
        """Return class probabilities, shape (batch, classes), in the precision of the training.

        Args:
            images: as for `preprocess`.
        """
        mixed = self.record.environment["precision"] == "bf16-mixed"
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            scores = self.class_scores(self.preprocess(images))
        return scores.float().softmax(dim=1)

    def class_scores(self, inputs: Tensor) -> Tensor:
        """Return class scores (batch, classes) of preprocessed images, as in the run's test."""
        if self.record.config["data"].get("test_flip"):
            return mean_with_mirrored(self.network, inputs)
        scores: Tensor = self.network(inputs)
        return scores

    def predict(self, images: Pictures) -> list[str]:
        """Return the name of the most probable class of each image."""
        return [self.classes[label] for label in self.scores(images).argmax(dim=1).tolist()]


def load_run(run: str | Path | RunRecord, output_dir: str | Path) -> TrainedVariant:
    """Load the trained network of a finished run; see `convscope.load`."""
    directory = _directory(run, output_dir)
    require_folder(directory.path)
    record = current_record(directory.path)
    if record.status == "pruned":
        raise UserError(
            f"{directory.path} is pruned: {record.reason}\n{record.command} trains it to its end"
        )
    if record.status != "finished":
        raise UserError(f"{directory.path} is {record.status}: it has no trained network to load")
    weights = read_best(directory, record.id)["state_dict"]
    with record_errors(record):
        try:
            return _variant(record, weights)
        except RuntimeError as error:
            raise UserError(
                f"{directory.best} does not fit the network of {directory.record};"
                " add rerun=true to train it anew"
            ) from error


def _variant(record: RunRecord, weights: Mapping[str, Tensor]) -> TrainedVariant:
    data: dict[str, Any] = record.dataset
    channels, height, width = data["input_shape"]
    geometry = network_geometry(recorded_graph(record), (channels, height, width))
    # On "meta", without memory: a damaged record may describe a huge network.
    with torch.device("meta"):
        network = build_network(geometry)
    state = {name.removeprefix("network."): value for name, value in weights.items()}
    network.load_state_dict(state, assign=True)
    if any(buffer.is_meta for buffer in network.buffers()):
        # What a checkpoint does not have, such as a blur's filter, comes from the constructor.
        with torch.random.fork_rng(devices=[]):
            network = build_network(geometry)
        network.load_state_dict(state)
    return TrainedVariant(
        network.eval(),
        record,
        tuple(data["mean"]),
        tuple(data["std"]),
        tuple(data["classes"]),
        tuple(data["input_shape"]),
        geometry,
    )


def _directory(run: str | Path | RunRecord, output_dir: str | Path) -> RunDirectory:
    if isinstance(run, RunRecord):
        folder = run.path or Path(run.config["output_dir"]) / run.study / run.name
        return RunDirectory(folder)
    return find_run(run, Path(output_dir))
