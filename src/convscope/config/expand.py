"""Expand overrides with several values, `conv.stride=1,2`, into one list of overrides per job."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Override,
    OverrideType,
    RangeSweep,
)

from convscope.config.compose import config_loader
from convscope.config.errors import check_overrides, user_errors
from convscope.config.schema import as_typed
from convscope.errors import UserError

MAX_JOBS = 10_000
"""Most jobs of a command: planning each takes milliseconds before the first one starts."""


@dataclass(frozen=True)
class Alternatives:
    """The alternatives of one override: itself as typed, or one override per value if swept."""

    key: str
    """The key, without `+` or `++`."""
    overrides: tuple[str, ...]
    is_swept: bool

    @property
    def values(self) -> list[str]:
        """The value of each alternative, as typed."""
        return [override.partition("=")[2] for override in self.overrides]


def expand(overrides: Sequence[str]) -> list[Alternatives]:
    """Return the alternatives of each override, in the order typed.

    An override with several values is dropped if its key is set again later, such as a preset's
    values in `sweep=grid conv.stride=3`.

    Raises:
        UserError: An override cannot be parsed, a value is repeated, a range is infinite, or there
            are too many combinations.
    """
    check_overrides(overrides)
    with user_errors(overrides):
        # The parser needs the loader to expand globs of choices.
        parser = OverridesParser.create(config_loader())
        return _alternatives(parser.parse_overrides(list(overrides)))


def jobs_of(overrides: Sequence[str]) -> list[list[str]]:
    """Return every combination of the alternatives; those of the last override change fastest.

    Raises:
        UserError: As `expand`.
    """
    return [list(job) for job in itertools.product(*(one.overrides for one in expand(overrides)))]


def _alternatives(overrides: Sequence[Override]) -> list[Alternatives]:
    kept = [
        override
        for index, override in enumerate(overrides)
        if not any(_replaces(later, override) for later in overrides[index + 1 :])
    ]
    swept = [override.key_or_group for override in kept if override.is_sweep_override()]
    for key in swept:
        if swept.count(key) > 1:
            raise UserError(
                f"{key} must be given several values once, got {swept.count(key)} lists"
            )
    counts = [_count(override) for override in kept]
    if math.prod(counts) > MAX_JOBS:
        typed = " x ".join(format_count(count) for count in counts if count != 1)
        raise UserError(
            f"there can be at most {MAX_JOBS:,} combinations, got {format_count(math.prod(counts))}"
            + f" ({typed})" * (" x " in typed)
        )
    return [
        Alternatives(override.key_or_group, _expanded(override), override.is_sweep_override())
        for override in kept
    ]


def format_count(count: int) -> str:
    """Return a count for a message; large ones in powers of ten."""
    return f"{count:,}" if count < 10**15 else f"about 10^{math.floor(math.log10(count))}"


def _replaces(later: Override, earlier: Override) -> bool:
    """Return whether a later override replaces an earlier one that has several values."""
    if not earlier.is_sweep_override() or not earlier.is_discrete_sweep():
        return False
    same_key = (later.key_or_group, later.package) == (earlier.key_or_group, earlier.package)
    sets = later.type in (OverrideType.CHANGE, OverrideType.FORCE_ADD)
    # Dictionaries are merged, not replaced.
    return same_key and sets and not _has_dictionaries(later) and not _has_dictionaries(earlier)


def _has_dictionaries(override: Override) -> bool:
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    return any(isinstance(one, dict) for one in values)


def _count(override: Override) -> int:
    """Return the number of an override's values, without generating them."""
    if not override.is_sweep_override():
        return 1
    key, value = override.key_or_group, override.value()
    typed = as_typed(str(override.input_line).partition("=")[2])
    if key == "sweep":
        raise UserError(f"sweep must be one preset, got {typed}")
    if not override.is_discrete_sweep():
        raise UserError(f"{key} must name its values, as 1,2,3 or range(1,4) do, got {typed}")
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if not isinstance(value, RangeSweep):
        return len(list(override.sweep_iterator()))
    try:
        # Fractions are exact: with floats, a tiny step could give a wrong count.
        start, stop, step = map(Fraction, (value.start, value.stop, value.step))  # type: ignore[arg-type]
        return max(0, math.ceil((stop - start) / step))
    except (TypeError, ValueError, ArithmeticError) as error:  # Text, NaN, infinity, step 0.
        raise UserError(f"{key} must be a range of numbers with an end, got {typed}") from error


def _expanded(override: Override) -> tuple[str, ...]:
    if not override.is_sweep_override():
        return (str(override.input_line),)
    values = list(override.sweep_string_iterator())
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise UserError(f"{override.key_or_group} must name each value once, got {twice[0]} twice")
    return tuple(f"{override.get_key_element()}={value}" for value in values)
