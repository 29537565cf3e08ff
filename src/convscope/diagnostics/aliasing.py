"""Aliasing: the part of a map's spectral energy that a stride folds onto other frequencies."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from convscope.diagnostics.subject import Measured, Subject
from convscope.geometry import Pair
from convscope.geometry.conv import ConvSpec
from convscope.geometry.graph import Node
from convscope.geometry.layers import IMAGE, Conv, Pool, Shortcut, Slice, Window
from convscope.modules import layer_module
from convscope.modules.graph_net import DenseMaxPool2d

_IMAGES = 64


@torch.no_grad()
def aliasing(subject: Subject) -> Measured:
    """Measure the energy above the new Nyquist frequency in each map that is subsampled.

    A layer with stride s equals the layer at stride 1 with every s-th unit kept. So the spectrum is
    that of the map at stride 1: the convolution with a stride can be the low-pass filter that
    prevents aliasing. The share of its energy at |frequency| > 1 / (2 s) on either axis cannot be
    represented afterwards, and appears at lower frequencies. The definition is ConvScope's; these
    are the frequencies that FrequencyLowCut pooling cuts off: Grabinski et al., "FrequencyLowCut
    Pooling" (2022). Ribeiro and Schön, "How Convolutional Neural Networks Deal with Aliasing"
    (2021), split layers in the same way, and count frequencies instead of energy.

    - The mean of each map (frequency 0) is left out: batch norm and biases can set it to any
      value, and it would hide the rest.
    - There is no window function: it would leave little of a map of 7 pixels a side, and would
      spread a frequency at the limit to both sides of it. So a difference between opposite borders
      of the map counts as high frequencies. The share is 0, up to rounding, for a periodic map of
      lower frequencies.
    - Energies are summed over images and channels before the share is taken.

    The value `aliasing` is the largest share. Without a stride it is 0: nothing is folded. The
    arrays are `aliasing_layers` (layers,), the names of conv, pool and blur layers with a stride,
    and of shortcuts that take every n-th pixel, and `aliasing` (layers,), their shares. A share is
    NaN, and the value left out, where it is not known: for weights that are not finite, and for
    layers that cannot be computed at stride 1: an average pool that is called as a function, and a
    convolution with code of its own.
    """
    strides = {node: stride for node in subject.geometry.graph.nodes if (stride := _stride(node))}
    if not strides:
        return Measured({"aliasing": 0.0})
    spectra: dict[str, Tensor] = {}
    sources = sorted({node.inputs[0] for node in strides} - {IMAGE})
    images = subject.images[subject.sample(_IMAGES)]
    for part in torch.split(images, subject.batch_size):
        inputs = {IMAGE: part} | subject.layer_outputs(sources, part)
        for node in strides:
            maps = at_stride_1(subject, node, inputs[node.inputs[0]])
            if maps is not None:
                energy = torch.fft.fft2(maps).abs().square().sum((0, 1)).cpu().double()
                spectra[node.name] = spectra.get(node.name, 0) + energy
    shares = [
        _share(spectra[node.name], stride) if node.name in spectra else math.nan
        for node, stride in strides.items()
    ]
    known = all(map(math.isfinite, shares))
    return Measured(
        {"aliasing": max(shares)} if known else {},
        {
            "aliasing_layers": np.array([node.name for node in strides], dtype=str),
            "aliasing": np.array(shares),
        },
    )


def _stride(node: Node) -> Pair | None:
    """Return the stride of a layer that subsamples; None for any other layer."""
    match node.layer:
        case Window(conv=ConvSpec(stride=stride)) | Shortcut(stride=stride) | Slice(stride=stride):
            return stride if stride != (1, 1) else None
    return None


def at_stride_1(subject: Subject, node: Node, maps: Tensor) -> Tensor | None:
    """Return what a layer subsamples; None where that cannot be computed.

    Args:
        subject: whose network has the layer.
        node: the layer.
        maps: its input (batch, channels, height, width).
    """
    match node.layer:
        case Shortcut():
            return maps
        case Slice(sides=((top, bottom), (left, right))):
            return functional.pad(maps, (left, right, top, bottom))
        case Pool(operation="max"):
            return cast(Tensor, DenseMaxPool2d(replace(node.layer, is_dense=True))(maps))
        case Conv(is_fixed=True):
            return None
    try:
        layer = copy.copy(layer_module(subject.network, node.name))
    except AttributeError:
        return None
    vars(layer)["stride"] = 1, 1
    dense: Tensor = layer(maps)
    return dense


def _share(energy: Tensor, stride: Pair) -> float:
    """Return the share of a spectrum (height, width) above the Nyquist frequency after a stride."""
    energy[0, 0] = 0
    height, width = (
        # Integers, exact at the limit: n periods in `side` pixels, of either sign.
        2 * step * torch.minimum(periods := torch.arange(side), side - periods) > side
        for side, step in zip(energy.shape, stride, strict=True)
    )
    total = energy.sum()
    above = energy[height[:, None] | width].sum()
    return (above / total).clamp(max=1).item() if total else 0.0
