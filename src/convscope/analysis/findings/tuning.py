"""Findings on fair tuning: whether the ranking at one value for all holds with each at its best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pandas import DataFrame

from convscope.analysis.choice import VALIDATION, Ranking, rank, with_result
from convscope.analysis.findings.finding import Finding, within
from convscope.analysis.frame import by_setting
from convscope.analysis.pairwise import differences
from convscope.analysis.tuned import title, tunings_in
from convscope.config.schema import as_typed
from convscope.runs.tuning import Tuning
from convscope.text import counted, listed, percentage_points

_MOST = 6
"""Largest number of variants, or pairs, that one sentence lists."""


def summarize_tuning(runs: DataFrame) -> Iterator[Finding]:
    """Yield what tuning changes in the ranking of the variants; nothing without tuning.

    Args:
        runs: table from `frame`.
    """
    for key, tunings in tunings_in(runs).items():
        scope = f"Tuning of {key}"
        comparisons = list(_comparisons(runs, key))
        several = len(comparisons) > 1
        for one in comparisons:
            yield from within(f"{scope} ({one.title})" if several else scope, one.findings())
        yield from within(scope, _without_choice(runs, tunings))
        if not comparisons and (found := _unmoved(tunings)):
            yield replace(found, scope=scope)


@dataclass(frozen=True)
class _Comparison:
    """The variants that have results both at one value for all and at their chosen values.

    Args:
        title: the setting of the first.
        key: last part of the tuned key.
        value: the config's own value.
        own: rows at the config's own value.
        best: rows at the chosen values.
    """

    title: str
    key: str
    value: object
    own: DataFrame
    best: DataFrame

    def findings(self) -> Iterator[Finding]:
        at_own, at_best = rank(self.own), rank(self.best)
        yield self._leaders(at_own, at_best)
        yield self._moves(at_own, at_best)
        if at_own.repeated and at_best.repeated:
            yield from self._pairs()
        else:
            yield Finding(
                "tuning_not_tested",
                (),
                "Whether such a change is more than chance is not known: that needs two seeds or"
                " more of every variant, at both values (repeat=5 trains five).",
            )

    @property
    def _for_all(self) -> str:
        return f"one {self.key} for all ({as_typed(self.value)})"

    @property
    def _each(self) -> str:
        return f"each variant at its chosen {self.key}"

    def _leaders(self, at_own: Ranking, at_best: Ranking) -> Finding:
        before, after = at_own.best["variant"], at_best.best["variant"]
        what = f"the highest mean {_metric(at_own, at_best)} accuracy"
        if before == after:
            sentence = (
                f"The best stays the best: {before} has {what} with {self._for_all} and with"
                f" {self._each}."
            )
            return Finding("tuning_keeps_best", (before,), sentence)
        sentence = (
            f"The best changes: with {self._for_all}, {before} has {what}; with {self._each},"
            f" {after} has."
        )
        return Finding("tuning_changes_best", (after, before), sentence)

    def _moves(self, at_own: Ranking, at_best: Ranking) -> Finding:
        metric = _metric(at_own, at_best)
        orders = [list(one.groups["variant"]) for one in (at_own, at_best)]
        both = [variant for variant in orders[0] if variant in orders[1]]
        after = [variant for variant in orders[1] if variant in both]
        if both == after:
            return Finding(
                "tuning_keeps_order",
                tuple(both),
                f"The order of the {len(both)} variants by mean {metric} accuracy is the same.",
            )
        # Those that gain most come first.
        moved = sorted(
            (one for one in both if both.index(one) != after.index(one)),
            key=lambda one: after.index(one) - both.index(one),
        )
        places = [f"{one} from {both.index(one) + 1} to {after.index(one) + 1}" for one in moved]
        return Finding(
            "tuning_changes_order",
            tuple(moved),
            f"In the order of the {len(both)} variants by mean {metric} accuracy, places change:"
            f" {listed(places)}.",
        )

    @cached_property
    def _differing(self) -> tuple[dict[tuple[str, str], float], ...]:
        """Of each setting, the significant differences by pair, the better variant first."""
        found = []
        for runs in (self.own, self.best):
            names = runs.drop_duplicates("group").set_index("group")["variant"]
            pairs = differences(runs)
            pairs = pairs[pairs["differs"].astype(bool)]
            found.append(
                {
                    (names[one.first], names[one.second]): float(one.difference)
                    for one in pairs.itertuples()
                }
            )
        return tuple(found)

    def _pairs(self) -> Iterator[Finding]:
        own, best = self._differing
        reversals = [pair for pair in best if pair[::-1] in own]
        for index, (better, worse) in enumerate(reversals):
            yield Finding(
                "tuning_reverses",
                (better, worse),
                "" if index else self._reversal(reversals),
                best[better, worse],
                metric="test_accuracy",
                statistic="difference",
            )
        if not reversals:
            sentence = (
                "No pair of variants differs significantly in test accuracy in opposite directions."
                if own or best
                else "In neither does any pair of variants differ significantly in test accuracy."
            )
            yield Finding("tuning_reverses_none", (), sentence)
        same = sum(pair in own for pair in best)
        only_own, only_best = (len(one) - same - len(reversals) for one in (own, best))
        number = self.best["variant"].nunique()
        parts = [
            (same, "in the same direction in both"),
            (only_own, f"only with {self._for_all}"),
            (only_best, f"only with {self._each}"),
        ]
        texts = [f"{pairs} {where}" for pairs, where in parts if pairs]
        if texts:
            total = counted(number * (number - 1) // 2, "pair")
            sentence = f"Of {total}, significantly different are {listed(texts)}."
            if only_own or only_best:
                sentence += (
                    " That a difference is significant in one of the two only is no evidence that"
                    " tuning changed it."
                )
            yield Finding("tuning_pairs", (), sentence)

    def _reversal(self, pairs: Sequence[tuple[str, str]]) -> str:
        own, best = self._differing
        texts = [
            f"{better} is better than {worse} by {percentage_points(best[better, worse])} with"
            f" {self._each}, and worse by {percentage_points(own[worse, better])} with"
            f" {self._for_all}"
            for better, worse in pairs[:_MOST]
        ]
        more = len(pairs) - _MOST
        rest = f"; and {counted(more, 'more pair')}" if more > 0 else ""
        return (
            f"The ranking does not hold: {counted(len(pairs), 'pair')} of variants"
            f" {'differs' if len(pairs) == 1 else 'differ'} significantly in test accuracy in"
            f" opposite directions: {'; '.join(texts)}{rest}."
        )


def _metric(*rankings: Ranking) -> str:
    return "validation" if all(one.by == VALIDATION for one in rankings) else "test"


def _comparisons(runs: DataFrame, key: str) -> Iterator[_Comparison]:
    """Yield the comparison of each setting that has runs at chosen values."""
    if "family" not in runs:
        return
    found = with_result(runs)
    tuned = found[(found["family"] == title(key)) & (found["family_key"] == key)]
    settings = {name: _of_subjects(members, key) for name, members in by_setting(found)}
    for setting in tuned["setting"].unique():
        best = settings[setting]
        for name, members in settings.items():
            own = members[members["own"] & members["subject"].isin(best["subject"])]
            same = best[best["subject"].isin(own["subject"])]
            if name != setting and own["group"].nunique() > 1:
                last = key.rpartition(".")[2]
                yield _Comparison(str(setting), last, own[key].iloc[0], own, same)


def _of_subjects(runs: DataFrame, key: str) -> DataFrame:
    """Return the runs of tuned variants: `subject`, and whether a run has the config's `own` value.

    `name` is the variant's, as in a family.
    """
    tunings = [next((one for one in own if one.key == key), None) for own in runs["tuning"]]
    is_own = [
        tuning is not None and value == tuning.own
        for tuning, value in zip(tunings, runs[key], strict=True)
    ]
    subjects = [None if tuning is None else tuning.subject for tuning in tunings]
    table = runs.assign(subject=subjects, own=is_own, name=runs["variant"])
    return table[table["subject"].notna()]


def _unmoved(tunings: Sequence[Tuning]) -> Finding | None:
    """Return that every variant's chosen value is the config's own; None if it is not so."""
    if all(one.chosen == one.own for one in tunings):
        last = tunings[0].key.rpartition(".")[2]
        return Finding(
            "tuning_keeps_values",
            tuple(one.variant for one in tunings),
            f"For every variant, the config's own {last} did best by validation accuracy: each is"
            " compared at its chosen value already.",
        )
    return None


def _without_choice(runs: DataFrame, tunings: Sequence[Tuning]) -> Iterator[Finding]:
    last = tunings[0].key.rpartition(".")[2]
    failed = [one for one in tunings if one.is_complete and one.chosen is None]
    if failed:
        names = _names(failed)
        yield Finding(
            "tuning_failed",
            tuple(names),
            f"No run with any {last} that was tried finished for {listed(names)}: no tuned result.",
        )
    unfinished = [one for one in tunings if not one.is_complete]
    if unfinished:
        names = _names(unfinished)
        yield Finding(
            "tuning_unfinished",
            tuple(names),
            f"The trials of {listed(names)} have not all ended: no {last} is chosen yet. The"
            " command of the sweep goes on.",
        )
    finished = with_result(runs)
    paths = zip(finished["tuning"], finished[tunings[0].key], strict=True)
    reached = {t.subject for own, value in paths for t in own if t.chosen == value}
    waiting = [one for one in tunings if one.chosen is not None and one.subject not in reached]
    if waiting:
        names = [f"{one.variant} ({as_typed(one.chosen)})" for one in waiting]
        yield Finding(
            "tuning_untrained",
            tuple(one.variant for one in waiting),
            f"Without a result at the chosen {last} yet: {listed(names)}.",
        )


def _names(tunings: Sequence[Tuning]) -> list[str]:
    return list(dict.fromkeys(one.variant for one in tunings))


def tuning_caveats(finished: DataFrame) -> Iterator[Finding]:
    """Yield what limits tuning: one run per value, values at the edge, keys that were not tuned.

    Args:
        finished: rows of finished runs of the table from `frame`.
    """
    for key, tunings in tunings_in(finished).items():
        last = key.rpartition(".")[2]
        yield Finding(
            "one_trial",
            (),
            f"Each {last} was tried with one run per variant: between values of similar validation"
            " accuracy, chance chose. No other key was tuned with it.",
        )
        edge = [one for one in tunings if one.is_at_edge]
        if edge:
            names = [f"{one.variant} ({as_typed(one.chosen)})" for one in edge]
            yield Finding(
                "edge_of_grid",
                tuple(one.variant for one in edge),
                f"The chosen {last} is the lowest or the highest that was tried for"
                f" {listed(names)}: a wider grid may do better.",
            )


def describe_tuning(finished: DataFrame) -> Iterator[Finding]:
    """Yield how each key was tuned.

    Args:
        finished: rows of finished runs of the table from `frame`.
    """
    for key, tunings in tunings_in(finished).items():
        grids = list(dict.fromkeys(one.values for one in tunings))
        values = "; ".join(listed(list(map(as_typed, one))) for one in grids)
        seeds = sorted({one.seed for one in tunings})
        yield Finding(
            "tuning",
            (),
            f"Tuning: each of {counted(len(_names(tunings)), 'variant')} was trained with {key} at"
            f" {values}, one run each with the training length of the results, seed"
            f" {listed(list(map(str, seeds)))}, which no result has. The value with the highest"
            " validation accuracy was chosen, of equal ones that nearest to the config's own. Its"
            " results are of other seeds.",
        )
