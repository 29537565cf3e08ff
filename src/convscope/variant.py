"""A variant: a config with the geometry that follows from it, possible or not."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from convscope.config.compose import Composer
from convscope.config.schema import FOREIGN, TrainConfig, format_value
from convscope.data import Facts, dataset_facts
from convscope.errors import UserError
from convscope.geometry import (
    ConvSpec,
    Graph,
    ImpossibleVariant,
    LayerGeometry,
    NetworkGeometry,
    Shape,
    convs_from_config,
    network_geometry,
    parse_conv,
    require_batch_norm,
    variant_label,
    window_layers,
)
from convscope.geometry.graph import layer_shapes
from convscope.geometry.layers import Mixing
from convscope.networks import own_graph
from convscope.networks.matching import matched_channels
from convscope.runs.record import RunRecord
from convscope.text import size


@dataclass(frozen=True)
class Variant:
    """A config and the geometry that follows from it, computed without torch and without data.

    Attributes:
        config: the composed config; with `match=macs` its channels are the scaled ones, or `match`
            is null where nothing had to be scaled.
        overrides: the overrides that the user typed.
        facts: name, input shape and classes of the data set.
        graph: the network before the variant sets its convolutions.
        convs: the varied conv layers in pixels; None for `same` at a stride above 1, which has no
            pixels.
        geometry: the network's geometry; None if the variant is impossible.
        impossible: why the variant is impossible; None if it is possible.
    """

    config: TrainConfig
    overrides: tuple[str, ...]
    facts: Facts
    graph: Graph
    convs: tuple[ConvSpec, ...] | None
    geometry: NetworkGeometry | None
    impossible: ImpossibleVariant | None

    @property
    def label(self) -> str:
        """The variant's label: `k3-s2-p1`."""
        if self.impossible is not None:
            return self.impossible.variant
        return variant_label(self.convs or (), own=self.graph.own_specs)

    @property
    def title(self) -> str:
        """Data, network and label: `mnist 1x28x28, channels 16-32-64: k3-s2-p1`."""
        return f"{self.facts.name} {size(self.facts.input_shape)}, {self.network}: {self.label}"

    @property
    def network(self) -> str:
        """The network in words: `channels 16-32-64`, `resnet20, pool blur`."""
        return network_name(vars(self.config.model))

    @property
    def command(self) -> str:
        """The command that trains it."""
        return shlex.join(["python", "scripts/train.py", *self.overrides])

    @property
    def layers(self) -> tuple[LayerGeometry, ...]:
        """The conv, pool and blur layers; of an impossible variant those before the refused one."""
        if self.geometry is not None:
            return self.geometry.layers
        if self.convs is None:
            return ()
        graph = self.graph.with_specs(self.convs)
        return tuple(window_layers(graph, self.facts.input_shape))


class VariantComposer:
    """Composes variants, and reads the configs and the facts of a data set only once."""

    def __init__(self) -> None:
        self._composer = Composer()
        self._facts = cache(dataset_facts)

    def compose(self, overrides: Sequence[str]) -> Variant:
        """Return the variant that these overrides select, possible or not.

        Raises:
            UserError: an unknown key or group, or an invalid value.
        """
        config = self._composer.compose(overrides)
        data = config.data
        return variant_of(config, overrides, self._facts(data.name, data.root, data.image_size))


def variant_of(config: TrainConfig, overrides: Sequence[str], facts: Facts) -> Variant:
    """Compute the variant of a config and a data set.

    Args:
        config: the composed config, or that of a variant.
        overrides: the overrides that the user typed.
        facts: name, input shape and classes of the data set.

    Raises:
        GeometryError: a conv value is invalid.
    """
    if config.match is None:
        return _unmatched(config, overrides, facts)
    base = config.model.matched_from or config.model.channels
    model = replace(config.model, channels=base, matched_from=[])
    own = _unmatched(replace(config, model=model, match=None), overrides, facts)
    if own.convs is None or own.impossible is not None:
        return own
    model = replace(model, matched_from=base)
    try:
        channels = matched_channels(vars(model), facts.classes, facts.input_shape, own.convs)
    except ImpossibleVariant as error:
        refused = replace(config, model=model)
        return replace(own, config=refused, geometry=None, impossible=error)
    if channels == base:
        return own
    matched = replace(config, model=replace(model, channels=channels))
    return _unmatched(matched, overrides, facts)


