"""Decisions of a sequential study: after each look, which variants get more seeds, and why.

A function of the runs only: whoever asks again, after a crash or years later, gets the same
decisions. Their tests are those of `pairwise`, at the level of each look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.special import stdtr

from convscope.analysis.equivalence import DIFFERENT, EQUIVALENT, MANY_DF, equivalence
from convscope.analysis.looks import (
    Look,
    looks,
    planned_seeds,
    reached_looks,
    seeds_in_order,
)
from convscope.analysis.pairwise import LEVEL, differences
from convscope.analysis.studentized import critical_value
from convscope.config.schema import AUTO

OUT_OF_REACH = "out of reach"
"""Most probably neither different nor equivalent, even with the largest number of seeds."""
IMAGES = "images"
"""Out of reach with any number of seeds: the sample of test images is too small."""
OPEN = "open"

_PROSPECT = 0.2
"""Predicted probability of a decision below which a pair is out of reach."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Rule:
    """What a sequential study wants to settle, as configured.

    Args:
        settle: `best`, whether each variant may be the best, or `ranking`, each pair.
        margin: differences below it do not matter, as a share: 0.001 are 0.1 points.
        planned: number of seeds for which the study was planned; see `looks.planned_seeds`.
        most: largest number of seeds.
    """

    settle: str
    margin: float
    planned: int
    most: int

    @property
    def looks(self) -> list[Look]:
        """The looks of the study."""
        return looks(self.planned, self.most)


@dataclass(frozen=True)
class Decision:
    """What a look has shown, and which variants get more seeds.

    Args:
        rule: of the study.
        look: the look.
        compared: ids of the groups that were compared: all at the first look, later those that
            went on.
        pairs: `first`, `second`, `verdict` and `is_settled` of each pair of them with two finished
            runs each; settled are pairs that are different or equivalent.
        worse: those of them that are significantly worse than another one.
        go_on: those that get the seeds of the next look; none after the last look.
    """

    rule: Rule
    look: Look
    compared: tuple[str, ...]
    pairs: DataFrame
    worse: tuple[str, ...]
    go_on: tuple[str, ...]


def rule_of(runs: DataFrame) -> Rule | None:
    """Return the rule by which the runs of a setting were trained; None if not sequential.

    If it was changed between commands, that of the run that was started last.
    """
    planned = planned_seeds(runs)
    if planned is None:
        return None
    records = [one for one in runs["record"] if one.config.get("repeat") == AUTO]
    last = max(records, key=lambda record: record.started_at).config
    return Rule(last["settle"], last["margin"] / 100, planned, last["max_repeat"])


def as_sequential(runs: DataFrame, rule: Rule) -> DataFrame:
    """Return the runs as members of a sequential study, whatever command has trained them."""
    keys = {
        "repeat": AUTO,
        "max_repeat": rule.planned,
        "settle": rule.settle,
        "margin": rule.margin * 100,
    }
    records = [replace(record, config=record.config | keys) for record in runs["record"]]
    return runs.assign(record=records)


def decisions(runs: DataFrame, rule: Rule) -> Iterator[Decision]:
    """Yield the decisions at all looks that are complete, in order.

    A look is complete when all its runs of the groups that went on have ended. A group of which no
    run has finished is stopped.

    Args:
        runs: table from `frame` of a sequential study, its rows of one setting.
        rule: what is to be settled.
    """
    possible = runs[runs["status"] != "skipped"]
    compared = tuple(possible["group"].unique())
    order = seeds_in_order(possible)
    reached = reached_looks(possible, order, rule.looks)
    for look in rule.looks:
        if not compared or (reached.reindex(compared, fill_value=0) < look.number).any():
            return
        seen = possible[possible["seed"].isin(order[: look.seeds])]
        decision = _decide(seen, rule, look, compared)
        yield decision
        compared = decision.go_on


def _decide(seen: DataFrame, rule: Rule, look: Look, compared: tuple[str, ...]) -> Decision:
    finished = set(seen["group"][seen["status"] == "finished"])
    pairs = differences(seen, only=combinations(compared, 2))
    verdicts = _verdicts(pairs, rule, look)
    pairs = pairs[["first", "second"]].assign(
        verdict=verdicts, is_settled=np.isin(verdicts, [DIFFERENT, EQUIVALENT])
    )
    is_different = pairs["verdict"] == DIFFERENT
    worse = set(pairs["second"][is_different])
    alive = [one for one in compared if one in finished]
    if rule.settle == "best":
        alive = [one for one in alive if one not in worse]
    is_decided = pairs["verdict"] != OPEN
    decided = {
        frozenset(pair) for pair in pairs[is_decided][["first", "second"]].itertuples(index=False)
    }
    # Groups with a single finished run are in no pair: they need another one.
    go_on = [
        one
        for one in alive
        if any(other != one and frozenset((one, other)) not in decided for other in alive)
    ]
    is_last = look == rule.looks[-1]
    return Decision(
        *(rule, look, compared, pairs),
        worse=tuple(one for one in compared if one in worse),
        go_on=() if is_last else tuple(go_on),
    )


def _verdicts(pairs: DataFrame, rule: Rule, look: Look) -> Array:
    """Return whether each pair is different, equivalent, out of reach or open."""
    is_hopeless, is_out_of_reach = (
        look.seeds < seeds and _prospect(pairs, rule, look, seeds) < _PROSPECT
        for seeds in (math.inf, rule.looks[-1].seeds)
    )
    is_equivalent = equivalence(pairs, rule.margin) < LEVEL
    verdicts: Array = np.select(
        [pairs["differs"].to_numpy(bool), is_equivalent, is_hopeless, is_out_of_reach],
        [DIFFERENT, EQUIVALENT, IMAGES, OUT_OF_REACH],
        OPEN,
    )
    return verdicts


def _prospect(pairs: DataFrame, rule: Rule, look: Look, seeds: float) -> Array:
    """Return the probability that a pair is different or equivalent with so many seeds.

    It is predicted from the present difference and its error, which knows nothing of the true
    difference (predictive power: Spiegelhalter, Freedman and Blackburn 1986).

    Args:
        pairs: from `differences` at this look.
        rule: of the study.
        look: the present look.
        seeds: larger number of seeds, which may be infinite; tested at the level of the last look.
    """
    if pairs.empty:
        return np.zeros(0)
    groups = int(pairs["groups"].iloc[0])
    difference, error, df, of_images = (
        pairs[name].to_numpy(float) for name in ("difference", "error", "df", "image_error")
    )
    # More seeds lower only the part of the error that comes from seeds.
    of_seeds = np.sqrt(np.maximum(error**2 - of_images**2, 0))
    later_error = np.sqrt(of_images**2 + of_seeds**2 * look.seeds / seeds)
    change = of_seeds * math.sqrt(1 - look.seeds / seeds)
    later_df = np.minimum(df * (seeds - 1) / (look.seeds - 1), MANY_DF)
    least, most = (
        critical_value(groups, later_df, level * rule.looks[-1].share) / math.sqrt(2) * later_error
        for level in (LEVEL, 2 * LEVEL)
    )
    within = np.maximum(rule.margin - most, 0)

    def below(bound: Array) -> Array:
        chance: Array = stdtr(df, (bound - difference) / change)
        return chance

    different = below(-least) + 1 - below(least)
    equivalent = below(within) - below(-within)
    chance: Array = np.minimum(different + equivalent, 1)
    return chance
