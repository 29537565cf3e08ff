"""The space of a search: the values of each key, their combinations, and the runs behind these."""

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
"""Combinations; each takes some milliseconds to be worked out before the first run."""
_SEARCHED = tuple(f"conv.{factor.key}" for factor in FACTORS)

Point = tuple[int, ...]
"""Of each axis, the index of a value."""


@dataclass(frozen=True)
class Axis:
    """A key and its values as typed; numbers rise, others stay in the order given."""

    key: str
    values: tuple[str, ...]

    @property
    def is_ordered(self) -> bool:
        """Whether the values are numbers."""
        return all(value.isdecimal() for value in self.values)


@dataclass(frozen=True)
class Candidate:
    """A run that the space holds, and all combinations that are it: `half` is 0 at kernel 1."""

    run: PlannedRun
    points: tuple[Point, ...]

    @property
    def id(self) -> str:
        """Identity of its run."""
        return self.run.request.id

    @property
    def is_possible(self) -> bool:
        """Whether the geometry is."""
        return self.run.request.variant.impossible is None


@dataclass(frozen=True)
class Space:
    """The values of each key, and their combinations."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Combinations."""
        return math.prod(len(axis.values) for axis in self.axes)

    def points(self) -> list[Point]:
        """Return all combinations."""
        return list(itertools.product(*(range(len(axis.values)) for axis in self.axes)))

    def overrides(self, point: Point) -> list[str]:
        """Return a combination as it would be typed."""
        return [
            f"{axis.key}={axis.values[place]}" for axis, place in zip(self.axes, point, strict=True)
        ]


def space_of(swept: Mapping[str, Sequence[str]]) -> Space:
    """Return the space of what was typed: each key with its values.

    Raises:
        UserError: no key, one that is not searched over, no value, or more than `LARGEST`
            combinations.
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
        f"a search chooses among values of {', '.join(_SEARCHED)} alone, got {key}={typed}\n"
        f"search with one {key}, then sweep the best variants with -m {key}={typed}"
    )


def candidates_of(space: Space, fixed: Sequence[str], resolver: RunResolver) -> list[Candidate]:
    """Return every distinct run of the space, impossible ones too, with its record on disk.

    Args:
        space: what is searched.
        fixed: the overrides that all share.
        resolver: makes overrides into runs.

    Raises:
        UserError: a value that no run could have, data or hardware that cannot be had.
    """
    points = space.points()
    checked = resolver.prepare([[*fixed, *space.overrides(point)] for point in points])
    requests = [resolver.request(one) for one in checked]
    of_run: dict[str, list[Point]] = {}
    for point, request in zip(points, requests, strict=True):
        of_run.setdefault(request.id, []).append(point)
    return [Candidate(run, tuple(of_run[run.request.id])) for run in plan_runs(requests)]


def read_again(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the same candidates, with their records on disk read again."""
    runs = plan_runs([one.run.request for one in candidates])
    return [replace(one, run=run) for one, run in zip(candidates, runs, strict=True)]