def _unmatched(config: TrainConfig, overrides: Sequence[str], facts: Facts) -> Variant:
    """Compute the variant of a config whose channels are those of the network."""
    model = vars(config.model)
    convs, geometry, impossible, pools = None, None, None, None
    try:
        graph = network_graph(model, facts.input_shape, facts.classes)
    except ImpossibleVariant as error:
        # All else is known from the network with its own pools.
        pools = error
        model = {**model, **dict.fromkeys(("pool_kernel", "pool_stride", "pool_padding"))}
        graph = network_graph(model, facts.input_shape, facts.classes)
    try:
        convs = parse_conv(vars(config.conv), graph, facts.input_shape)
        if pools is not None:
            pools.variant = variant_label(convs, own=graph.own_specs)
            raise pools
        geometry = network_geometry(_with_convs(graph, convs, facts.input_shape), facts.input_shape)
        require_batch_norm(geometry, config.data.batch_size, config.trainer.devices)
    except ImpossibleVariant as error:
        geometry, impossible = None, error
    return Variant(config, tuple(overrides), facts, graph, convs, geometry, impossible)


def network_graph(model: Mapping[str, Any], input_shape: Shape, classes: int) -> Graph:
    """Return a network's graph before a variant sets its convolutions.

    Args:
        model: values of the `model` config; keys that older runs lack may be missing.
        input_shape: (channels, height, width) of the image.
        classes: outputs of the head.

    Raises:
        UserError: the network cannot be made, or a layer that `model` names does not exist.
    """
    if model.get("network") not in FOREIGN:
        return own_graph(model, classes)
    # Here: only these networks need PyTorch.
    from convscope.modules.foreign import foreign_graph

    return foreign_graph(model, input_shape, classes)


def recorded_graph(record: RunRecord) -> Graph:
    """Return the network of a run, with the run's convolutions.

    Raises:
        LookupError, TypeError, ValueError: the record is damaged.
        UserError: the network cannot be made, or has other layers than at the time of the run.
    """
    channels, height, width = record.dataset["input_shape"]
    # Older records lack the classes, on which no layer but the head depends.
    classes = len(record.dataset.get("classes") or [""])
    model = record.config["model"]
    graph = network_graph(model, (channels, height, width), classes)
    trained, _, _ = model.get("fingerprint", "").partition("-")
    if not graph.fingerprint.startswith(trained):
        raise UserError(
            f"{record.path or record.name} was trained with other layers than"
            f" {network_name(model)} has now; restore its code, or add rerun=true to train it anew"
        )
    convs = convs_from_config(record.config["conv"])
    return _with_convs(graph, convs, (channels, height, width))


def _with_convs(graph: Graph, convs: Sequence[ConvSpec], input_shape: Shape) -> Graph:
    """Return a network with a variant's convolutions.

    Raises:
        ImpossibleVariant: layers that are known only for other sizes cannot run.
    """
    varied = graph.with_specs(convs)
    if graph.factory is None:
        return varied
    _, refused = layer_shapes(varied, input_shape)
    if refused is None or not isinstance(refused.node.layer, Mixing):
        return varied
    # Here: only these networks need PyTorch.
    from convscope.modules.foreign import traced_anew

    return traced_anew(varied, input_shape)


def network_name(model: Mapping[str, Any]) -> str:
    """Return a network in words: `channels 16-32-64`, `resnet18 of torchvision, pool blur`."""
    match model.get("network", "stack"):
        case "stack":
            name = f"channels {format_value(model['channels'])}"
        case "torchvision":
            name = f"{model['name']} of torchvision"
        case "custom":
            name = str(model["target"])
        case own:
            name = str(own)
    given = {key: model.get(key, usual) for key, usual in _USUAL.items()}
    others = [f"{key} {value}" for key, value in given.items() if value != _USUAL[key]]
    if base := model.get("matched_from"):
        scaled = f"channels {format_value(model['channels'])}, " * (not name.startswith("channels"))
        others.append(f"{scaled}scaled from {format_value(base)} to equal MACs")
    return ", ".join([name, *others])


_USUAL = {"pool": "max", "downsample": "conv"}
"""How most networks downsample, by key of `model`."""
