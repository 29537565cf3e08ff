"""The strategy of `repeat=auto`: seeds are added until the comparison is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from convscope.config.schema import AUTO, OF_AUTO, TrainConfig, as_typed
from convscope.errors import UserError
from convscope.runs.identity import group_of, identity, without_seed
from convscope.sweep.progress import clock
from convscope.sweep.rounds import Records, Strategy
from convscope.text import counted
from convscope.training.request import RunRequest, resolved

if TYPE_CHECKING:
    from convscope.analysis.sequential import Decision

Found = dict[str, "list[Decision]"]
"""Decisions at all complete looks, by setting."""


def check_settling(configs: Sequence[TrainConfig]) -> None:
    """Refuse what does not go with `repeat=auto`, if one of the jobs has it.

    Raises:
        UserError: the jobs differ in `repeat` or a key that it uses, or they tune,
            prune or match.
    """
    if all(config.repeat != AUTO for config in configs):
        return
    for key in ("repeat", *OF_AUTO):
        values = list(dict.fromkeys(as_typed(getattr(config, key)) for config in configs))
        if len(values) > 1:
            raise UserError(f"{key} must be one value with repeat=auto, got {', '.join(values)}")
    for config in configs:
        if config.prune:
            raise UserError(
                "prune must be false with repeat=auto, which compares whole runs, got true"
            )
        if config.tune is not None:
            raise UserError(
                "tune must be null with repeat=auto, got"
                f" {config.tune}\ntune first with repeat=N, where all variants have the same seeds"
            )
        if config.match is not None:
            raise UserError(
                "match must be null with repeat=auto, since a run may be in two of its comparisons,"
                f" got {config.match}"
            )


class Settle(Strategy):
    """Wants the seeds up to the next look, of the variants that are not settled.

    All variants of a setting that go on get the same seeds before the next look.

    Args:
        requests: a run for each variant and seed, up to `max_repeat`.

    Raises:
        UserError: no setting has two possible variants, or `seed` has several values.
    """

    def __init__(self, requests: Sequence[RunRequest]) -> None:
        self._requests = list({request.id: request for request in requests}.values())
        self._config = requests[0].config
        self._seeds = sorted({request.config.seed for request in requests})
        if len(self._seeds) > self._config.max_repeat:
            raise UserError("seed must be one value with repeat=auto, which adds those that follow")
        self._groups = {
            request.id: group_of(_resolved(request))
            for request in self._requests
            if request.variant.impossible is None
        }
        """Ids of the groups as in the table of `analysis.frame`, of possible runs by identity."""
        settings = Counter(
            _setting(request)
            for request in self._requests
            if request.id in self._groups and request.config.seed == self._seeds[0]
        )
        if max(settings.values(), default=0) < 2:
            raise UserError(
                "repeat must be a number where no setting has two possible variants to compare, got"
                f" {AUTO}"
            )
        self._known: tuple[Records, Found] | None = None

    @override
    def wanted(self, records: Records) -> list[RunRequest]:
        found = self._decisions(records)
        wanted = self._first_look()
        for decisions in found.values():
            for decision in decisions:
                wanted += self._of(decision.go_on, _seeds_of_next(decision))
        return wanted

    @override
    def at_most(self, records: Records) -> list[RunRequest]:
        found = self._decisions(records)
        if not found:
            return self._requests
        going = [group for decisions in found.values() for group in decisions[-1].go_on]
        return [*self.wanted(records), *self._of(going, len(self._seeds))]

    @override
    def reason(self, records: Records) -> str:
        found = self._decisions(records)
        going = {title: decisions for title, decisions in found.items() if decisions[-1].go_on}
        return "; ".join(_look_lines(going))

    @override
    def plan_note(self, records: Records, seconds: Mapping[str, float]) -> str:
        """Return which of the runs of `at_most` are certain."""
        next_runs = {request.id for request in self.wanted(records)} - records.keys()
        time = sum(seconds.get(one, 0.0) for one in next_runs)
        return (
            f"{counted(len(next_runs), 'run')} of these before the next decision, about"
            f" {clock(time)}; the others only for variants that are not settled then"
        )

    @override
    def conclusion(self, records: Records) -> list[str]:
        """Return what the last looks have decided, and how many runs that has saved."""
        lines = _look_lines(self._decisions(records))
        is_stopped = any(record.status == "interrupted" for record in records.values())
        if not is_stopped and all(request.id in records for request in self.wanted(records)):
            ended = len(records.keys() & self._groups.keys())
            saved = len(self._groups) - ended
            lines.append(f"{ended} of {counted(len(self._groups), 'run')}: {saved} saved")
        return lines

    def _first_look(self) -> list[RunRequest]:
        # That of impossible variants, too: they have a record each.
        return [request for request in self._requests if request.config.seed in self._seeds[:2]]

    def _of(self, groups: Sequence[str], seeds: int) -> list[RunRequest]:
        """Return the runs of groups with this number of seeds."""
        return [
            request
            for request in self._requests
            if self._groups.get(request.id) in groups and request.config.seed in self._seeds[:seeds]
        ]

    def _decisions(self, records: Records) -> Found:
        """Return the decisions by setting; none before all runs of the first look have ended."""
        if not all(request.id in records for request in self._first_look()):
            return {}
        if self._known is None or self._known[0] != records:
            self._known = dict(records), self._decide(records)
        return self._known[1]

    def _decide(self, records: Records) -> Found:
        # Imports pandas, which would delay the first run.
        from convscope.analysis.frame import row, tabulate
        from convscope.analysis.looks import planned_seeds
        from convscope.analysis.sequential import Rule, as_sequential, decisions

        config = self._config
        runs, _ = tabulate([row(record) for record in records.values()])
        found: Found = {}
        for setting, members in runs.groupby("setting", sort=False):
            planned = min(planned_seeds(members) or config.max_repeat, config.max_repeat)
            rule = Rule(config.settle, config.margin / 100, planned, config.max_repeat)
            found[str(setting)] = list(decisions(as_sequential(members, rule), rule))
        return {setting: one for setting, one in found.items() if one}


def _resolved(request: RunRequest) -> dict[str, Any]:
    return resolved(request.variant, request.images, request.hardware)


def _setting(request: RunRequest) -> str:
    """Return what the runs that are compared have in common: all but variant and seed."""
    others = without_seed(_resolved(request))
    return identity({key: value for key, value in others.items() if key != "conv"})


def _seeds_of_next(decision: Decision) -> int:
    """Return the number of seeds of the look after this one."""
    return next(
        (look.seeds for look in decision.rule.looks if look.number > decision.look.number),
        decision.look.seeds,
    )


def _look_lines(found: Found) -> list[str]:
    """Return a line per setting on its last decision."""
    return [
        f"{title}: {_look_line(decisions)}" if title else _look_line(decisions)
        for title, decisions in found.items()
    ]


def _look_line(decisions: Sequence[Decision]) -> str:
    """Return `look 2 of 5, 3 seeds: 5 of 12 variants are significantly worse …, 7 go on`."""
    last = decisions[-1]
    rule, look = last.rule, last.look
    if rule.settle == "best":
        worse = {group for decision in decisions for group in decision.worse}
        among = counted(len(decisions[0].compared), "variant")
        what = (
            f"{len(worse)} of {among} {'is' if len(worse) == 1 else 'are'} significantly worse than"
            " another one"
        )
    else:
        states = {
            frozenset((pair.first, pair.second)): pair.is_settled
            for decision in decisions
            for pair in decision.pairs.itertuples()
        }
        what = f"{sum(states.values())} of {counted(len(states), 'pair')} are settled"
    going = len(last.go_on)
    on = f"{going} go on to {_seeds_of_next(last)} seeds" if going else "none goes on"
    return f"look {look.number} of {len(rule.looks)}, {look.seeds} seeds: {what}, {on}"
