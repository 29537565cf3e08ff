"""Asymmetry of filters, which unevenly used padding can cause.

B. Alsallakh et al., "Mind the Pad: CNNs Can Develop Blind Spots" (2021, arXiv:2010.02178), show
mean filters; the formula is ConvScope's.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from torch import nn

from convscope.diagnostics.subject import Measured, Subject
from convscope.modules import layer_module


def filter_asymmetry(subject: Subject) -> Measured:
    """Measure |w - flip(w)| / |w| of the weights w of each varied conv layer, along both axes.

    0 for symmetric filters, 2 for antisymmetric ones; for independent random weights sqrt(2), or
    sqrt(2 - 2 / k) for an odd kernel size k. Undefined along an axis of kernel size 1, which has
    nothing to flip, and for weights that are not finite.

    Returns:
        `filter_asymmetry`: mean over the layers and both axes, where defined.
        Arrays: `filter_layers`, names (layers,); `filter_asymmetry` (layers, 2), along height and
        width, NaN where undefined; `filter_unused_border` (layers, 2), rows and columns of the
        padded input that no window covers.
    """
    layers = {layer.name: layer for layer in subject.geometry.layers}
    names = subject.geometry.graph.varied
    found = np.full((len(names), 2), np.nan)
    for number, name in enumerate(names):
        weight = cast(nn.Conv2d, layer_module(subject.network, name)).weight.detach().cpu().double()
        if not weight.isfinite().all():
            return Measured()
        for axis, kernel_size in enumerate(weight.shape[2:]):
            if kernel_size > 1:
                difference = weight - weight.flip(2 + axis)
                found[number, axis] = difference.norm() / weight.norm()
    values = {} if np.isnan(found).all() else {"filter_asymmetry": float(np.nanmean(found))}
    borders = [
        [border.image + border.padding for border in layers[name].unused_border] for name in names
    ]
    return Measured(
        values=values,
        arrays={
            "filter_layers": np.array(names),
            "filter_asymmetry": found,
            "filter_unused_border": np.array(borders),
        },
    )
