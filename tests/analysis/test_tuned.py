"""Studies in which a key was tuned per variant, with planted results."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

from convscope.analysis.choice import variant_families
from convscope.analysis.findings import caveats, describe_methods, headlines, sentences, summarize
from convscope.analysis.frame import by_setting, row, tabulate
from convscope.analysis.groups import grouped
from convscope.analysis.lookup import find_sides
from convscope.analysis.select import select_runs
from convscope.errors import UserError
from convscope.report.comparison import tuning
from convscope.runs.record import RunRecord
from convscope.runs.tuning import Trial, Tuning, note

from ..studies import both, make_record, results, write_run

GRID = (0.005, 0.01, 0.02, 0.04, 0.08)
OWN = 0.02
KERNELS = (3, 5, 7)
SEEDS = range(3)
STUDY = Path("outputs/study")

Truth = Callable[[int, float], float | None]
"""The accuracy of a kernel size at a rate; None where training fails."""


def flips(kernel: int, rate: float) -> float:
    """k7 is the worst at 0.02, as its best rate is 0.08: four times that of the others."""
    if kernel == 7:
        return {0.005: 0.90, 0.01: 0.91, 0.02: 0.92, 0.04: 0.95, 0.08: 0.98}[rate]
    return {0.005: 0.93, 0.01: 0.95, 0.02: 0.96, 0.04: 0.94, 0.08: 0.90}[rate] + kernel / 1000


def run(kernel: int, rate: float, seed: int, accuracy: float | None, **fields: Any) -> RunRecord:
    failed = {"status": "failed", "reason": "the loss is NaN"} if accuracy is None else {}
    # Seeds differ by a tenth of a point.
    found = results("", seed) | both((accuracy or 0) + 0.001 * (seed % 10))
    config = {"optim": {"lr": rate}}
    return make_record(
        STUDY, (kernel, 1, "half"), seed, lambda *_: found, config=config, **failed, **fields
    )


def trial(kernel: int, rate: float, truth: Truth, grid: tuple[float, ...] = GRID) -> RunRecord:
    one = run(kernel, rate, 10_000, truth(kernel, rate))
    of_trial = note("optim.lr", grid, OWN)
    return dataclasses.replace(one, environment=one.environment | of_trial)


def study(
    truth: Truth, chosen: Mapping[int, float], grid: tuple[float, ...] = GRID
) -> list[RunRecord]:
    """The records of a tuned study, where these rates are chosen."""
    return [
        *(trial(kernel, rate, truth, grid) for kernel in KERNELS for rate in grid),
        *(
            run(kernel, rate, seed, truth(kernel, rate))
            for kernel in KERNELS
            for rate in {OWN, chosen.get(kernel, OWN)}
            for seed in SEEDS
        ),
    ]


def table(records: list[RunRecord]) -> DataFrame:
    return tabulate([row(one) for one in records])[0]


FLIPPED = study(flips, {7: 0.08})


def test_a_variant_whose_best_rate_is_four_times_the_others_flips_from_last_to_first() -> None:
    runs = table(FLIPPED)
    first, *_ = sentences(summarize(runs))
    assert first == (
        "Tuning of optim.lr: The best changes: with one lr for all (0.02), k5-s1-p2 has the highest"
        " mean validation accuracy; with each variant at its chosen lr, k7-s1-p3 has. The order of"
        " the 3 variants by mean validation accuracy is another with each variant at its chosen lr:"
        " k5-s1-p2 from 1 to 2, k3-s1-p1 from 2 to 3 and k7-s1-p3 from 3 to 1. The ranking does not"
        " hold: 2 pairs of variants differ significantly in test accuracy in opposite directions:"
        " k7-s1-p3 is better than k3-s1-p1 by 1.70 points with each variant at its chosen lr, and"
        " worse by 4.30 points with one lr for all (0.02); k7-s1-p3 is better than k5-s1-p2 by 1.50"
        " points with each variant at its chosen lr, and worse by 4.50 points with one lr for all"
        " (0.02). Of their 3 pairs, 0 are significantly different in test accuracy in the same"
        " direction in both, 2 in opposite directions and 1 in neither (family-wise 5 % in each"
        " comparison). Variants that do not differ significantly may change places by chance."
    )
    reversed_pairs = {
        one.subjects: one.estimate for one in summarize(runs) if one.kind == "tuning_reverses"
    }
    assert reversed_pairs == {
        ("k7-s1-p3", "k5-s1-p2"): pytest.approx(0.015),
        ("k7-s1-p3", "k3-s1-p1"): pytest.approx(0.017),
    }
    assert sentences(headlines(runs))[0] == first


def test_both_verdicts_are_stated() -> None:
    texts = sentences(summarize(table(FLIPPED)))
    assert any(one.startswith("lr 0.02: k5-s1-p2 has the highest") for one in texts)
    assert any(one.startswith("tuned lr: k7-s1-p3 has the highest") for one in texts)
    assert any(one.startswith("k7-s1-p3: tuned lr has the highest") for one in texts)
    # Their own value was chosen: nothing to compare it with.
    assert not any(one.startswith(("k3-s1-p1:", "k5-s1-p2:")) for one in texts)
    assert not any("Nothing to compare with" in one for one in texts)


def test_trials_are_no_results() -> None:
    runs = table(FLIPPED)
    assert not (runs["seed"] >= 10_000).any()
    assert sorted(runs["setting"].unique()) == ["lr 0.02", "tuned lr"]
    families = {one.title: set(one.runs["variant"]) for one in variant_families(runs)}
    every = {"k3-s1-p1", "k5-s1-p2", "k7-s1-p3"}
    assert families == {"lr 0.02": every, "tuned lr": every}
    groups = grouped(runs).set_index("label")
    assert groups["runs"].eq(len(SEEDS)).all()
    assert groups.loc["k7-s1-p3 (tuned lr)", "test_accuracy"] == pytest.approx(0.981)
    # A variant that keeps its value is compared in both settings, and is one line.
    assert list(groups.index) == [
        "k3-s1-p1 (lr 0.02)",
        "k5-s1-p2 (lr 0.02)",
        "k7-s1-p3 (tuned lr)",
        "k7-s1-p3 (lr 0.02)",
    ]
    assert list(groups["family"].fillna("")) == ["both", "both", "tuned lr", ""]
    assert sentences(describe_methods(runs))[0].startswith("12 finished runs of 3 variants")


def test_the_table_of_trials_marks_the_chosen_value_and_the_own_one() -> None:
    ((found, legend),) = tuning(table(FLIPPED))
    assert found.columns == (
        "<variant",
        *("lr 0.005", "lr 0.01", "lr 0.02", "lr 0.04", "lr 0.08"),
    )
    assert found.rows == (
        ("k3-s1-p1", "93.30 %", "95.30 %", "96.30 % *°", "94.30 %", "90.30 %"),
        ("k5-s1-p2", "93.50 %", "95.50 %", "96.50 % *°", "94.50 %", "90.50 %"),
        ("k7-s1-p3", "90.00 %", "91.00 %", "92.00 % °", "95.00 %", "98.00 % *"),
    )
    assert "seed 10000" in legend


def test_caveats_say_what_was_tuned_and_what_a_wider_grid_may_change() -> None:
    runs = table(FLIPPED)
    texts = sentences(caveats(runs))
    assert not any("not tuned per variant" in one for one in texts)
    assert (
        "Each lr was tried with one run per variant: between values of similar validation accuracy,"
        " chance may have chosen. Only this key was tuned." in texts
    )
    assert (
        "The chosen lr is the lowest or the highest that was tried for k7-s1-p3 (0.08): a wider"
        " grid may do better." in texts
    )
    (how,) = [one for one in sentences(describe_methods(runs)) if one.startswith("Tuning")]
    assert "each of 3 variants was trained with optim.lr at 0.005, 0.01, 0.02, 0.04 and 0.08" in how
    # One variant more, at the config's own value only.
    mixed = [*FLIPPED, *(run(9, OWN, seed, 0.9) for seed in SEEDS)]
    assert (
        "The training of k9-s1-p4 (lr 0.02) was not tuned per variant: with other values, these may"
        " be better." in sentences(caveats(table(mixed)))
    )
    untuned = [one for one in FLIPPED if "tuning" not in one.environment and one.config["seed"] < 3]
    assert any("not tuned per variant" in one for one in sentences(caveats(table(untuned))))


def test_a_ranking_that_holds_is_said_to_hold() -> None:
    def shifted(kernel: int, rate: float) -> float:
        return 0.90 + kernel / 100 - (0.0 if rate == 0.04 else 0.02)

    (first, *_) = sentences(summarize(table(study(shifted, dict.fromkeys(KERNELS, 0.04)))))
    assert first == (
        "Tuning of optim.lr: The best stays the best: k7-s1-p3 has the highest mean validation"
        " accuracy with one lr for all (0.02) and with each variant at its chosen lr. The order of"
        " the 3 variants by mean validation accuracy is the same in both. No pair of variants"
        " differs significantly in test accuracy in opposite directions. Of their 3 pairs, 3 are"
        " significantly different in test accuracy in the same direction in both (family-wise 5 %"
        " in each comparison)."
    )


def test_where_every_variant_keeps_its_value_there_is_one_verdict() -> None:
    def same(kernel: int, rate: float) -> float:
        return 0.95 + kernel / 1000 - abs(rate - OWN)

    runs = table(study(same, {}))
    assert set(runs["setting"]) == {""}
    texts = sentences(summarize(runs))
    assert texts[0].startswith("k7-s1-p3 has the highest validation accuracy of 3 variants")
    assert texts[-1] == (
        "Tuning of optim.lr: The trials of every variant choose the config's own lr: all are"
        " compared at their chosen values already."
    )


def test_a_variant_all_of_whose_trials_fail_has_no_tuned_result() -> None:
    def fails(kernel: int, rate: float) -> float | None:
        return None if kernel == 5 else flips(kernel, rate)

    runs = table(study(fails, {7: 0.08}))
    text = " ".join(sentences(summarize(runs)))
    assert "No run with any lr that was tried finished for k5-s1-p2: no tuned result." in text
    tuned = dict(by_setting(runs))["tuned lr"]
    assert set(tuned["variant"]) == {"k3-s1-p1", "k7-s1-p3"}
    ((found, _),) = tuning(runs)
    assert ("failed", "failed", "failed °", "failed", "failed") in [line[1:] for line in found.rows]


def test_trials_that_have_not_ended_choose_nothing() -> None:
    without_last = [
        one
        for one in FLIPPED
        if not ("tuning" in one.environment and one.config["optim"]["lr"] == 0.08)
        and one.config["optim"]["lr"] in (*GRID[:4],)
    ]
    runs = table(without_last)
    assert set(runs["setting"]) == {""}
    texts = sentences(summarize(runs))
    assert texts[-1] == (
        "Tuning of optim.lr: The trials of k3-s1-p1, k5-s1-p2 and k7-s1-p3 have not all ended: no"
        " lr is chosen yet. The command of the sweep goes on."
    )


def test_only_trials_are_an_empty_table() -> None:
    runs = table([one for one in FLIPPED if "tuning" in one.environment])
    assert runs.empty


def test_runs_at_other_values_stay_a_setting_of_their_own() -> None:
    """An ordinary sweep over the rates before: all variants at 0.08."""
    more = [run(k, 0.08, seed, flips(k, 0.08)) for k in (3, 5) for seed in SEEDS]
    runs = table([*FLIPPED, *more])
    families = {one.title: set(one.runs["variant"]) for one in variant_families(runs)}
    every = {"k3-s1-p1", "k5-s1-p2", "k7-s1-p3"}
    assert families == {"lr 0.02": every, "lr 0.08": every, "tuned lr": every}


def test_a_filter_leaves_the_settings_what_they_are() -> None:
    runs = select_runs(table(FLIPPED), "kernel_size == 7", None, single=False)
    assert set(runs["setting"]) == {"lr 0.02", "tuned lr"}
    runs = select_runs(table(FLIPPED), "kernel_size == 5", None, single=False)
    assert set(runs["setting"]) == {""}
    summarize(runs)


def test_rows_are_selected_by_family_and_not_by_the_trials() -> None:
    runs = table(FLIPPED)
    tuned = select_runs(runs, "family == 'tuned lr'", None, single=False)
    assert set(tuned["variant"]) == {"k7-s1-p3"}
    for expression, by in (("tuning == 'a'", None), (None, "tuning")):
        with pytest.raises(UserError, match="tuning is no column"):
            select_runs(runs, expression, by, single=False)


def tried(accuracies: Mapping[float, float | None], own: float = OWN) -> Tuning:
    trials = tuple(
        Trial(value, accuracy, "failed" if accuracy is None else "finished", None)
        for value, accuracy in accuracies.items()
    )
    return Tuning("subject", "k3-s1-p1", "optim.lr", own, 10_000, trials, tuple(accuracies))


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        ({0.01: 0.9, 0.02: 0.8, 0.04: 0.7}, 0.01),
        # The nearest to 0.02, by factor: 0.04 is as near as 0.01, which is the lower one.
        ({0.01: 0.9, 0.02: 0.8, 0.04: 0.9}, 0.01),
        ({0.005: 0.9, 0.02: 0.8, 0.04: 0.9}, 0.04),
        ({0.01: 0.9, 0.02: 0.9, 0.04: 0.9}, 0.02),
        ({0.01: None, 0.02: None, 0.04: 0.1}, 0.04),
        ({0.01: None, 0.02: None, 0.04: None}, None),
    ],
)
def test_the_highest_validation_accuracy_chooses(accuracies, chosen: float | None) -> None:
    for some in itertools.permutations(accuracies.items()):
        assert tried(dict(some)).chosen == chosen


def test_a_value_at_the_edge() -> None:
    assert tried({0.01: 0.9, 0.02: 0.8}).is_at_edge
    assert not tried({0.01: 0.8, 0.02: 0.9, 0.04: 0.8}).is_at_edge


def test_a_trial_of_a_key_that_there_is_not_tunes_nothing() -> None:
    damaged = [
        dataclasses.replace(one, environment=one.environment | note("optim.speed", GRID, OWN))
        for one in FLIPPED
        if "tuning" in one.environment
    ]
    untuned = [one for one in FLIPPED if "tuning" not in one.environment]
    runs = table([*damaged, *untuned])
    assert len(runs) == len(untuned)
    summarize(runs)
    caveats(runs)
    assert tuning(runs) == []


def test_a_trial_is_compared_with_another_run_by_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = FLIPPED[0], FLIPPED[-1]
    for record in (one, other):
        write_run(STUDY, record)
    _, first, second = find_sides([f"study/{one.name}", f"study/{other.name}"])
    assert list(first["seed"]) == [10_000]
    assert len(second) == 1
