"""`tune=KEY`: each variant is tried at each value of one key, then compared at the chosen one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import UnionType
from typing import Any, get_args

from typing_extensions import override

from convscope.config.errors import key_of
from convscope.config.schema import TrainConfig, as_typed, check_ranges, dotted_types
from convscope.errors import UserError
from convscope.runs.identity import EXCLUDED
from convscope.runs.tuning import GRID, TUNING_SEED, Tuning, Value, note, subject, tuning_of
from convscope.sweep.rounds import Records, Strategy
from convscope.text import counted, listed
from convscope.training.request import RunRequest, check, resolved
from convscope.training.resolve import RunResolver
from convscope.variant import Variant

_GROUPS = ("optim.", "data.", "trainer.")
"""Groups of keys that say how a network is trained, not which network."""
_OF_BUDGET = (
    *("data.val_fraction", "data.image_size", "data.split_seed"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.devices", "trainer.log_every_n_steps"),
)
"""Numeric keys of these groups that are equal in all trials: budget, images, hardware."""
_PROPERLY = "such as tune_values=[0.005,0.01,0.02]"


def _number(hint: Any) -> type | None:
    """Return int or float for a key of that type, or of that type or null; else None."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return next((kind for kind in (int, float) if kind in kinds), None)


def tunable() -> dict[str, type]:
    """Return the keys that can be tuned, each with int or float."""
    return {
        key: number
        for key, of in dotted_types(TrainConfig)
        if key.startswith(_GROUPS) and key not in (*EXCLUDED, *_OF_BUDGET)
        for number in [_number(of.hint)]
        if number is not None
    }


def check_tuning(configs: Sequence[TrainConfig]) -> None:
    """Refuse a key that cannot be tuned, and values that are none of this key.

    Raises:
        UserError: `tune` or `tune_values` is wrong, or other keys do not go with them.
    """
    config = configs[0]
    key, values = config.tune, config.tune_values
    if any(one.tune != key for one in configs):
        raise UserError("tune must be one key for all runs of a sweep, got several")
    if any(one.tune_values != values for one in configs):
        raise UserError(f"tune_values must be one list for all runs of a sweep, {_PROPERLY}")
    if key is None:
        return
    if key not in tunable():
        raise UserError(f"tune must be one of {', '.join(tunable())}, got {as_typed(key)}")
    if values is not None:
        _check_values(key, values)
    if any(one.match is not None for one in configs):
        raise UserError(f"match must be null with tune={key}, which compares at equal channels")
    if config.prune:
        raise UserError(
            f"prune must be false with tune={key}, whose trials all have the same budget, got true"
        )
    if config.fail_fast:
        raise UserError(
            f"fail_fast must be false with tune={key}: a value with which training fails is not"
            " chosen, and the sweep goes on"
        )


def _check_values(key: str, values: Any) -> None:
    number = tunable()[key]
    what = "integers" if number is int else "numbers"
    kinds = (int,) if number is int else (int, float)
    if not isinstance(values, list) or any(type(one) not in kinds for one in values):
        raise UserError(f"tune_values must be a list of {what} for {key}, got {as_typed(values)}")
    if len(set(values)) < max(len(values), 2):
        raise UserError(f"tune_values must be two or more different values, got {as_typed(values)}")


def _grid(key: str, own: Value) -> list[Value]:
    """Return the default values: multiples of the config's own.

    Raises:
        UserError: the own value has no multiples.
    """
    if not own:
        raise UserError(
            f"tune_values must name the values of {key} to try, as the config's own is"
            f" {as_typed(own)}"
        )
    if isinstance(own, int):
        return list(dict.fromkeys(max(1, round(factor * own)) for factor in GRID))
    return [factor * own for factor in GRID]


def _at(variant: Variant, key: str, value: Value, **others: Any) -> Variant:
    """Return a variant at a value of a key of a group, and at other top-level values.

    Raises:
        UserError: the value is out of its range.
    """
    group, _, name = key.partition(".")
    values = replace(getattr(variant.config, group), **{name: value})
    config = replace(variant.config, **{group: values}, **others)
    try:
        check_ranges(config, {})
    except UserError as error:
        raise UserError(f"tune={key} tries {as_typed(value)}, but {error}") from error
    typed = {key: value, **others}
    overrides = [word for word in variant.overrides if key_of(word) not in typed]
    overrides += [f"{name}={as_typed(one)}" for name, one in typed.items()]
    return check(config, overrides, variant.facts)


@dataclass(frozen=True)
class _Subject:
    """A variant in one setting: its runs at the config's own value, and its trials by value."""

    key: str
    own: Value
    seeds: tuple[int, ...]
    trials: Mapping[Value, RunRequest]
    variant: Variant
    resolver: RunResolver
    _runs: dict[Value, list[RunRequest]] = field(default_factory=dict)

    def tuning(self, records: Records) -> Tuning | None:
        """Return what is known of the trials; None before the first has ended."""
        ended = [records[one.id] for one in self.trials.values() if one.id in records]
        return tuning_of(ended) if ended else None

    def chosen(self, records: Records) -> Value:
        """Return the chosen value; None if it is not known yet, or no trial finished."""
        tuning = self.tuning(records)
        return None if tuning is None else tuning.chosen

    def is_tuned(self, records: Records) -> bool:
        """Whether all trials have ended."""
        tuning = self.tuning(records)
        return tuning is not None and tuning.is_complete

    def runs_at(self, value: Value) -> list[RunRequest]:
        """Return the runs of the comparison at a value."""
        if value not in self._runs:
            self._runs[value] = [
                self.resolver.request(_at(self.variant, self.key, value, seed=seed))
                for seed in self.seeds
            ]
        return self._runs[value]


