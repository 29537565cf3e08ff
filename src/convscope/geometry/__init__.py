"""Convolution geometry: what a user typed, to pixels, to sizes, receptive fields, MACs and a label.

Plain integers, known before anything is built: no torch, no Hydra.
"""

from convscope.geometry.coverage import Border
from convscope.geometry.label import (
    conv_config,
    convs_from,
    folder_label,
    padding_policy,
    variant_label,
)
from convscope.geometry.network import (
    LayerGeometry,
    NetworkGeometry,
    network_geometry,
    require_batch_norm,
)
from convscope.geometry.parse import conv_of_label, parse_conv
from convscope.geometry.receptive import receptive_interval, seen_pixels
from convscope.geometry.revive import smallest_fix
from convscope.geometry.shapes import (
    ConvShape,
    GeometryError,
    ImpossibleVariant,
    Pair,
    Sides,
)

__all__ = [
    "Border",
    "ConvShape",
    "GeometryError",
    "ImpossibleVariant",
    "LayerGeometry",
    "NetworkGeometry",
    "Pair",
    "Sides",
    "conv_config",
    "conv_of_label",
    "convs_from",
    "folder_label",
    "network_geometry",
    "padding_policy",
    "parse_conv",
    "receptive_interval",
    "require_batch_norm",
    "seen_pixels",
    "smallest_fix",
    "variant_label",
]
