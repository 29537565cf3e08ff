"""The network that a variant's geometry and the model's channels make."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from convscope.geometry import LayerGeometry, NetworkGeometry


class ConvNet(nn.Module):
    """Conv blocks, global average pooling, a linear head; nothing but conv depends on the variant.

    A block is conv (no bias), batch norm, ReLU and, where the geometry has one, a max-pool. Modules
    bear the geometry's layer names: `net.features.conv1`.
    """

    def __init__(self, geometry: NetworkGeometry) -> None:
        super().__init__()
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for layer in geometry.layers:
            if layer.kind == "pool":
                modules[layer.name] = nn.MaxPool2d(
                    layer.conv.kernel_size, layer.conv.stride, ceil_mode=True
                )
                continue
            number = layer.name.removeprefix("conv")
            modules[layer.name] = Conv2d(layer)
            modules[f"norm{number}"] = nn.BatchNorm2d(layer.out_shape[0])
            modules[f"relu{number}"] = nn.ReLU(inplace=True)
        self.features = nn.Sequential(modules)
        self.head = nn.Linear(geometry.layers[-1].out_shape[0], geometry.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores (batch, classes) of images (batch, channels, height, width)."""
        scores: Tensor = self.head(self.features(images).mean(dim=(2, 3)))
        return scores


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` of a layer's geometry, without bias, correct on every processor.

    A 1x1 kernel with a stride takes every stride-th pixel and then has stride 1: the same sums.
    oneDNN's own kernel for it writes out of bounds on processors with AVX2 but without AVX-512
    (oneDNN issue 6035: gradients of the weights, channels_last, fewer than 8 input channels).
    """

    def __init__(self, layer: LayerGeometry) -> None:
        conv = layer.conv
        (top, bottom), (left, right) = conv.padding
        is_even = top == bottom and left == right
        super().__init__(
            layer.in_shape[0],
            layer.out_shape[0],
            conv.kernel_size,
            stride=conv.stride,
            padding=(top, left) if is_even else 0,
            dilation=conv.dilation,
            bias=False,
            padding_mode=conv.padding_mode,
        )
        self._sides = (left, right, top, bottom)
        self._fill = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        is_special = self._is_pointwise or self._fill != "constant"
        self._pads_first = not is_even or (is_special and any(self._sides))

    @property
    def _is_pointwise(self) -> bool:
        return self.kernel_size == (1, 1)

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Feature maps (batch, out_channels, height, width) of the layer's geometry."""
        padding, stride = self.padding, self.stride
        if self._pads_first:
            images, padding = functional.pad(images, self._sides, self._fill), (0, 0)
        if self._is_pointwise:
            down, right = self.stride
            images, stride = images[..., ::down, ::right], (1, 1)
        return functional.conv2d(
            images, self.weight, stride=stride, padding=padding, dilation=self.dilation
        )
