"""The geometry of every layer: sizes, receptive field, cost, and pixels that no window covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, Literal

from convscope.geometry.conv import Border, ConvAxis, ConvSpec, ImpossibleVariant, Pair
from convscope.geometry.factors import FACTORS, to_json
from convscope.geometry.graph import Graph, Node, layer_shapes
from convscope.geometry.label import padding_policy, variant_label
from convscope.geometry.layers import (
    IMAGE,
    IMAGE_FIELDS,
    Activation,
    BatchNorm,
    Blur,
    Conv,
    Fields,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Mixing,
    Pointwise,
    Pool,
    Shape,
    Window,
)
from convscope.geometry.suggest_fix import require_possible

LONG = 12
"""Layers, of those in tables, above which these group them and findings count them."""
_FP32_BYTES = 4
_KINDS: dict[type[Layer], Literal["conv", "pool", "blur"]] = {
    Conv: "conv",
    Pool: "pool",
    Blur: "blur",
}
_ADDED_LATER = {"groups": 1, "is_varied": False, "is_unproductive": False}


@dataclass(frozen=True)
class LayerGeometry:
    """One conv, pool or blur layer. Pairs are (height, width).

    Receptive field, jump and start follow Araujo, Norris and Sim, "Computing Receptive Fields of
    Convolutional Neural Networks" (Distill, 2019).

    Attributes:
        in_shape: (channels, height, width).
        out_shape: (channels, height, width).
        conv: its window. The last window of a pool may reach beyond the edge.
        receptive_field: extent of one unit's receptive field in image pixels, not clipped to the
            image; the image's extent where each unit is computed from all of it.
        jump: image pixels from one unit to the next; 0 where each unit covers the image.
        start: centre of unit 0, in pixels from the centre of the image's first pixel.
        macs: multiply-accumulates per sample, including those with padding pixels.
        params: weights, and biases where it has them.
        activation_bytes: bytes of the output of one sample in fp32.
        unused_border: per axis, pixels at the end of the padded input that no window covers.
        skipped: per axis, input pixels in the gaps between windows.
        padding_share: share of the outputs whose window touches padding, 0 to 1.
        groups: parts of the channels that a conv layer convolves separately.
        is_varied: whether a variant sets the arguments of this layer, in a network in which others
            keep theirs.
        is_unproductive: whether each unit of its input has the whole image in its receptive field
            already, in size: Richter et al., "Should You Go Deeper?" (2021).
    """

    name: str
    kind: Literal["conv", "pool", "blur"]
    in_shape: Shape
    out_shape: Shape
    conv: ConvSpec
    receptive_field: Pair
    jump: Pair
    start: tuple[float, float]
    macs: int
    params: int
    activation_bytes: int
    unused_border: tuple[Border, Border]
    skipped: Pair
    padding_share: float
    groups: int = 1
    is_varied: bool = False
    is_unproductive: bool = False

    @property
    def size(self) -> Pair:
        """Height and width of the input."""
        return self.in_shape[1:]

    @property
    def size_formula(self) -> str:
        """The output size's formula, as in torch.nn.Conv2d's "Shape", with this layer's numbers.

        Where a pool rounds up, that is padding after the last pixel.
        """
        outputs = self.out_shape[1:]
        axes = map(with_room, self.conv.axes, self.size, outputs)
        texts = [
            f"floor(({pixels} + {axis.before} + {axis.after} - {axis.extent}) / {axis.stride}) + 1"
            f" = {out}"
            for axis, pixels, out in zip(axes, self.size, outputs, strict=True)
        ]
        if texts[0] == texts[1]:
            return f"Height and width: {texts[0]}."
        return f"Height: {texts[0]}; width: {texts[1]}."

    def as_record(self) -> dict[str, Any]:
        """Return the layer for JSON: pairs are lists, a border `{"image": 1, "padding": 0}`.

        The keys are those of this class, except `unread_border` for the unused border. Those that
        older records lack are left out at their default.
        """
        row: dict[str, Any] = {}
        for key, value in asdict(self).items():
            if key == "conv":
                row |= {
                    factor.key: to_json(own)
                    for factor in FACTORS
                    if not factor.is_default([own := getattr(self.conv, factor.key)])
                }
            elif (key, value) not in _ADDED_LATER.items():
                # Existing records have the key unread_border.
                row["unread_border" if key == "unused_border" else key] = to_json(value)
        return row

    def covered_pixels(self, axis: int) -> int:
        """Return the number of input pixels along an axis that at least one window covers."""
        return self.size[axis] - self.skipped[axis] - self.unused_border[axis].image

    def windows_on_input(self, axis: int) -> int:
        """Return the number of windows along an axis that cover at least one input pixel."""
        window, outputs = self.conv.axis(axis), self.out_shape[1 + axis]
        return sum(bool(window.reads(output, self.size[axis])) for output in range(outputs))


@dataclass(frozen=True)
class NetworkGeometry:
    """The geometry of the whole network.

    Attributes:
        graph: the network, with the variant's arguments.
        input_shape: (channels, height, width).
        layers: conv, pool and blur layers in order of computation.
        classes: length of the output.
        params: trainable parameters, including batch norm and head.
        macs: multiply-accumulates per sample of conv, blur and linear layers. Batch norm is not
            counted, because it folds into the convolution.
        shapes: of the image and of each node's output, by name.
        final: name of the node whose map global pooling or flattening makes a vector of.
        final_map: (height, width) of that node's map.
        receptive_field: (height, width) of the field of that map's units in image pixels, not
            clipped to the image; the image's where each unit is computed from all of it.
        variant: the variant's label.
        padding_policy: see `convscope.geometry.padding_policy`.
    """

    graph: Graph
    input_shape: Shape
    layers: tuple[LayerGeometry, ...]
    classes: int
    params: int
    macs: int
    shapes: Mapping[str, Shape]
    final: str
    final_map: Pair
    receptive_field: Pair
    variant: str
    padding_policy: str

    @property
    def convs(self) -> tuple[ConvSpec, ...]:
        """The arguments of the varied conv layers in order."""
        return self.graph.specs

    @property
    def first_varied(self) -> LayerGeometry:
        """The first layer whose arguments a variant sets."""
        return next(layer for layer in self.layers if layer.name == self.graph.varied[0])

    @property
    def last_layer(self) -> str:
        """Name of the layer that gives the final map, without pointwise ones after it."""
        return self.graph.source(self.final)

    @property
    def final_fields(self) -> Fields | None:
        """Receptive fields of the final map's units; None where each covers the image."""
        return _fields(self.graph, self.shapes)[self.final]

    @property
    def is_long(self) -> bool:
        """Whether its layers are too many to name each of them in a sentence."""
        return len(self.layers) > LONG

    @property
    def first_mixing(self) -> Node | None:
        """The layer from which on the units of the final map are computed from the whole image.

        None where they have a receptive field of their own.
        """
        fields, needed = _fields(self.graph, self.shapes), {self.final}
        if fields[self.final] is not None:
            return None
        for node in reversed(self.graph.nodes):
            needed.update(node.inputs if node.name in needed else ())
        first = [
            node
            for node in self.graph.nodes
            if node.name in needed
            and fields[node.name] is None
            and all(fields[name] is not None for name in node.inputs)
        ]
        # What only rearranges positions comes before what computes with them, such as attention.
        mixing = [one for one in self.graph.nodes if one.name in needed and _mixes(one.layer)]
        return first[0] if not isinstance(first[0].layer, Mixing) else (mixing or first)[0]

    def as_records(self) -> list[dict[str, object]]:
        """Return a row per layer for JSON."""
        return [layer.as_record() for layer in self.layers]


