"""What a trained variant looks like: its first filters, its feature maps, its mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from convscope.geometry import NetworkGeometry
from convscope.plain_pictures import can_draw, plain_label, plain_text
from convscope.text import escape_control
from convscope.training.model import ConvNet

_TILE_PIXELS = 64
_MOST_MAPS = 64
_MOST_NUMBERED_CLASSES = 20


def layer_outputs(network: ConvNet, layers: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """Return the outputs of named modules of `network.features`, in evaluation mode.

    Args:
        network: on any device.
        layers: names of the modules.
        images: (batch, channels, height, width).
    """
    outputs: dict[str, Tensor] = {}
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            values = images.to(network.head.weight.device)
            for name, module in network.features.named_children():
                values = module(values)
                if name in layers:
                    # A ReLU that comes next works in place.
                    outputs[name] = values.clone()
    finally:
        network.train(training)
    return outputs


def check_shapes(network: ConvNet, geometry: NetworkGeometry, images: Tensor) -> None:
    """Hold the geometry against a real forward pass.

    Raises:
        RuntimeError: they differ, so that one of them is wrong.
    """
    outputs = layer_outputs(network, [layer.name for layer in geometry.layers], images)
    for layer in geometry.layers:
        real = tuple(outputs[layer.name].shape[1:])
        if real != layer.out_shape:
            raise RuntimeError(f"{layer.name} gives {real}, its geometry says {layer.out_shape}")


def filter_picture(weight: Tensor) -> Tensor:
    """Draw filters (out, in, height, width) as a picture (3, height, width), 0 to 1; grey is 0.

    Filters of one or three input channels are drawn in grey or colour, others by their mean.
    """
    weight = weight.detach().float().cpu()
    if weight.shape[1] not in (1, 3):
        weight = weight.mean(dim=1, keepdim=True)
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    return _tiles(weight / largest / 2 + 0.5)


def map_picture(maps: Tensor) -> Tensor:
    """Draw feature maps (channels, height, width) as a picture (3, height, width), each 0 to 1."""
    tiles = maps[:_MOST_MAPS].detach().float().cpu()[:, None]
    return _tiles(tiles, normalize=True, scale_each=True)


def _tiles(tiles: Tensor, **options: bool) -> Tensor:
    scale = max(1, _TILE_PIXELS // max(tiles.shape[2:]))
    tiles = tiles.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    picture: Tensor = make_grid(tiles, nrow=8, padding=4, pad_value=1.0, **options)
    return picture


@plain_text()
def confusion_picture(confusion: Tensor, classes: Sequence[str]) -> Figure:
    """Draw counts (true class, predicted class), shaded by their share of the true class."""
    counts = confusion.cpu()
    shares = counts / counts.sum(dim=1, keepdim=True).clamp_min(1)
    figure = Figure(figsize=(6.4, 6), layout="constrained", dpi=100)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class", title="test images")
    if len(classes) <= _MOST_NUMBERED_CLASSES:
        names = [_class_label(number, name) for number, name in enumerate(classes)]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        for row in range(len(classes)):
            for column in range(len(classes)):
                _number(axes, row, column, int(counts[row, column]), float(shares[row, column]))
    return figure


def _class_label(number: int, name: str) -> str:
    """Its name, or its label where no font has the name's letters: `class 3`, counted from 0."""
    return plain_label(name) if can_draw(escape_control(name)) else f"class {number}"


def _number(axes: Axes, row: int, column: int, count: int, share: float) -> None:
    if count:
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


def run_pictures(
    network: ConvNet, geometry: NetworkGeometry, image: Tensor
) -> Mapping[str, Tensor]:
    """Return pictures by TensorBoard tag: conv1's filters, and each block's maps of one test image.

    Args:
        network: trained.
        geometry: of its layers.
        image: (1, channels, height, width), normalised.
    """
    blocks = [layer.name for layer in geometry.layers if layer.kind == "conv"]
    relus = [name.replace("conv", "relu") for name in blocks]
    outputs = layer_outputs(network, relus, image)
    pictures = {"filters/conv1": filter_picture(network.features.get_submodule("conv1").weight)}  # type: ignore[arg-type]
    for block, relu in zip(blocks, relus, strict=True):
        pictures[f"feature_maps/{block}"] = map_picture(outputs[relu][0])
    return pictures
