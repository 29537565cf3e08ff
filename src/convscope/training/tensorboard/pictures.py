"""What a trained variant looks like: its first filters, its feature maps, its mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torchvision.utils import make_grid

from convscope.geometry import NetworkGeometry
from convscope.modules import layer_module, layer_outputs
from convscope.plain_pictures import can_draw, plain_label, plain_text
from convscope.text import escape_control

_TILE_PIXELS = 64
_MOST_MAPS = 64
_MOST_NUMBERED_CLASSES = 20


def check_shapes(network: nn.Module, geometry: NetworkGeometry, images: Tensor) -> None:
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
    network: nn.Module, geometry: NetworkGeometry, image: Tensor
) -> Mapping[str, Tensor]:
    """Return pictures by TensorBoard tag: filters, and the maps of one test image.

    The filters are those of the first varied layer; each varied layer has maps, as its activation
    gives them.

    Args:
        network: trained.
        geometry: of its layers.
        image: (1, channels, height, width), normalised.
    """
    graph = geometry.graph
    activated = {name: graph.activation_after(name) for name in graph.varied}
    outputs = layer_outputs(network, list(activated.values()), image)
    first = graph.varied[0]
    weight = cast(nn.Conv2d, layer_module(network, first)).weight
    maps = {f"feature_maps/{name}": map_picture(outputs[activated[name]][0]) for name in activated}
    return {f"filters/{first}": filter_picture(weight)} | maps
