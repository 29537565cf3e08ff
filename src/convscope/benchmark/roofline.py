"""The least time that a training step can take, from its geometry and the machine's two limits.

S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual Performance Model for
Multicore Architectures", Communications of the ACM 52 (2009): work takes at least as long as its
arithmetic at the peak rate, and as its traffic at the peak bandwidth.

Counted is what no implementation can leave out, so the share of the roofline is a floor too:
convolutions and head, forward, gradient of the weights and, except in the first layer, gradient of
the input; each reads its two operands and writes its result once. Batch norm, ReLU, pooling, loss
and optimizer count nothing, as if they were done in passing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from convscope.geometry import NetworkGeometry


@dataclass(frozen=True)
class Peaks:
    """What the device reaches, in the dtype and with the threads of the training."""

    macs_per_second: float
    bytes_per_second: float


@dataclass(frozen=True)
class StepCost:
    """Of one training step of a whole batch."""

    macs: int
    bytes: int

    def seconds(self, peaks: Peaks) -> float:
        """The roofline: no step is quicker."""
        return max(self._compute(peaks), self._traffic(peaks))

    def bound(self, peaks: Peaks) -> str:
        return "compute" if self._compute(peaks) >= self._traffic(peaks) else "bandwidth"

    def _compute(self, peaks: Peaks) -> float:
        return self.macs / peaks.macs_per_second

    def _traffic(self, peaks: Peaks) -> float:
        return self.bytes / peaks.bytes_per_second


def step_cost(geometry: NetworkGeometry, batch_size: int, value_bytes: int) -> StepCost:
    """MACs and bytes of a training step.

    Args:
        value_bytes: of one activation or weight: 2 in bfloat16, 4 in float32.
    """
    convs = [layer for layer in geometry.layers if layer.kind == "conv"]
    features = geometry.layers[-1].out_shape[0]
    # Per layer: MACs of one sample, values of its input and output of one sample, weights.
    layers = [(c.macs, prod(c.in_shape), prod(c.out_shape), c.params) for c in convs]
    head = features * geometry.classes
    layers.append((head, features, geometry.classes, head))
    macs = values = 0
    for number, (one, read, written, weights) in enumerate(layers):
        passes = 3 if number else 2
        macs += passes * batch_size * one
        values += passes * (batch_size * (read + written) + weights)
    return StepCost(macs, values * value_bytes)
