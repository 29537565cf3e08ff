"""The network that a variant's geometry and the model's channels make."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

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
                modules[layer.name] = nn.MaxPool2d(layer.kernel_size, layer.stride, ceil_mode=True)
                continue
            number = layer.name.removeprefix("conv")
            modules[layer.name] = _conv(layer)
            modules[f"norm{number}"] = nn.BatchNorm2d(layer.out_shape[0])
            modules[f"relu{number}"] = nn.ReLU(inplace=True)
        self.features = nn.Sequential(modules)
        self.head = nn.Linear(geometry.layers[-1].out_shape[0], geometry.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores (batch, classes) of images (batch, channels, height, width)."""
        scores: Tensor = self.head(self.features(images).mean(dim=(2, 3)))
        return scores


def _conv(layer: LayerGeometry) -> nn.Conv2d:
    (top, bottom), (left, right) = layer.padding
    even_sided = top == bottom and left == right
    return nn.Conv2d(
        layer.in_shape[0],
        layer.out_shape[0],
        layer.kernel_size,
        stride=layer.stride,
        # Sides differ under `same` with an even kernel alone, where stride is 1.
        padding=(top, left) if even_sided else "same",
        bias=False,
    )
