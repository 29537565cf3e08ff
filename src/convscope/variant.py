"""A variant: a config with the geometry that follows from it, possible or not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from convscope.config.compose import Composer
from convscope.config.schema import TrainConfig
from convscope.data import Facts, dataset_facts
from convscope.geometry import (
    ConvSpec,
    ImpossibleVariant,
    NetworkGeometry,
    network_geometry,
    parse_conv,
    require_batch_norm,
    variant_label,
)
from convscope.text import size


@dataclass(frozen=True)
class Variant:
    """A config and the geometry that follows from it, computed without torch and without data.

    Attributes:
        config: the composed config.
        overrides: the overrides that the user typed.
        facts: name, input shape and classes of the data set.
        convs: the conv layers in pixels; None for `same` at a stride above 1, which has no pixels.
        geometry: the network's geometry; None if the variant is impossible.
        impossible: why the variant is impossible; None if it is possible.
    """

    config: TrainConfig
    overrides: tuple[str, ...]
    facts: Facts
    convs: tuple[ConvSpec, ...] | None
    geometry: NetworkGeometry | None
    impossible: ImpossibleVariant | None

    @property
    def label(self) -> str:
        """The variant's label: `k3-s2-p1`."""
        return self.impossible.variant if self.impossible else variant_label(self.convs or ())

    @property
    def title(self) -> str:
        """Data, network and label: `mnist 1x28x28, channels 16-32-64: k3-s2-p1`."""
        channels = "-".join(map(str, self.config.model.channels))
        return (
            f"{self.facts.name} {size(self.facts.input_shape)}, channels {channels}: {self.label}"
        )

    @property
    def command(self) -> str:
        """The command that trains it."""
        return shlex.join(["python", "scripts/train.py", *self.overrides])

    @property
    def partial_geometry(self) -> NetworkGeometry | None:
        """The geometry of all layers before the impossible one, if any; None if there are none."""
        if self.impossible is None or self.convs is None:
            return self.geometry
        before = int(self.impossible.layer.removeprefix("conv")) - 1
        if before == 0:
            return None
        model, facts = self.config.model, self.facts
        pools = [number for number in model.pool_after if number <= before]
        return network_geometry(
            facts.input_shape, self.convs[:before], model.channels[:before], pools, facts.classes
        )


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
        config: the composed config.
        overrides: the overrides that the user typed.
        facts: name, input shape and classes of the data set.

    Raises:
        GeometryError: a conv value is invalid.
    """
    model = config.model
    convs, geometry, impossible = None, None, None
    try:
        convs = parse_conv(
            vars(config.conv), len(model.channels), facts.input_shape[1:], model.pool_after
        )
        geometry = network_geometry(
            facts.input_shape, convs, model.channels, model.pool_after, facts.classes
        )
        require_batch_norm(geometry, config.data.batch_size, config.trainer.devices)
    except ImpossibleVariant as error:
        geometry, impossible = None, error
    return Variant(config, tuple(overrides), facts, convs, geometry, impossible)
