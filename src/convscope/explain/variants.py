"""From overrides to geometry, possible or not: composed as for training, no data loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from convscope.compose import Composer
from convscope.config import TrainConfig
from convscope.data import Facts, dataset_facts
from convscope.errors import UserError
from convscope.geometry import (
    ConvSpec,
    ImpossibleVariant,
    NetworkGeometry,
    network_geometry,
    parse_conv,
    require_batch_norm,
    variant_label,
)
from convscope.mistakes import check_typed


@dataclass(frozen=True)
class Variant:
    """A network's geometry, or why there is none.

    Attributes:
        overrides: what was typed.
        convs: None where PyTorch refuses what was typed: `same` has no pixels at a stride above 1.
        geometry: None where it is impossible.
        impossible: None where it is possible.
        begun: layers before the one that is impossible; None where there are none.
    """

    overrides: tuple[str, ...]
    facts: Facts
    channels: tuple[int, ...]
    pool_after: tuple[int, ...]
    convs: tuple[ConvSpec, ...] | None
    geometry: NetworkGeometry | None = None
    impossible: ImpossibleVariant | None = None
    begun: NetworkGeometry | None = None

    @property
    def label(self) -> str:
        return self.impossible.variant if self.impossible else variant_label(self.convs or ())

    @property
    def title(self) -> str:
        """`mnist 1x28x28, channels 16-32-64: k3-s2-p1`."""
        sizes = "x".join(map(str, self.facts.input_shape))
        channels = "-".join(map(str, self.channels))
        return f"{self.facts.name} {sizes}, channels {channels}: {self.label}"


def examine(overrides: Sequence[str]) -> Variant:
    """The geometry of what these overrides would train.

    Raises:
        UserError: a key, group or value that no run could have.
    """
    return Examiner().examine(overrides)


class Examiner:
    """Examines many variants, and composes once what they have in common."""

    def __init__(self) -> None:
        self._composer = Composer()
        self._facts = cache(dataset_facts)

    def examine(self, overrides: Sequence[str]) -> Variant:
        check_typed(overrides)
        for override in overrides:
            if _is_several(override):
                raise UserError(
                    f"{override} is more than one variant\n"
                    f"write explain.py grid {override}, or a list as [1,2,3]"
                )
        return self._variant(tuple(overrides), self._composer.compose(overrides))

    def _variant(self, overrides: tuple[str, ...], config: TrainConfig) -> Variant:
        data, model = config.data, config.model
        # `auto` is MNIST or the digits, which have MNIST's shape.
        name = "mnist" if data.name == "auto" else data.name
        facts = self._facts(name, data.root, data.image_size)
        channels, pool_after = tuple(model.channels), tuple(model.pool_after)
        convs = None
        try:
            convs = parse_conv(vars(config.conv), len(channels), facts.input_shape[1:], pool_after)
            geometry = network_geometry(
                facts.input_shape, convs, channels, pool_after, facts.classes
            )
            require_batch_norm(geometry, data.batch_size, config.trainer.devices)
        except ImpossibleVariant as impossible:
            return Variant(
                overrides,
                facts,
                channels,
                pool_after,
                convs,
                impossible=impossible,
                begun=_begun(impossible, convs, facts, channels, pool_after),
            )
        return Variant(overrides, facts, channels, pool_after, convs, geometry=geometry)


@cache
def _is_several(override: str) -> bool:
    """Whether it names several values, as for a sweep. What cannot be read is left to Hydra."""
    try:
        return bool(OverridesParser.create().parse_override(override).is_sweep_override())
    except HydraException:
        return False


def _begun(
    impossible: ImpossibleVariant,
    convs: tuple[ConvSpec, ...] | None,
    facts: Facts,
    channels: tuple[int, ...],
    pool_after: tuple[int, ...],
) -> NetworkGeometry | None:
    before = int(impossible.layer.removeprefix("conv")) - 1
    if convs is None or before == 0:
        return None
    pools = [number for number in pool_after if number <= before]
    return network_geometry(
        facts.input_shape, convs[:before], channels[:before], pools, facts.classes
    )
