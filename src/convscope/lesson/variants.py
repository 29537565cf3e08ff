"""From overrides to geometry, possible or not: composed as for training, no data loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from convscope.config.compose import Composer
from convscope.config.errors import check_typed
from convscope.data import dataset_facts
from convscope.errors import UserError
from convscope.variant import Variant, variant_of


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
        config = self._composer.compose(overrides)
        data = config.data
        return variant_of(config, overrides, self._facts(data.name, data.root, data.image_size))


@cache
def _is_several(override: str) -> bool:
    """Whether it names several values, as for a sweep. What cannot be read is left to Hydra."""
    try:
        return bool(OverridesParser.create().parse_override(override).is_sweep_override())
    except HydraException:
        return False
