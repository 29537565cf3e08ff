"""Decisions of sequential studies, and what is said of them."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from pandas import DataFrame

from convscope.analysis.equivalence import EQUIVALENT
from convscope.analysis.findings import caveats, describe_methods, sentences, summarize
from convscope.analysis.pairwise import differences
from convscope.analysis.sequential import (
    IMAGES,
    OPEN,
    OUT_OF_REACH,
    Decision,
    Rule,
    as_sequential,
    decisions,
    rule_of,
)

Runs = Callable[..., DataFrame]
Conv = tuple[object, object, object]

BEST = Rule("best", 0.001, 10, 10)
RANKING = Rule("ranking", 0.001, 10, 10)
CONVS: list[Conv] = [(3, 1, 0), (5, 1, 0), (3, 1, 1), (5, 1, 2), (7, 1, 3), (3, 2, 0), (3, 2, 1)]


def planted(means: Iterable[float], std: float = 0.0006) -> dict[Conv, list[float]]:
    """Accuracies on 10,000 images of variants with these means, whose seeds spread equally."""
    noise = std * np.array([1, -1, 0.6, -0.6, 1.2, -1.2, 0.4, -0.4, 0.9, -0.9])
    return {conv: list(np.round(mean + noise, 4)) for conv, mean in zip(CONVS, means, strict=False)}


def decided(runs: DataFrame, rule: Rule) -> list[Decision]:
    return list(decisions(as_sequential(runs, rule), rule))


def used(runs: DataFrame, rule: Rule) -> DataFrame:
    """The runs that a sweep would have trained, as its records say."""
    runs = as_sequential(runs, rule)
    kept = dict.fromkeys(runs["group"], 2)
    for decision in decisions(runs, rule):
        seeds = [look.seeds for look in rule.looks if look.number == decision.look.number + 1]
        kept |= dict.fromkeys(decision.go_on, *seeds) if decision.go_on else {}
    return runs[runs["seed"] < runs["group"].map(kept)]


def names(runs: DataFrame, groups: Iterable[str]) -> list[str]:
    labels = runs.drop_duplicates("group").set_index("group")["variant"]
    return sorted(labels[list(groups)])


def test_variants_that_are_worse_than_another_get_no_more_seeds(make_runs: Runs) -> None:
    runs = make_runs(planted([0.99, 0.9895, 0.98, 0.97]))
    first, *others = decided(runs, BEST)
    assert first.look.seeds == 2
    assert names(runs, first.worse) == ["k3-s1-p1", "k5-s1-p2"]
    assert names(runs, first.go_on) == ["k3-s1-p0", "k5-s1-p0"]
    assert all(names(runs, one.compared) == ["k3-s1-p0", "k5-s1-p0"] for one in others)
    assert others[-1].go_on == ()


def test_a_ranking_goes_on_with_those_that_are_worse(make_runs: Runs) -> None:
    runs = make_runs(planted([0.99, 0.9895, 0.98, 0.9795]))
    first, *_ = decided(runs, RANKING)
    assert len(first.worse) == 2
    assert names(runs, first.go_on) == names(runs, first.compared)
    assert first.pairs["is_settled"].sum() == 4


def test_only_complete_looks_decide(make_runs: Runs) -> None:
    values = planted([0.99, 0.9895, 0.98])
    values[CONVS[1]] = values[CONVS[1]][:4]
    assert [one.look.seeds for one in decided(make_runs(values), BEST)] == [2, 3]
    values[CONVS[2]] = values[CONVS[2]][:1]
    assert decided(make_runs(values), BEST) == []


def test_the_final_comparison_is_that_of_the_last_looks(make_runs: Runs) -> None:
    everything = make_runs(planted([0.99, 0.9895, 0.9885, 0.98, 0.97]))
    for rule in (BEST, RANKING):
        runs = used(everything, rule)
        assert 10 < len(runs) < len(everything)
        assert rule_of(runs) == rule
        pairs = differences(runs).set_index(["first", "second"])["differs"]
        latest = {
            frozenset((pair.first, pair.second)): pair.verdict == "different"
            for decision in decisions(runs, rule)
            for pair in decision.pairs.itertuples()
        }
        assert {pair: value for pair, value in latest.items() if value} == {
            frozenset(pair): True
            for pair, differs in pairs.items()
            if differs and frozenset(pair) in latest
        }


def test_a_failed_run_does_not_stop_its_variant(make_runs: Runs) -> None:
    values: dict[Conv, list[float | None]] = dict(planted([0.99, 0.9895, 0.9893]))
    values[CONVS[0]] = [None, *values[CONVS[0]][1:]]
    runs = make_runs(values)
    first, second, *_ = decided(runs, BEST)
    # One result is none yet that could be compared.
    assert names(runs, first.go_on) == ["k3-s1-p0", "k3-s1-p1", "k5-s1-p0"]
    assert len(first.pairs) == 1
    assert len(second.pairs) == 3


def test_a_variant_without_any_result_is_stopped(make_runs: Runs) -> None:
    values: dict[Conv, list[float | None]] = dict(planted([0.99, 0.9895, 0.9893]))
    values[CONVS[0]] = [None, None]
    first, *_ = decided(make_runs(values), BEST)
    assert len(first.compared) == 3
    assert len(first.go_on) == 2


@pytest.mark.parametrize("accuracy", [1.0, 0.99])
def test_ties_are_equivalent(make_runs: Runs, accuracy: float) -> None:
    runs = make_runs({conv: [accuracy] * 10 for conv in CONVS[:3]})
    (only,) = decided(runs, RANKING)
    assert set(only.pairs["verdict"]) == {EQUIVALENT}
    assert only.go_on == ()


def test_seeds_that_would_most_probably_decide_nothing_are_saved(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 0): [0.98, 0.99] * 5, (5, 1, 0): [0.98, 0.9902] * 5})
    found = decided(runs, Rule("best", 0.0001, 10, 10))
    assert list(found[-1].pairs["verdict"]) == [OUT_OF_REACH]
    assert found[-1].look.seeds < 10
    # With more seeds allowed, the same study goes on.
    more = decided(runs, Rule("best", 0.0001, 10, 100_000))
    assert list(more[len(found) - 1].pairs["verdict"]) == [OPEN]


def test_no_number_of_seeds_shows_what_the_images_hide(
    make_runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_runs(planted([0.99, 0.9895]))

    def with_images(seen: DataFrame, **only: object) -> DataFrame:
        pairs = differences(seen, **only)  # type: ignore[arg-type]
        return pairs.assign(image_error=0.9 * pairs["error"])

    monkeypatch.setattr("convscope.analysis.sequential.differences", with_images)
    found = decided(runs, Rule("best", 1e-6, 10, 10))
    assert found[-1].pairs["verdict"].iloc[0] in (IMAGES, "different")


def said(runs: DataFrame) -> str:
    return "\n".join([*sentences(summarize(runs)), *sentences(caveats(runs))])


def test_what_is_said_of_a_settled_study(make_runs: Runs) -> None:
    text = said(used(make_runs(planted([0.99, 0.985, 0.98, 0.97])), BEST))
    assert "to settle which variants may be the best (repeat=auto): the last was look" in text
    assert "Settled: each variant but k3-s1-p0 is significantly worse than another one." in text
    assert "Not every variant was trained with the same seeds" not in text
    assert "with more seeds, smaller differences become significant" not in text


def test_what_is_said_of_what_is_not_settled(make_runs: Runs) -> None:
    runs = used(make_runs(planted([0.99, 0.9896, 0.98, 0.97])), BEST)
    text = said(runs)
    assert "k3-s1-p0 and k5-s1-p0 may each be the best: none is significantly worse" in text
    assert "k3-s1-p0 against k5-s1-p0." in text
    assert "Numbers of seeds differ by design, from 2 to " in text
    methods = " ".join(sentences(describe_methods(runs)))
    assert "2, 3, 5, 7 and 10 of them" in methods
    # The same runs by repeat=10 are no sequential study.
    fixed = make_runs(planted([0.99, 0.9896, 0.98, 0.97]))
    assert "repeat=auto" not in said(fixed)
    assert "repeat=auto" not in " ".join(sentences(describe_methods(fixed)))


def test_what_is_said_of_a_ranking(make_runs: Runs) -> None:
    text = said(used(make_runs(planted([0.99, 0.9896, 0.98, 0.97])), RANKING))
    assert "to settle which variants differ" in text
    assert "5 of 6 pairs of variants are significantly different." in text


def test_before_the_first_look(make_runs: Runs) -> None:
    runs = as_sequential(make_runs({(3, 1, 0): [0.99], (5, 1, 0): [0.98, 0.97]}), BEST)
    assert "repeat=5" in said(runs)


def false_differences(make_runs: Runs, number: int, means: Iterable[float]) -> int:
    """In how many planted studies a look calls variants different that are equal."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(number):
        true = dict(zip(CONVS, means, strict=False))
        drawn = {
            conv: list(np.round(mean + 0.0006 * rng.standard_normal(10), 4))
            for conv, mean in true.items()
        }
        runs = make_runs(drawn)
        of = dict(zip(runs["group"].unique(), true.values(), strict=True))
        wrong += any(
            pair.verdict == "different" and of[pair.first] == of[pair.second]
            for decision in decided(runs, RANKING)
            for pair in decision.pairs.itertuples()
        )
    return wrong


EQUAL, PARTLY = [0.99] * 5, [0.992, 0.99, 0.99, 0.99, 0.985]


@pytest.mark.parametrize("means", [EQUAL, PARTLY])
def test_false_differences_are_rare_at_any_look(make_runs: Runs, means: list[float]) -> None:
    # Of 20 studies at 5 %, more than 4 are wrong with a probability of 0.3 %.
    assert false_differences(make_runs, 20, means) <= 4


@pytest.mark.fuzz
@pytest.mark.parametrize("means", [EQUAL, PARTLY])
def test_at_most_five_percent_are_wrong_at_any_look(make_runs: Runs, means: list[float]) -> None:
    # Of 1,000 studies at 5 %, more than 71 are wrong with a probability of 0.1 %.
    assert false_differences(make_runs, 1_000, means) <= 71