def network_geometry(graph: Graph, input_shape: Shape) -> NetworkGeometry:
    """Compute the geometry of every layer.

    Args:
        graph: the network, with all conv arguments set.
        input_shape: (channels, height, width) of the image.

    Raises:
        ImpossibleVariant: PyTorch would refuse a layer, such as one with an empty output.
    """
    shapes = require_possible(graph, input_shape)
    fields = _fields(graph, shapes)
    inputs = {node.name: shapes[node.inputs[0]] for node in graph.nodes}
    layers = tuple(_window_layers(graph, shapes, fields))
    sizes = {layer.name: layer.size for layer in layers}
    final = _final_map(graph, shapes)
    last = fields[final]
    return NetworkGeometry(
        graph=graph,
        input_shape=input_shape,
        layers=layers,
        classes=shapes[graph.nodes[-1].name][0],
        params=graph.other_params
        + sum(node.layer.params(inputs[node.name]) for node in graph.nodes),
        macs=sum(node.layer.macs(inputs[node.name], shapes[node.name]) for node in graph.nodes),
        shapes=shapes,
        final=final,
        final_map=shapes[final][1:],
        receptive_field=(last[0].size, last[1].size) if last else input_shape[1:],
        variant=variant_label(graph.specs, own=graph.own_specs),
        padding_policy=padding_policy(graph.specs, [sizes[name] for name in graph.varied]),
    )


def window_layers(graph: Graph, input_shape: Shape) -> Iterator[LayerGeometry]:
    """Return the conv, pool and blur layers in order, up to the first that PyTorch refuses."""
    shapes, _ = layer_shapes(graph, input_shape)
    return _window_layers(graph, shapes, _fields(graph, shapes))


def _window_layers(
    graph: Graph, shapes: Mapping[str, Shape], fields: Mapping[str, Fields | None]
) -> Iterator[LayerGeometry]:
    varied = graph.varied if graph.own_specs is not None else ()
    for node in graph.nodes[: len(shapes) - 1]:
        if isinstance(node.layer, Window):
            (source,) = node.inputs
            layer = _layer(node, shapes[source], shapes[node.name], fields[source], shapes[IMAGE])
            yield replace(layer, is_varied=node.name in varied)


