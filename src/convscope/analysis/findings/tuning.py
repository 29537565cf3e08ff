"""Findings on fair tuning: whether the ranking at one value for all holds with each at its best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pandas import DataFrame

from convscope.analysis.choice import VALIDATION, Ranking, rank, with_result
from convscope.analysis.findings.fairness import changed_places, pairs_agree, signs
from convscope.analysis.findings.finding import Finding, within
from convscope.analysis.frame import by_setting
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
        yield from changed_places(at_own, at_best, self._each)
        if at_own.repeated and at_best.repeated:
            own, best = signs(self.own), signs(self.best)
            yield from self._reversals([pair for pair in own if own[pair] * best[pair] < 0])
            yield pairs_agree(own, best, self._for_all, self._each)
        else:
            yield Finding(
                "tuning_not_tested",
                (),
                "Whether such a change is more than chance is not known: that needs two seeds or"
                " more of every variant, at both values (repeat=5 trains five).",
            )

    @property
    def _for_all(self) -> str:
        return f"with one {self.key} for all ({as_typed(self.value)})"

    @property
    def _each(self) -> str:
        return f"with each variant at its chosen {self.key}"

    def _leaders(self, at_own: Ranking, at_best: Ranking) -> Finding:
        by = "validation" if at_own.by == at_best.by == VALIDATION else "test"
        before, after = at_own.best["variant"], at_best.best["variant"]
        what = f"the highest mean {by} accuracy"
        if before == after:
            sentence = (
                f"The best stays the best: {before} has {what} {self._for_all} and {self._each}."
            )
            return Finding("tuning_keeps_best", (before,), sentence)
        sentence = (
            f"The best changes: {self._for_all}, {before} has {what}; {self._each}, {after} has."
        )
        return Finding("tuning_changes_best", (after, before), sentence)

    def _reversals(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Finding]:
        """Yield the pairs that differ significantly in opposite directions; one finding each."""
        if not pairs:
            sentence = (
                "No pair of variants differs significantly in test accuracy in opposite directions."
            )
            yield Finding("tuning_reverses_none", (), sentence)
            return
        own, best = (runs.groupby("name")["test_accuracy"].mean() for runs in (self.own, self.best))
        ordered = [pair if best[pair[0]] > best[pair[1]] else pair[::-1] for pair in pairs]
        texts = [
            f"{better} is better than {worse} by {percentage_points(best[better] - best[worse])}"
            f" {self._each}, and worse by {percentage_points(own[worse] - own[better])}"
            f" {self._for_all}"
            for better, worse in ordered[:_MOST]
        ]
        more = len(pairs) - _MOST
        rest = f"; and {counted(more, 'more pair')}" if more > 0 else ""
        sentence = (
            f"The ranking does not hold: {counted(len(pairs), 'pair')} of variants"
            f" {'differs' if len(pairs) == 1 else 'differ'} significantly in test accuracy in"
            f" opposite directions: {'; '.join(texts)}{rest}."
        )
        for better, worse in ordered:
            yield Finding(
                *("tuning_reverses", (better, worse), sentence, float(best[better] - best[worse])),
                metric="test_accuracy",
                statistic="difference",
            )
            sentence = ""


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
            f"The trials of every variant choose the config's own {last}: all are compared at their"
            " chosen values already.",
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
            " accuracy, chance may have chosen. Only this key was tuned.",
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
