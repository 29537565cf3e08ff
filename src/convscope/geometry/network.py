"""The geometry of every layer: sizes, receptive field, cost, and pixels that no window covers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal

from convscope.geometry.conv import (
    Border,
    ConvSpec,
    GeometryError,
    ImpossibleVariant,
    Pair,
    pool_output,
)
from convscope.geometry.factors import FACTORS, to_json
from convscope.geometry.label import padding_policy, variant_label
from convscope.geometry.suggest_fix import require_possible

Shape = tuple[int, int, int]
"""(channels, height, width)"""

_FP32_BYTES = 4
_POOL = ConvSpec(kernel_size=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))


@dataclass(frozen=True)
class LayerGeometry:
    """One conv or pool layer. Pairs are (height, width); a pool has the number of its block.

    Receptive field, jump and start follow Araujo, Norris and Sim, "Computing Receptive Fields of
    Convolutional Neural Networks" (Distill, 2019).

    Attributes:
        in_shape: (channels, height, width).
        out_shape: (channels, height, width).
        conv: its window. A pool has no padding: its last window may reach beyond the edge.
        receptive_field: extent of one unit's receptive field in image pixels, not clipped to the
            image.
        jump: image pixels from one unit to the next.
        start: centre of unit 0, in pixels from the centre of the image's first pixel.
        macs: multiply-accumulates per sample, including those with padding pixels.
        params: weights; the conv layers have no bias.
        activation_bytes: bytes of the output of one sample in fp32.
        unused_border: per axis, pixels at the end of the padded input that no window covers.
        skipped: per axis, input pixels in the gaps between windows.
        padding_share: share of the outputs whose window touches padding, 0 to 1.
    """

    name: str
    kind: Literal["conv", "pool"]
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

    @property
    def size(self) -> Pair:
        """Height and width of the input."""
        return self.in_shape[1:]

    @property
    def size_formula(self) -> str:
        """The output size's formula, as in torch.nn.Conv2d's "Shape", with this layer's numbers."""
        texts = [
            f"floor(({pixels} + {axis.before} + {axis.after} - {axis.extent}) / {axis.stride}) + 1"
            f" = {out}"
            for axis, pixels, out in zip(self.conv.axes, self.size, self.out_shape[1:], strict=True)
        ]
        if texts[0] == texts[1]:
            return f"Height and width: {texts[0]}."
        return f"Height: {texts[0]}; width: {texts[1]}."

    def covered_pixels(self, axis: int) -> int:
        """Return the number of input pixels along an axis that at least one window covers."""
        return self.size[axis] - self.skipped[axis] - self.unused_border[axis].image

    def windows_on_input(self, axis: int) -> int:
        """Return the number of windows along an axis that cover at least one input pixel."""
        window, outputs = self.conv.axis(axis), self.out_shape[1 + axis]
        return sum(bool(window.pixels(output, self.size[axis])) for output in range(outputs))


@dataclass(frozen=True)
class NetworkGeometry:
    """The geometry of the whole network.

    A block is Conv2d (no bias), BatchNorm2d, ReLU and, after the blocks listed in `pool_after`,
    MaxPool2d(2, ceil_mode=True). The head is global average pooling and Linear.

    Attributes:
        input_shape: (channels, height, width).
        convs: the conv layers' arguments in order.
        layers: conv and pool layers in order.
        classes: outputs of the head.
        params: trainable parameters, including batch norm and head.
        macs: multiply-accumulates per sample of conv layers and head. Batch norm is not counted,
            because it folds into the convolution.
        final_map: (height, width) of the input of global average pooling.
        variant: the variant's label.
        padding_policy: see `convscope.geometry.padding_policy`.
    """

    input_shape: Shape
    convs: tuple[ConvSpec, ...]
    layers: tuple[LayerGeometry, ...]
    classes: int
    params: int
    macs: int
    final_map: Pair
    variant: str
    padding_policy: str

    def as_records(self) -> list[dict[str, object]]:
        """Return a row per layer for JSON: pairs are lists, a border `{"image": 1, "padding": 0}`.

        The keys are those of `LayerGeometry`, except `unread_border` for the unused border.
        """
        return [_record(layer) for layer in self.layers]