def _fields(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, Fields | None]:
    """Return the receptive fields of the units of each node that has a shape.

    None where each unit covers the image.
    """
    fields: dict[str, Fields | None] = {IMAGE: IMAGE_FIELDS}
    for node in graph.nodes[: len(shapes) - 1]:
        layer = node.layer.on(shapes[node.inputs[0]])
        fields[node.name] = layer.fields([fields[name] for name in node.inputs])
    return fields


def _final_map(graph: Graph, shapes: Mapping[str, Shape]) -> str:
    """Return the name of the node whose map is made a vector, or of the last node."""
    name = final = graph.nodes[-1].name
    while name != IMAGE:
        node = graph.by_name[name]
        # A convolution of one pixel may stand for a linear layer.
        is_linear = isinstance(node.layer, Conv) and shapes[node.inputs[0]][1:] == (1, 1)
        if not isinstance(node.layer, _HEAD) and not is_linear:
            break
        name = node.inputs[0]
        if isinstance(node.layer, GlobalPool | Flatten):
            final = name
    return final


def _mixes(layer: Layer) -> bool:
    return isinstance(layer, Mixing) and layer.cost > 0 and layer.name.lower() != "linear"


_HEAD = GlobalPool, Flatten, Linear, BatchNorm, Activation, Pointwise


def require_batch_norm(geometry: NetworkGeometry, batch_size: int, devices: int) -> None:
    """Check that batch norm gets more than one value per channel in training, as PyTorch requires.

    Args:
        geometry: the network.
        batch_size: images per training step over all devices.
        devices: number of devices; each normalises its own part of the batch.

    Raises:
        ImpossibleVariant: a conv layer's output is 1x1, and a device trains on one image per step.
    """
    if batch_size > devices:
        return
    graph = geometry.graph
    shapes = geometry.shapes
    for node in graph.nodes:
        if isinstance(node.layer, BatchNorm) and shapes[node.name][1:] == (1, 1):
            layer = graph.source(node.name)
            fix = f"data.batch_size={2 * devices}"
            raise ImpossibleVariant(
                f"batch norm after {layer} would have one value per channel: output 1x1, and"
                f" 1 image per {'step' if devices == 1 else 'device'};"
                f" {fix} would make it possible",
                layer=layer,
                variant=geometry.variant,
                fix=fix,
            )


def _layer(
    node: Node, in_shape: Shape, out_shape: Shape, below: Fields | None, image: Shape
) -> LayerGeometry:
    """Return the geometry of a conv, pool or blur layer.

    Args:
        node: the layer.
        in_shape: of its input.
        out_shape: of its output.
        below: receptive fields of its input's units; None where each covers the image.
        image: (channels, height, width) of the network's input.
    """
    layer = node.layer
    assert isinstance(layer, Window)
    axes = [
        (with_room(axis, length, outputs), length)
        for axis, length, outputs in zip(layer.conv.axes, in_shape[1:], out_shape[1:], strict=True)
    ]
    fields = layer.fields([below])
    borders = axes[0][0].unused_border(axes[0][1]), axes[1][0].unused_border(axes[1][1])
    skipped = axes[0][0].skipped(axes[0][1]), axes[1][0].skipped(axes[1][1])
    without_padding = prod(axis.outputs_without_padding(length) for axis, length in axes)
    pads = any(map(any, layer.conv.padding))
    return LayerGeometry(
        name=node.name,
        kind=_KINDS[type(layer)],
        in_shape=in_shape,
        out_shape=out_shape,
        conv=layer.conv,
        receptive_field=(fields[0].size, fields[1].size) if fields else image[1:],
        jump=(fields[0].jump, fields[1].jump) if fields else (0, 0),
        start=(fields[0].centre, fields[1].centre) if fields else _centre(image),
        macs=layer.macs(in_shape, out_shape),
        params=layer.params(in_shape),
        activation_bytes=_FP32_BYTES * prod(out_shape),
        unused_border=borders,
        skipped=skipped,
        padding_share=1 - without_padding / prod(out_shape[1:]) if pads else 0.0,
        groups=layer.groups if isinstance(layer, Conv) else 1,
        is_unproductive=below is None
        or all(field.size >= length for field, length in zip(below, image[1:], strict=True)),
    )


def with_room(axis: ConvAxis, pixels: int, outputs: int) -> ConvAxis:
    """Return an axis padded such that its last window, rounded up in a pool, fits."""
    end = (outputs - 1) * axis.stride + axis.extent - axis.before
    return replace(axis, after=max(axis.after, end - pixels))


def _centre(image: Shape) -> tuple[float, float]:
    _, height, width = image
    return (height - 1) / 2, (width - 1) / 2
