"""Convolution geometry: the user's input becomes pixels, sizes, receptive fields, MACs and a label.

Plain integers, known before any network is built: no torch, no Hydra.
"""

from convscope.geometry.conv import (
    Border,
    ConvSpec,
    GeometryError,
    ImpossibleVariant,
    Pair,
    Sides,
)
from convscope.geometry.factors import FACTORS, KEEP, pair_token
from convscope.geometry.graph import Graph
from convscope.geometry.label import (
    conv_config,
    conv_from_layer,
    conv_text,
    convs_from_config,
    convs_to_config,
    folder_label,
    label_tokens,
    levels,
    padding_policy,
    parse_label,
    variant_label,
    without_defaults,
)
from convscope.geometry.layers import Shape
from convscope.geometry.network import (
    LayerGeometry,
    NetworkGeometry,
    network_geometry,
    require_batch_norm,
    window_layers,
)
from convscope.geometry.parse import parse_conv
from convscope.geometry.read_counts import path_counts, read_counts
from convscope.geometry.receptive import central_field, receptive_pixels
from convscope.geometry.suggest_fix import smallest_fix

__all__ = [
    "FACTORS",
    "KEEP",
    "Border",
    "ConvSpec",
    "GeometryError",
    "Graph",
    "ImpossibleVariant",
    "LayerGeometry",
    "NetworkGeometry",
    "Pair",
    "Shape",
    "Sides",
    "central_field",
    "conv_config",
    "conv_from_layer",
    "conv_text",
    "convs_from_config",
    "convs_to_config",
    "folder_label",
    "label_tokens",
    "levels",
    "network_geometry",
    "padding_policy",
    "pair_token",
    "parse_conv",
    "parse_label",
    "path_counts",
    "read_counts",
    "receptive_pixels",
    "require_batch_norm",
    "smallest_fix",
    "variant_label",
    "window_layers",
    "without_defaults",
]
