"""Who leads a setting: worked out by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pandas import DataFrame

from convscope.analysis.choice import top_groups
from convscope.analysis.frame import Reader

Runs = Callable[..., DataFrame]
MakeStudy = Callable[..., Path]
MEANS = {"k3-s1-p0": 0.95, "k5-s1-p0": 0.99, "k3-s2-p0": 0.9895}


def planted(variant: str, seed: int) -> Mapping[str, float]:
    """A standard deviation of 0.1 points: by 0.05 points none is told apart, by 4 each is."""
    accuracy = MEANS.get(variant, 0.5) + [-0.001, 0, 0.001][seed]
    return {"test_accuracy": accuracy, "best_val_accuracy": accuracy}


def test_the_best_of_each_setting_and_what_is_as_good(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "s", [3, 5], [1], [0], metrics=planted)
    make_study(study, [3], [2], [0], metrics=planted)
    # By itself in another setting, with nothing to be compared with; and one that did not finish.
    make_study(study, [7], [1], [1], metrics=planted, config={"optim": {"lr": 0.5}})
    make_study(study, [9], [1], [1], [0], status="failed", reason="the loss is NaN")
    runs, _ = Reader([study]).read()
    variants = dict(zip(runs["group"], runs["variant"], strict=True))
    best, close, better = top_groups(runs)
    assert {variants[group] for group in best} == {"k5-s1-p0"}
    assert {variants[group] for group in close} == {"k3-s2-p0"}
    assert not better
    assert top_groups(runs[runs["status"] == "failed"]) == (frozenset(),) * 3


def test_the_choice_is_made_by_validation(make_runs: Runs) -> None:
    runs = make_runs(
        {
            (3, 1, "half"): [0.979, 0.980, 0.981],
            (5, 1, "half"): [0.979, 0.980, 0.981],
            (7, 1, "half"): [0.989, 0.990, 0.991],
            (9, 1, "half"): [0.969, 0.970, 0.971],
        }
    )
    runs["best_val_accuracy"] = (runs["variant"] == "k5-s1-p2") * 0.01 + 0.95
    variants = runs.drop_duplicates("group").set_index("group")["variant"]
    assert [{variants[group] for group in some} for some in top_groups(runs)] == [
        {"k5-s1-p2"},
        {"k3-s1-p1"},
        {"k7-s1-p3"},
    ]


def test_all_of_a_tie_lead(make_runs: Runs) -> None:
    # The same accuracies in another order add up to another last bit.
    of = [0.979, 0.9801, 0.9813]
    runs = make_runs({(3, 1, 0): of, (5, 1, 0): of[::-1], (7, 1, 1): [of[1], of[2], of[0]]})
    assert len(top_groups(runs).best) == 3


def test_a_single_run_does_not_lead_where_others_are_repeated(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 0): [0.97, 0.98], (5, 1, 0): [0.96, 0.97], (7, 1, 1): [0.999]})
    variants = runs.set_index("group")["variant"]
    assert [variants[group].iloc[0] for group in top_groups(runs).best] == ["k3-s1-p0"]
