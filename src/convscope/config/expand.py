"""Overrides with several values, `conv.stride=1,2`, to one list of overrides per job."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Override,
    OverrideType,
    RangeSweep,
)

from convscope.config.compose import config_dir
from convscope.config.errors import check_typed, explain, is_explained
from convscope.config.schema import as_typed
from convscope.errors import UserError

MOST_JOBS = 10_000
"""Jobs of one command: each takes some milliseconds to be worked out before the first starts."""


@dataclass(frozen=True)
class Alternatives:
    """What one override may be in a job: itself as typed, or, if it is swept, a word per value."""

    key: str
    """Without `+` or `++`."""
    words: tuple[str, ...]
    is_swept: bool

    @property
    def values(self) -> list[str]:
        """What stands behind the key, as typed."""
        return [word.partition("=")[2] for word in self.words]


def expand(overrides: Sequence[str]) -> list[Alternatives]:
    """Return what each override may be in a job, from what was typed.

    Raises:
        UserError: text that is no override; or as `alternatives`.
    """
    check_typed(overrides)
    # The parser asks the loader which files a glob means.
    loader = ConfigLoaderImpl(create_config_search_path(str(config_dir())))
    parser = OverridesParser.create(config_loader=loader)
    try:
        return alternatives(parser.parse_overrides(list(overrides)))
    except Exception as error:
        if not is_explained(error):
            raise
        raise UserError(explain(error, overrides)) from error


def alternatives(overrides: Sequence[Override]) -> list[Alternatives]:
    """What each override may be in a job, in the order typed.

    An override with several values is left out where its key is set again later, as with a preset's
    values in `sweep=grid conv.stride=3`.

    Raises:
        UserError: values that are named twice or have no end, or too many combinations.
    """
    kept = [
        override
        for place, override in enumerate(overrides)
        if not any(_replaces(later, override) for later in overrides[place + 1 :])
    ]
    swept = [override.key_or_group for override in kept if override.is_sweep_override()]
    for key in swept:
        if swept.count(key) > 1:
            raise UserError(
                f"{key} must be given several values once, got {swept.count(key)} lists"
            )
    counts = [_count(override) for override in kept]
    if math.prod(counts) > MOST_JOBS:
        typed = " x ".join(written(count) for count in counts if count != 1)
        raise UserError(
            f"there can be at most {MOST_JOBS:,} combinations, got {written(math.prod(counts))}"
            + f" ({typed})" * (" x " in typed)
        )
    return [
        Alternatives(override.key_or_group, _words(override), override.is_sweep_override())
        for override in kept
    ]


def jobs_of(overrides: Sequence[Override]) -> list[list[str]]:
    """Every combination of what the overrides may be, the last one changing fastest.

    Raises:
        UserError: as `alternatives`.
    """
    return [list(job) for job in itertools.product(*(one.words for one in alternatives(overrides)))]


def written(count: int) -> str:
    """A number for a message, also one of a thousand digits."""
    return f"{count:,}" if count < 10**15 else f"about 10^{math.floor(math.log10(count))}"


def _replaces(later: Override, earlier: Override) -> bool:
    """Whether a later override makes an earlier one with several values meaningless."""
    if not earlier.is_sweep_override() or not earlier.is_discrete_sweep():
        return False
    same_key = (later.key_or_group, later.package) == (earlier.key_or_group, earlier.package)
    sets = later.type in (OverrideType.CHANGE, OverrideType.FORCE_ADD)
    # The values of a dictionary are merged with what is there.
    return same_key and sets and not _has_dictionaries(later) and not _has_dictionaries(earlier)


def _has_dictionaries(override: Override) -> bool:
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    return any(isinstance(one, dict) for one in values)


def _count(override: Override) -> int:
    """How many values it names, without making them."""
    if not override.is_sweep_override():
        return 1
    key, typed = override.key_or_group, _typed(override)
    if key == "sweep":
        raise UserError(f"sweep must be one preset, got {typed}")
    if not override.is_discrete_sweep():
        raise UserError(f"{key} must name its values, as 1,2,3 or range(1,4) do, got {typed}")
    value = override.value()
    if isinstance(value, RangeSweep):
        return _range_count(key, value, typed)
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    return len(list(override.sweep_iterator()))


def _range_count(key: str, value: RangeSweep, typed: str) -> int:
    start, stop, step = (_exact(number) for number in (value.start, value.stop, value.step))
    if start is None or stop is None or not step:
        raise UserError(f"{key} must be a range of numbers with an end, got {typed}")
    return max(0, math.ceil((stop - start) / step))


def _exact(number: object) -> Fraction | None:
    """None for what is no finite number."""
    if not isinstance(number, int | float) or not math.isfinite(number):
        return None
    return Fraction(number)


def _words(override: Override) -> tuple[str, ...]:
    if not override.is_sweep_override():
        return (str(override.input_line),)
    values = list(override.sweep_string_iterator())
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise UserError(f"{override.key_or_group} must name each value once, got {value} twice")
        seen.add(value)
    return tuple(f"{override.get_key_element()}={value}" for value in values)


def _typed(override: Override) -> str:
    return as_typed(str(override.input_line).partition("=")[2])
