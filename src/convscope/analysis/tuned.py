"""Trials of tuning choose a value per variant; the runs at the chosen values are a setting.

Trials are no results, so the table of all runs lacks them. What they chose is in three columns,
which a table without any trial lacks:

- `tuning`: the `Tuning` of each key that was tuned for the run's variant, as a tuple;
- `family`: `tuned lr` for a run that has the chosen value of its variant instead of the config's
  own: in this setting each variant is compared at its best. `both` for a run whose own value is the
  chosen one, so that it is compared in both settings; None for the other runs;
- `family_key`: the key that was tuned, where `family` is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pandas import DataFrame

from convscope.runs.record import RunRecord
from convscope.runs.tuning import Tuning, is_trial, subject, tuning_of, value_of

Row = dict[str, Any]

OWN_IS_BEST = "both"
"""The `family` of a run that is in the setting of its own value and in that of chosen values."""


def with_tunings(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of results, with the columns above if there are trials among the rows."""
    rows = list(rows)
    trials = [one["record"] for one in rows if is_trial(one["record"])]
    if not trials:
        return rows
    tunings = _tunings(trials)
    results = [one for one in rows if not is_trial(one["record"])]
    # A damaged record may name a key that there is not.
    keys = [key for key in dict.fromkeys(key for key, _ in tunings) if any(key in r for r in rows)]
    for number, one in enumerate(results):
        config = one["record"].config
        found = (tunings.get((key, subject(config, key))) for key in keys)
        own = tuple(tuning for tuning in found if tuning is not None)
        results[number] = {**one, "tuning": own, "family": None, "family_key": None}
    for key in keys:
        _mark(results, key)
    return results


def _tunings(trials: Iterable[RunRecord]) -> dict[tuple[str, str], Tuning]:
    """Return the tuning of each key and subject: of several, a complete one of the lowest seed."""
    notes: dict[tuple[str, str], dict[tuple[Any, ...], list[RunRecord]]] = defaultdict(dict)
    for one in trials:
        of_run = one.environment["tuning"]
        key, values = of_run["key"], tuple(of_run["values"])
        same = notes[key, subject(one.config, key)]
        same.setdefault((one.config["seed"], values, of_run["own"]), []).append(one)
    return {
        key: min(
            (tuning_of(records) for records in same.values()),
            key=lambda tuning: (not tuning.is_complete, tuning.seed),
        )
        for key, same in notes.items()
    }


def _mark(rows: list[Row], key: str) -> None:
    """Set the family of each run at its variant's chosen value, if that is not always its own."""
    tuned = [
        (one, value_of(one["record"].config, key), tuning)
        for one in rows
        for tuning in one["tuning"]
        if tuning.key == key and one["family"] is None
    ]
    chosen = [(one, value, tuning) for one, value, tuning in tuned if value == tuning.chosen]
    if all(value == tuning.own for _, value, tuning in chosen):
        return
    ids = {one["id"] for one, *_ in chosen}
    others = {value_of(one["record"].config, key) for one in rows if one["id"] not in ids}
    for one, value, tuning in chosen:
        # Where all variants were trained with a value, not only those that chose it, it is a
        # setting of its own too.
        is_own = value == tuning.own or value in others
        one |= {"family": OWN_IS_BEST if is_own else title(key), "family_key": key}


def title(key: str | None) -> str:
    """Return the part of a setting's name that says that a key was tuned: `tuned lr`."""
    return f"tuned {str(key).rpartition('.')[2]}"


def tunings_in(runs: DataFrame) -> Mapping[str, list[Tuning]]:
    """Return the tunings of these runs' variants by key, in the table's order."""
    found: dict[str, dict[Tuning, None]] = {}
    for tuning in (one for own in runs.get("tuning", ()) for one in own):
        found.setdefault(tuning.key, {})[tuning] = None
    return {key: list(of_key) for key, of_key in found.items()}
