"""The network's convolution, forward and both gradients, against float64 on every kind of kernel.

PyTorch's oneDNN chooses its code by processor, layout, precision and shape, and some of it has
crashed: the cases run in a process of their own, once as this processor would and once as one with
AVX2 alone.
"""

import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from convscope.geometry import parse_conv
from convscope.geometry.layers import Conv
from convscope.modules.graph_net import Conv2d
from convscope.networks.stack import stack

SIZE, BATCH, OUT = 12, 8, 6
KERNELS, STRIDES, CHANNELS = range(1, 8), range(1, 5), (1, 2, 3, 4, 7, 8, 16)
PRECISIONS = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Largest error accepted, as a share of the largest value."""
OTHERS: tuple[dict[str, object], ...] = (
    {"dilation": 2},
    {"padding_mode": "reflect"},
    {"padding_mode": "replicate"},
    {"padding_mode": "circular"},
    {"dilation": "2x1", "padding_mode": "reflect"},
)
PAIRS = ((1, "1x2", 0), (1, "3x1", "1x0"), ("1x3", 2, 0), ("3x1", "2x1", 1), ("4x2", 1, "same"))


@pytest.mark.parametrize("isa", ["DEFAULT", "AVX2"])
def test_sums_and_gradients_hold_on_every_processor(isa: str) -> None:
    ended = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    *_, last = ["nothing", *ended.stdout.splitlines()]
    # What it says last is the case at which it ended.
    assert (ended.returncode, last) == (0, "1740 cases"), f"{ended.returncode}: {last}"


def test_uneven_padding_is_said_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Conv2d(1, layer(4, 1, "same"))(torch.rand(1, 1, SIZE, SIZE))


@pytest.mark.parametrize(("kernel_size", "stride", "padding"), [(1, 2, 0), (1, 3, 1), (3, 2, 1)])
def test_a_layer_tells_its_own_geometry(kernel_size: int, stride: int, padding: int) -> None:
    """For torchinfo and the like, which read a module's attributes."""
    conv = Conv2d(4, layer(kernel_size, stride, padding))
    expected = nn.Conv2d(4, OUT, kernel_size, stride, padding, bias=False)
    for name in ("kernel_size", "stride", "padding", "in_channels", "out_channels", "bias"):
        assert getattr(conv, name) == getattr(expected, name)
    images = torch.rand(2, 4, SIZE, SIZE)
    assert conv(images).shape == expected(images).shape


def layer(kernel_size: object, stride: object, padding: object, **others: object) -> Conv:
    typed = {"kernel_size": kernel_size, "stride": stride, "padding": padding} | others
    (spec,) = parse_conv(typed, stack([OUT], [], 10), (1, SIZE, SIZE))
    return Conv(OUT, spec)


def cases() -> Iterator[tuple[tuple[object, object, object, int], dict[str, object]]]:
    for kernel_size, stride, channels in itertools.product(KERNELS, STRIDES, CHANNELS):
        yield (kernel_size, stride, 0, channels), {}
        if kernel_size > 1 or stride > 1:
            yield (kernel_size, stride, max(1, kernel_size // 2), channels), {}
    for (kernel_size, stride, padding), channels in itertools.product(PAIRS, (1, 4)):
        yield (kernel_size, stride, padding, channels), {}
    for kernel_size, stride, channels, others in itertools.product((1, 3), (1, 2), (1, 4), OTHERS):
        yield (kernel_size, stride, 1, channels), others


def check(
    channels: int,
    layer: Conv,
    layout: torch.memory_format,
    precision: torch.dtype,
    generator: torch.Generator,
) -> None:
    conv = Conv2d(channels, layer).to(memory_format=layout)
    images = torch.randn(BATCH, conv.in_channels, SIZE, SIZE, generator=generator)
    images = images.to(memory_format=layout).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        maps = conv(images)
    upstream = torch.randn(maps.shape, generator=generator).to(maps.dtype)
    maps.backward(upstream.to(memory_format=layout))

    exact_images, exact_weight = (
        values.detach().to(precision).double().contiguous().requires_grad_()
        for values in (images, conv.weight)
    )
    (top, bottom), (left, right) = layer.conv.padding
    mode = layer.conv.padding_mode.replace("zeros", "constant")
    exact = nn.functional.conv2d(
        nn.functional.pad(exact_images, (left, right, top, bottom), mode),
        exact_weight,
        stride=layer.conv.stride,
        dilation=layer.conv.dilation,
    )
    exact.backward(upstream.double().contiguous())
    for found, expected in (
        (maps, exact),
        (images.grad, exact_images.grad),
        (conv.weight.grad, exact_weight.grad),
    ):
        most = expected.abs().max().item()
        torch.testing.assert_close(
            found.double(), expected, rtol=0, atol=PRECISIONS[precision] * most
        )


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    layouts = (torch.contiguous_format, torch.channels_last)
    done = 0
    for (case, others), layout, precision in itertools.product(cases(), layouts, PRECISIONS):
        print(*case, others, layout, precision, flush=True)
        *typed, channels = case
        check(channels, layer(*typed, **others), layout, precision, generator)
        done += 1
    print(f"{done} cases")


if __name__ == "__main__":
    main()
