"""What a measure is given, a trained network with test images, and what it returns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convscope.data.augment import mean_with_mirrored
from convscope.geometry import NetworkGeometry
from convscope.modules import layer_outputs

_BATCH = 250
"""Most images of a forward pass."""
_BATCH_BYTES = 2**28
"""Most memory that the outputs of all conv, pool and blur layers take in a forward pass."""


class Measured(NamedTuple):
    """The result of a measure.

    Attributes:
        values: numbers by the name of their metric; without those that are undefined here.
        arrays: what the numbers are computed from, by name in `diagnostics.npz`.
    """

    values: Mapping[str, float] = {}
    arrays: Mapping[str, NDArray[Any]] = {}


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Return the finite values; a record, which is JSON, has no others."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Subject:
    """A trained network and test images, on one device, in float32.

    Attributes:
        network: images (batch, channels, height, width) to class scores (batch, classes); in
            evaluation mode.
        geometry: of its layers.
        images: (n, channels, height, width), normalised.
        labels: (n,) int64.
        black: (channels, 1, 1), a black pixel after normalisation; fills the gaps of shifts.
        test_flip: whether the run's test averages the scores of an image and its mirror image.
        is_sampled: whether measures that cost more per image take fewer of them.
    """

    network: nn.Module
    geometry: NetworkGeometry
    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    black: Tensor = field(repr=False)
    test_flip: bool = False
    is_sampled: bool = True

    @cached_property
    def batch_size(self) -> int:
        """Images per forward pass, so that the memory does not grow with images or layers."""
        per_image = sum(layer.activation_bytes for layer in self.geometry.layers)
        return min(_BATCH, max(1, _BATCH_BYTES // per_image))

    def sample(self, count: int) -> Tensor:
        """Return the indices of `count` evenly spaced images, at most a quarter of all.

        The quarter counts as at least 8. Without `is_sampled`, all indices are returned.
        """
        number = len(self.images)
        most = min(number, max(8, number // 4))
        count = max(1, min(count, most)) if self.is_sampled else number
        return torch.arange(count, device=self.images.device) * number // count

    @torch.no_grad()
    def class_scores(self, images: Tensor) -> Tensor:
        """Return class scores (batch, classes) of normalised images, as in the run's test."""
        parts = [
            mean_with_mirrored(self.network, part) if self.test_flip else self.network(part)
            for part in torch.split(images, self.batch_size)
        ]
        return torch.cat(parts)

    @cached_property
    def scores(self) -> Tensor:
        """Class scores (n, classes) of `images`."""
        return self.class_scores(self.images)

    def layer_outputs(
        self, layers: Sequence[str], images: Tensor, *, gradients: bool = False
    ) -> dict[str, Tensor]:
        """Return the outputs (batch, channels, height, width) of named layers.

        Args:
            layers: names in the geometry.
            images: normalised.
            gradients: whether the outputs can be differentiated.
        """
        return layer_outputs(self.network, layers, images, gradients=gradients)

    def final_maps(self, images: Tensor, *, gradients: bool = False) -> Iterator[Tensor]:
        """Yield the last maps (batch, channels, height, width) of normalised images, in batches.

        None are yielded if no map becomes a vector, as in a vision transformer.

        Args:
            images: normalised.
            gradients: whether the maps can be differentiated.
        """
        name = self.geometry.final
        # For gradients the maps of batch norm and activations are kept, too.
        batch_size = max(1, self.batch_size // 3) if gradients else self.batch_size
        for part in torch.split(images, batch_size):
            maps = self.layer_outputs([name], part, gradients=gradients)[name]
            if maps.shape[1:] != self.geometry.shapes[name]:
                return
            yield maps
