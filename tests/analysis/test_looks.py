"""Looks of a sequential study: their levels, and what each compares."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from pandas import DataFrame

from convscope.analysis.looks import looks, samples_of, seeds_in_order
from convscope.analysis.pairwise import differences, differences_from, simultaneous_intervals

Runs = Callable[..., DataFrame]

AUTO = {"repeat": "auto", "max_repeat": 10, "settle": "best", "margin": 0.1}


def sequential(runs: DataFrame, **keys: object) -> DataFrame:
    """The runs as if a sweep with repeat=auto had trained them."""
    for record in runs["record"]:
        record.config.update(AUTO | keys)
    return runs


@pytest.mark.parametrize("planned", range(2, 60))
def test_levels_of_all_looks_add_up_to_five_percent_at_most(planned: int) -> None:
    plan = looks(planned)
    assert [one.number for one in plan] == list(range(1, len(plan) + 1))
    assert plan[0].seeds == 2
    assert plan[-1].seeds == planned
    assert all(after.seeds > before.seeds for before, after in itertools.pairwise(plan))
    assert all(one.share > 0 for one in plan)
    assert sum(one.share for one in plan) == pytest.approx(0.9)
    # However long the study goes on after that.
    further = looks(planned, 100_000)
    assert further[: len(plan)] == plan
    assert 0.99 < sum(one.share for one in further) < 1


def test_looks_of_the_default() -> None:
    assert [one.seeds for one in looks(10)] == [2, 3, 5, 7, 10]
    assert [one.seeds for one in looks(10, 20)] == [2, 3, 5, 7, 10, 14, 20]
    assert [one.seeds for one in looks(8)] == [2, 3, 5, 7, 8]
    assert [one.seeds for one in looks(10, 9)] == [2, 3, 5, 7]


ACCURACIES = {
    (3, 1, 0): [0.990, 0.991, 0.992, 0.993, 0.994, 0.991],
    (5, 1, 0): [0.988, 0.989, 0.991, 0.992, 0.993],
    (3, 2, 0): [0.900, 0.901],
}


def test_a_pair_is_compared_at_the_last_look_of_both(make_runs: Runs) -> None:
    runs = sequential(make_runs(ACCURACIES))
    of_fixed = make_runs(ACCURACIES)
    pairs = differences(runs)
    seeds = dict(
        zip(map(frozenset, pairs[["first", "second"]].to_numpy()), pairs["share"], strict=True)
    )
    groups = runs.drop_duplicates("group").set_index("variant")["group"]
    k3, k5, k3s2 = (groups[label] for label in ("k3-s1-p0", "k5-s1-p0", "k3-s2-p0"))
    shares = {one.seeds: one.share for one in looks(10)}
    # The sixth seed of k3 belongs to no look that is complete.
    assert seeds == {
        frozenset({k3, k5}): shares[5],
        frozenset({k3, k3s2}): shares[2],
        frozenset({k5, k3s2}): shares[2],
    }
    for number, known in ((2, {k3, k3s2}), (5, {k3, k5})):
        then = differences(of_fixed[of_fixed["seed"] < number], level=0.05 * shares[number])
        both = then[["first", "second"]].isin(known).all(axis="columns")
        now = pairs[pairs[["first", "second"]].isin(known).all(axis="columns")]
        for name in ("difference", "low", "high", "differs"):
            assert now[name].item() == then[both][name].item()
        expected = min(1, then[both]["p_value"].item() / shares[number])
        assert now["p_value"].item() == pytest.approx(expected)
    others = differences_from(runs, k3, [k5, k3s2])
    assert list(others.index) == [k5, k3s2]
    assert sorted(-others["difference"]) == sorted(pairs["difference"][pairs["first"] == k3])
    assert list(simultaneous_intervals(runs)["number"]) == [3, 3, 3]


def test_an_incomplete_look_does_not_count(make_runs: Runs) -> None:
    runs = sequential(make_runs({conv: values[:4] for conv, values in ACCURACIES.items()}))
    running = (runs["seed"] == 2) & (runs["variant"] == "k3-s1-p0")
    runs.loc[running, "status"] = "running"
    assert set(differences(runs)["share"]) == {looks(10)[0].share}
    # A failed run has ended: its variant is compared with one seed less.
    runs.loc[running, "status"] = "failed"
    assert sorted(set(differences(runs)["share"])) == [one.share for one in looks(10)[:2]]


def test_one_seed_is_no_look(make_runs: Runs) -> None:
    runs = sequential(make_runs({conv: values[:1] for conv, values in ACCURACIES.items()}))
    assert differences(runs).empty
    assert list(samples_of(runs)) == []


def test_seeds_of_other_runs_come_last(make_runs: Runs) -> None:
    runs = sequential(make_runs(ACCURACIES))
    runs["seed"] += 100
    runs.loc[runs["seed"] == 105, "seed"] = 3
    assert seeds_in_order(runs) == [100, 101, 102, 103, 104, 3]


def test_a_larger_max_repeat_continues_the_study(make_runs: Runs) -> None:
    values = np.linspace(0.98, 0.99, 14)
    runs = sequential(make_runs({(3, 1, 0): values, (5, 1, 0): values + 0.002}))
    for record in runs["record"]:
        record.config["max_repeat"] = 20 if record.config["seed"] > 9 else 10
    assert set(differences(runs)["share"]) == {looks(10, 14)[-1].share}
