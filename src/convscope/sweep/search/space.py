"""The space of a search: the values of each key, their combinations, and the runs of these."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.sweep.plan import PlannedRun, plan_runs
from convscope.training.resolve import RunResolver

LARGEST = 10_000
"""Largest number of combinations; preparing each takes some milliseconds before the first run."""
_SEARCHED = tuple(f"conv.{factor.key}" for factor in FACTORS)

Point = tuple[int, ...]
"""A combination: the index of a value per axis."""


@dataclass(frozen=True)
class Axis:
    """A key and its values as typed; numbers in ascending order, others in the given order."""

    key: str
    values: tuple[str, ...]

    @property
    def is_ordered(self) -> bool:
        """Whether all values are numbers."""
        return all(value.isdecimal() for value in self.values)


@dataclass(frozen=True)
class Candidate:
    """A run of the space, and all points that are this run: at kernel 1, padding `half` is 0."""

    run: PlannedRun
    points: tuple[Point, ...]

    @property
    def id(self) -> str:
        """Identity of the run."""
        return self.run.request.id

    @property
    def is_possible(self) -> bool:
        """Whether the variant is possible."""
        return self.run.request.variant.impossible is None


@dataclass(frozen=True)
class Space:
    """The values of each key, and their combinations."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Number of combinations."""
        return math.prod(len(axis.values) for axis in self.axes)

    def points(self) -> list[Point]:
        """Return all combinations."""
        return list(itertools.product(*(range(len(axis.values)) for axis in self.axes)))

    def overrides(self, point: Point) -> list[str]:
        """Return the overrides of a combination, as typed."""
        return [
            f"{axis.key}={axis.values[index]}" for axis, index in zip(self.axes, point, strict=True)
        ]


def space_of(swept: Mapping[str, Sequence[str]]) -> Space:
    """Return the space of the values that were typed, by key.

    Raises:
        UserError: there is no key, a key that a search does not support, a key without values, or
            more than `LARGEST` combinations.
    """
    for key, values in swept.items():
        if key not in _SEARCHED:
            raise UserError(_refusal(key, values))
        if not values:
            raise UserError(f"{key} must name its values, but nothing matches its glob")
    if not swept:
        raise UserError("a search needs values to choose from, such as conv.kernel_size=1,3,5,7")
    axes = [Axis(key, tuple(values)) for key, values in swept.items()]
    space = Space(
        tuple(
            Axis(axis.key, tuple(sorted(axis.values, key=int))) if axis.is_ordered else axis
            for axis in axes
        )
    )
    if space.size > LARGEST:
        raise UserError(
            f"a search takes at most {LARGEST:,} combinations, got {space.size:,}\n"
            "name fewer values"
        )
    return space


def _refusal(key: str, values: Sequence[str]) -> str:
    typed = ",".join(values)
    if key == "objective":
        return f"objective must be a list where there are several: 'objective=[{typed}]'"
    return (
        f"a search chooses among values of {', '.join(_SEARCHED)} only, got {key}={typed}\n"
        f"search with one {key}, then sweep the best variants with -m {key}={typed}"
    )


def candidates_of(space: Space, fixed: Sequence[str], resolver: RunResolver) -> list[Candidate]:
    """Return every distinct run of the space, including impossible ones, with its record on disk.

    Args:
        space: the combinations.
        fixed: overrides that all runs share.
        resolver: turns overrides into runs.

    Raises:
        UserError: an invalid value, or unavailable data or hardware.
    """
    points = space.points()
    checked = resolver.prepare([[*fixed, *space.overrides(point)] for point in points])
    requests = [resolver.request(one) for one in checked]
    by_run: dict[str, list[Point]] = {}
    for point, request in zip(points, requests, strict=True):
        by_run.setdefault(request.id, []).append(point)
    return [Candidate(run, tuple(by_run[run.request.id])) for run in plan_runs(requests)]


def reread(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the same candidates with the current records on disk."""
    runs = plan_runs([one.run.request for one in candidates])
    return [replace(one, run=run) for one, run in zip(candidates, runs, strict=True)]
