"""The PyTorch loop as a processor with only AVX2 trains it: a 1x1 kernel with a stride.

PyTorch's own convolution writes out of bounds there (oneDNN issue 6035), so the loop runs in a
process of its own.
"""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import torch

from convscope.benchmark.torch_baseline import TensorData, TorchLoop
from convscope.config.schema import OptimConfig
from convscope.geometry import network_geometry, parse_conv
from convscope.modules import build_network
from convscope.networks.stack import stack

STEPS = 60


def test_a_pointwise_kernel_with_a_stride_trains_to_the_end() -> None:
    ended = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, "learned\n"), ended.stderr


def main() -> None:
    """Train on images whose class is their brightness, until they are known."""
    graph, shape = stack([16, 32], [], 2), (3, 28, 28)
    convs = parse_conv({"kernel_size": 1, "stride": 2, "padding": 0}, graph, shape)
    geometry = network_geometry(graph.with_specs(convs), shape)
    labels = np.arange(256) % 2
    noise = np.random.default_rng(0).integers(0, 100, (256, 28, 28, 3))
    images = (noise + 100 * labels[:, None, None, None]).astype(np.uint8)
    data = TensorData(
        SimpleNamespace(  # type: ignore[arg-type]
            train_images=images, train_labels=labels, mean=[100.0] * 3, std=[60.0] * 3
        ),
        torch.device("cpu"),
    )
    batches = torch.arange(256).view(4, 64)
    torch.manual_seed(0)
    optim = OptimConfig("adamw", 0.01, 0.0, 0.0, 0.1, 0.0)
    loop = TorchLoop(
        build_network(geometry), data, lambda epoch: batches, optim, STEPS, torch.float32
    )
    loop.run(STEPS)
    print("learned" if loop.losses[-1] < 0.1 else f"loss {loop.losses[-1]:.3f}")


if __name__ == "__main__":
    main()
