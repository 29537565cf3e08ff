"""The two limits of the roofline, measured: a large matrix product and a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from convscope.benchmark.roofline import Peaks
from convscope.training.tracking.throughput import synchronizer

_REPEATS = 12
_ENOUGH_S = 10.0
"""After which nothing is repeated: a product of bfloat16 matrices takes PyTorch half a minute on a
processor that has no instructions for it."""


def measure_peaks(device: torch.device, dtype: torch.dtype) -> Peaks:
    """Rates of this device with the threads that PyTorch is set to; takes about a second.

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
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of the quickest of several repeats after one that warms up: the peak, not the mean.

    Args:
        synchronize: waits until the device has done all that it was given.
    """
    work()
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _ENOUGH_S:
        synchronize()
        began = clock()
        work()
        synchronize()
        seconds.append(clock() - began)
    return min(seconds)