class Tuned(Strategy):
    """Wants the runs of the sweep and the trials of each variant, then runs at the chosen values.

    The chosen values are those of the highest validation accuracy, with one run per value of a seed
    that no run of the comparison has.

    Args:
        variants: what the runs of the sweep are, as prepared.
        requests: the runs of the sweep, of these variants.
        resolver: turns variants into runs.

    Raises:
        UserError: a value is out of its range, or the sweep varies the key itself.
    """

    def __init__(
        self, variants: Sequence[Variant], requests: Sequence[RunRequest], resolver: RunResolver
    ) -> None:
        self._requests = requests
        self._resolver = resolver
        self._key = str(requests[0].config.tune)
        by_subject: dict[str, list[tuple[Variant, RunRequest]]] = {}
        for variant, request in zip(variants, requests, strict=True):
            if request.variant.impossible is None:
                config = resolved(request.variant, request.images, request.hardware)
                by_subject.setdefault(subject(config, self._key), []).append((variant, request))
        self._subjects = [self._subject(runs) for runs in by_subject.values()]

    def _subject(self, runs: Sequence[tuple[Variant, RunRequest]]) -> _Subject:
        variant, request = runs[0]
        owns = {self._own(one): None for _, one in runs}
        if len(owns) > 1:
            raise UserError(
                f"{self._key} must have one value where it is tuned, got"
                f" {listed(list(map(as_typed, owns)))}\nname the values to try, {_PROPERLY}"
            )
        own = self._own(request)
        typed = request.config.tune_values
        number = tunable()[self._key]
        values = _grid(self._key, own) if typed is None else [number(one) for one in typed]
        seeds = tuple(dict.fromkeys(one.config.seed for _, one in runs))
        seed = min(seeds) + TUNING_SEED
        if seed in seeds:
            raise UserError(f"seed must not be {seed}, which tune={self._key} takes for its trials")
        trials = {
            value: replace(
                # The diagnostics of a trial would serve nobody.
                self._resolver.request(
                    _at(variant, self._key, value, seed=seed, diagnostics="off")
                ),
                notes=note(self._key, values, own),
            )
            for value in values
        }
        return _Subject(self._key, own, seeds, trials, variant, self._resolver)

    def _own(self, request: RunRequest) -> Value:
        group, _, name = self._key.partition(".")
        value: Value = getattr(getattr(request.config, group), name)
        return value

    @override
    def wanted(self, records: Records) -> list[RunRequest]:
        return [*self._first(), *self._at_chosen(records, self._subjects)]

    def _first(self) -> Iterable[RunRequest]:
        yield from (trial for one in self._subjects for trial in one.trials.values())
        yield from self._requests

    def _at_chosen(self, records: Records, subjects: Iterable[_Subject]) -> Iterable[RunRequest]:
        for one in subjects:
            value = one.chosen(records)
            if value is not None and value != one.own:
                yield from one.runs_at(value)

    @override
    def at_most(self, records: Records) -> list[RunRequest]:
        undecided = [one for one in self._subjects if not one.is_tuned(records)]
        return [
            *self.wanted(records),
            *(run for one in undecided for run in one.runs_at(_costliest(one))),
        ]

    @override
    def plan_note(self, records: Records, seconds: Mapping[str, float]) -> str:
        undecided = [one for one in self._subjects if not one.is_tuned(records)]
        if not undecided:
            return ""
        values = list(dict.fromkeys(as_typed(_costliest(one)) for one in undecided))
        return (
            f"at most: each of {counted(len(undecided), 'variant')} is trained again at the"
            f" {self._key} that its trials choose, here shown as {listed(values)}"
        )

    @override
    def reason(self, records: Records) -> str:
        undecided = [one for one in self._subjects if not one.is_tuned(records)]
        if undecided:
            values = list(dict.fromkeys(as_typed(v) for one in undecided for v in one.trials))
            return (
                f"tuning {self._key} of {counted(len(undecided), 'variant')}:"
                f" {listed(values)}, one run each"
            )
        chosen: dict[str, list[str]] = {}
        for one in self._subjects:
            value = one.chosen(records)
            text = "none" if value is None else as_typed(value)
            chosen.setdefault(text, []).append(one.variant.label)
        texts = [f"{value} for {listed(labels)}" for value, labels in chosen.items()]
        return f"{self._key} chosen by validation: {'; '.join(texts)}"


def _costliest(one: _Subject) -> Value:
    """Return the value other than the own one with the most optimizer steps."""
    others = [value for value in one.trials if value != one.own]
    return max(others, key=lambda value: one.trials[value].steps.total)