def network_geometry(
    input_shape: Shape,
    convs: Sequence[ConvSpec],
    channels: Sequence[int],
    pool_after: Collection[int],
    classes: int,
) -> NetworkGeometry:
    """Compute the geometry of every layer.

    Args:
        input_shape: (channels, height, width) of the image.
        convs: the conv layers in order, one per block.
        channels: output channels of each block.
        pool_after: numbers of the blocks, from 1, that a max-pool follows.
        classes: outputs of the head.

    Raises:
        ImpossibleVariant: PyTorch would refuse a layer, such as one with an empty output.
        GeometryError: `pool_after` names a block that does not exist.
    """
    if not convs or len(convs) != len(channels):
        raise ValueError(f"{len(convs)} conv layers for {len(channels)} channels")
    for block in pool_after:
        if not 1 <= block <= len(convs):
            raise GeometryError(f"model.pool_after must name blocks 1 to {len(convs)}, got {block}")
    require_possible(input_shape, convs, pool_after)
    layers: list[LayerGeometry] = []
    for number, (conv, width) in enumerate(zip(convs, channels, strict=True), start=1):
        layers.append(_conv_layer(number, conv, width, input_shape, layers))
        if number in pool_after:
            layers.append(_pool_layer(number, layers[-1]))
    batch_norm = 2 * sum(channels)
    return NetworkGeometry(
        input_shape=input_shape,
        convs=tuple(convs),
        layers=tuple(layers),
        classes=classes,
        params=sum(layer.params for layer in layers) + batch_norm + (channels[-1] + 1) * classes,
        macs=sum(layer.macs for layer in layers) + channels[-1] * classes,
        final_map=layers[-1].out_shape[1:],
        variant=variant_label(convs),
        padding_policy=padding_policy(
            convs, [layer.size for layer in layers if layer.kind == "conv"]
        ),
    )


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
    for layer in geometry.layers:
        if layer.kind == "conv" and layer.out_shape[1:] == (1, 1):
            fix = f"data.batch_size={2 * devices}"
            raise ImpossibleVariant(
                f"batch norm after {layer.name} would have one value per channel: output 1x1, and"
                f" 1 image per {'step' if devices == 1 else 'device'};"
                f" {fix} would make it possible",
                layer=layer.name,
                variant=geometry.variant,
                fix=fix,
            )


def _conv_layer(
    number: int,
    conv: ConvSpec,
    channels: int,
    input_shape: Shape,
    below: Sequence[LayerGeometry],
) -> LayerGeometry:
    in_shape = below[-1].out_shape if below else input_shape
    height, width = conv.output_size(in_shape[1:])
    axes = list(zip(conv.axes, in_shape[1:], strict=True))
    without_padding = prod(axis.outputs_without_padding(size) for axis, size in axes)
    unused_height, unused_width = (axis.unused_border(size) for axis, size in axes)
    skipped_height, skipped_width = (axis.skipped(size) for axis, size in axes)
    params = in_shape[0] * channels * prod(conv.kernel_size)
    return LayerGeometry(
        name=f"conv{number}",
        kind="conv",
        in_shape=in_shape,
        out_shape=(channels, height, width),
        conv=conv,
        **_field(conv, below[-1] if below else None),
        macs=params * height * width,
        params=params,
        activation_bytes=_FP32_BYTES * channels * height * width,
        unused_border=(unused_height, unused_width),
        skipped=(skipped_height, skipped_width),
        padding_share=1 - without_padding / (height * width),
    )


def _pool_layer(number: int, below: LayerGeometry) -> LayerGeometry:
    channels, *_ = below.out_shape
    out_shape = (channels, *pool_output(below.out_shape[1:]))
    return LayerGeometry(
        name=f"pool{number}",
        kind="pool",
        in_shape=below.out_shape,
        out_shape=out_shape,
        conv=_POOL,
        **_field(_POOL, below),
        macs=0,
        params=0,
        activation_bytes=_FP32_BYTES * prod(out_shape),
        unused_border=(Border(0, 0), Border(0, 0)),
        skipped=(0, 0),
        padding_share=0.0,
    )


def _field(conv: ConvSpec, below: LayerGeometry | None) -> dict[str, Any]:
    """Return receptive field, jump and start from those of the layer below (Araujo et al.)."""
    fields = below.receptive_field if below else (1, 1)
    jumps = below.jump if below else (1, 1)
    starts = below.start if below else (0.0, 0.0)
    along = [
        (
            field + (axis.extent - 1) * jump,
            jump * axis.stride,
            start + ((axis.extent - 1) / 2 - axis.before) * jump,
        )
        for field, jump, start, axis in zip(fields, jumps, starts, conv.axes, strict=True)
    ]
    return dict(zip(("receptive_field", "jump", "start"), zip(*along, strict=True), strict=True))


def _record(layer: LayerGeometry) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in asdict(layer).items():
        if key == "conv":
            row |= {
                factor.key: to_json(own)
                for factor in FACTORS
                if not factor.is_default([own := getattr(layer.conv, factor.key)])
            }
        else:
            # Existing records have the key unread_border.
            row["unread_border" if key == "unused_border" else key] = to_json(value)
    return row
