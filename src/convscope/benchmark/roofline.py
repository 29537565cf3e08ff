"""The minimum time of a training step, from its geometry and the machine's two limits.

S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual Performance Model for
Multicore Architectures", Communications of the ACM 52 (2009): a computation takes at least as long
as its arithmetic at the peak rate, and as its memory traffic at the peak bandwidth.

Only work that no implementation can avoid is counted, so the reported share of the roofline is a
lower bound: for convolutions and head the forward pass, the gradient of the weights and, except in
the first layer, the gradient of the input. Each reads its two operands and writes its result once.
Batch norm, ReLU, pooling, blurs, loss and optimizer are not counted.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch

from convscope.geometry import NetworkGeometry
from convscope.training.callbacks.throughput import synchronizer
from convscope.training.devices import autocast_dtype
from convscope.training.hardware import Hardware

_REPEATS = 12
_MOST_SECONDS = 10.0
"""Time after which nothing is repeated: a product of bfloat16 matrices takes half a minute on a
processor without instructions for it."""


@dataclass(frozen=True)
class Peaks:
    """The device's measured limits, in the dtype and with the threads of the training."""

    macs_per_second: float
    bytes_per_second: float


@dataclass(frozen=True)
class StepCost:
    """MACs and memory traffic, in bytes, of one training step."""

    macs: int
    bytes: int

    def bound(self, peaks: Peaks) -> tuple[float, str]:
        """Return the minimum seconds of a step, and its limit: `compute` or `bandwidth`."""
        compute, bandwidth = self.macs / peaks.macs_per_second, self.bytes / peaks.bytes_per_second
        return max((compute, "compute"), (bandwidth, "bandwidth"))


def step_cost(geometry: NetworkGeometry, batch_size: int, value_bytes: int) -> StepCost:
    """Count MACs and bytes of a training step.

    Args:
        geometry: the network.
        batch_size: images per step.
        value_bytes: bytes of one activation or weight: 2 in bfloat16, 4 in float32.
    """
    convs = [layer for layer in geometry.layers if layer.kind == "conv"]
    # Per layer: MACs, input values and output values per sample, and weights.
    layers = [(c.macs, prod(c.in_shape), prod(c.out_shape), c.params) for c in convs]
    head = geometry.macs - sum(layer.macs for layer in geometry.layers)
    layers.append((head, head // geometry.classes, geometry.classes, head))
    macs = values = 0
    for number, (one, read, written, weights) in enumerate(layers):
        passes = 3 if number else 2
        macs += passes * batch_size * one
        values += passes * (batch_size * (read + written) + weights)
    return StepCost(macs, values * value_bytes)


def measure_peaks(hardware: Hardware) -> Peaks:
    """Measure a large matrix product, in autocast's type, and a large copy.

    Takes about a second; a minute on a processor without instructions for this dtype.
    """
    device, dtype = torch.device(hardware.accelerator), autocast_dtype(hardware)
    # So large that neither matrices nor copy fit into a cache.
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
    """Return the seconds of the fastest of several repeats after a warm-up.

    Args:
        work: the computation to time.
        synchronize: waits until the device has finished all queued work.
        clock: returns the time in seconds.
    """

    def finished() -> None:
        work()
        synchronize()

    timer = timeit.Timer(finished, synchronize, clock)
    repeats = int(_MOST_SECONDS / timer.timeit(1))
    return min(timer.repeat(max(1, min(repeats, _REPEATS)), number=1))
