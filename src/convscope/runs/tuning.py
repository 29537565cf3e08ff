"""Tuning of one config key per variant: its trials, and the value that validation chooses.

A trial is a run whose record names the key, the values that were tried and the config's own value
in `environment.tuning`. Trials are no results: they only choose a value. Which value that is
follows from their records, so it is stored nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convscope.runs.identity import identity
from convscope.runs.record import RunRecord

TUNING_SEED = 10_000
"""Added to the seed of a comparison: `repeat`, at most this, never reaches the seed of trials."""
GRID = (0.25, 0.5, 1, 2, 4)
"""Multiples of a config's own value that are tried by default."""

Value = float | int | None
_TIE = 1e-9
"""Accuracies that differ by less are equal."""


def note(key: str, values: Sequence[Value], own: Value) -> dict[str, Any]:
    """Return what the record of a trial has as `environment`, besides the machine.

    Args:
        key: the dotted config key that is tuned.
        values: all values that are tried.
        own: the config's own value, at which every variant is compared too.
    """
    return {"tuning": {"key": key, "values": list(values), "own": own}}


def is_trial(record: RunRecord) -> bool:
    """Return whether a run was trained to choose a value, and is no result."""
    return "tuning" in record.environment


def as_result(record: RunRecord) -> RunRecord:
    """Return a record without what says that its run was a trial."""
    others = {name: value for name, value in record.environment.items() if name != "tuning"}
    return replace(record, environment=others)


@dataclass(frozen=True)
class Trial:
    """A value that was tried, with the best validation accuracy of its run; None without one."""

    value: Value
    accuracy: float | None
    status: str
    path: Path | None
    """The run's folder, where its record was read from one."""


@dataclass(frozen=True)
class Tuning:
    """The trials of one variant in one setting.

    Args:
        subject: see the function of that name.
        variant: the variant's label.
        key: the dotted config key that is tuned.
        own: the config's own value.
        seed: of the trials.
        trials: in ascending order of their values; values without a record yet are missing.
        values: all values to be tried.
    """

    subject: str
    variant: str
    key: str
    own: Value
    seed: int
    trials: tuple[Trial, ...]
    values: tuple[Value, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every value was tried to its end, by a run that finished or failed."""
        ended = {one.value for one in self.trials if one.status in ("finished", "failed")}
        return ended >= set(self.values)

    @property
    def chosen(self) -> Value:
        """The value with the highest validation accuracy; of several, the nearest to `own`.

        None while trials are left, and if no trial finished.
        """
        found = {
            one.value: one.accuracy
            for one in self.trials
            if one.status == "finished" and one.accuracy is not None
        }
        if not self.is_complete or not found:
            return None
        highest = max(found.values())
        best = [value for value, one in found.items() if one >= highest - _TIE]
        return min(best, key=self._distance)

    def _distance(self, value: Value) -> tuple[float, float]:
        """Return a sort key: the factor between a value and `own`, or their difference with a 0."""
        if value is None or self.own is None:
            return 0.0, value or 0.0
        if value > 0 and self.own > 0:
            return max(value / self.own, self.own / value), value
        return abs(value - self.own), value

    @property
    def is_at_edge(self) -> bool:
        """Whether the chosen value is the lowest or the highest that was tried."""
        numbers = [value for value in self.values if value is not None]
        return self.chosen is not None and self.chosen in (min(numbers), max(numbers))


def tuning_of(records: Sequence[RunRecord]) -> Tuning:
    """Return the tuning of trials, at least one, of one `subject`, seed and note."""
    first = records[0]
    key, values, own = (first.environment["tuning"][name] for name in ("key", "values", "own"))
    trials = [
        Trial(value_of(one.config, key), one.metrics.get("best_val_accuracy"), one.status, one.path)
        for one in records
    ]
    ordered = sorted(trials, key=lambda trial: trial.value or 0)
    return Tuning(
        *(subject(first.config, key), first.variant, key, own, first.config["seed"]),
        trials=tuple(ordered),
        values=tuple(values),
    )


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted key of a recorded config; None if it is missing."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def subject(config: Mapping[str, Any], key: str) -> str:
    """Return the identity of a config without its seed and the value of one key of a group.

    The trials of a variant have it in common with its runs at any value.
    """
    group, _, name = key.partition(".")
    others = {one: value for one, value in config.get(group, {}).items() if one != name}
    return identity({one: config[one] for one in config if one != "seed"} | {group: others})
