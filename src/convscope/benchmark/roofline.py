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

import timeit
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch

from convscope.geometry import NetworkGeometry
from convscope.training.callbacks.throughput import synchronizer

_REPEATS = 12
_ENOUGH_S = 10.0
"""After which nothing is repeated: a product of bfloat16 matrices takes PyTorch half a minute on a
processor that has no instructions for it."""


@dataclass(frozen=True)
class Peaks:
    """What the device reaches, in the dtype and with the threads of the training."""

    macs_per_second: float
    bytes_per_second: float


@dataclass(frozen=True)
class StepCost:
    """Work and traffic of one training step of a whole batch."""

    macs: int
    bytes: int

    def bound(self, peaks: Peaks) -> tuple[float, str]:
        """Return the roofline, the least seconds of a step, and what it is bound by."""
        compute, bandwidth = self.macs / peaks.macs_per_second, self.bytes / peaks.bytes_per_second
        return max((compute, "compute"), (bandwidth, "bandwidth"))


def step_cost(geometry: NetworkGeometry, batch_size: int, value_bytes: int) -> StepCost:
    """Count MACs and bytes of a training step.

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


def measure_peaks(device: torch.device, dtype: torch.dtype) -> Peaks:
    """Time a large matrix product and a large copy with PyTorch's threads; takes about a second.

    Where the processor has no instructions for this type, about a minute.
    """
    # Large enough that neither matrices nor copy fit into a cache.
    side, copied = (2048, 1 << 28) if device.type == "cpu" else (8192, 1 << 30)
    left, right, product = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(3))
    source = torch.ones(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    synchronize = synchronizer(device)
    return Peaks(
        side**3 / shortest(lambda: torch.matmul(left, right, out=product), synchronize),
        # A copy reads and writes each byte.
        2 * copied / shortest(lambda: target.copy_(source), synchronize),
    )


def shortest(
    work: Callable[[], object],
    synchronize: Callable[[], None],
    clock: Callable[[], float] = timeit.default_timer,
) -> float:
    """Return seconds of the quickest of several repeats after a warm-up: the peak, not the mean.

    Args:
        synchronize: waits until the device has done all that it was given.
    """

    def finished() -> None:
        work()
        synchronize()

    timer = timeit.Timer(finished, synchronize, clock)
    repeats = int(_ENOUGH_S / timer.timeit(1))
    return min(timer.repeat(max(1, min(repeats, _REPEATS)), number=1))
