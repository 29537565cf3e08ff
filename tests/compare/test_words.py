"""The sentences, word by word, for studies whose numbers are worked out by hand."""

from collections.abc import Callable

import pandas as pd
import pytest
from pandas import DataFrame

from convscope.compare.frame import with_settings
from convscope.compare.words import caveats, measured, verdict
from convscope.compare.words.phrases import between, listed, points, share, times

Runs = Callable[..., DataFrame]

# Means 98, 97 and 96.9 %, each +- 0.1: a pooled standard deviation of 0.1 points.
THREE = {
    (5, 1, "half"): [0.979, 0.980, 0.981],
    (3, 1, "half"): [0.969, 0.970, 0.971],
    (3, 2, "half"): [0.968, 0.969, 0.970],
}


def test_a_clear_winner(make_runs: Runs) -> None:
    # q(0.95; 3, 6) = 4.339, over the root of 3: intervals of +- 0.25 points. Sums of squares, in
    # points²: kernel size 1.5 * 1², stride 1.5 * 0.1², seeds 6 * 0.1², of 2.28 in all.
    assert verdict(make_runs(THREE)) == [
        "k5-s1-p2 has the highest test accuracy, 98.00 % over 3 seeds (95 % interval 97.75 to "
        "98.25 %), at 12,858,240 MACs an image and 20,000 training samples/s.",
        "It is better than all 2 others: by 1.00 points (95 % interval 0.75 to 1.25) than "
        "k3-s1-p1, the best of them, and by 1.10 points than k3-s2-p1, the worst.",
        "No variant has both a higher mean accuracy and fewer MACs than these, the Pareto front, "
        "cheapest first: k3-s2-p1, k3-s1-p1 and k5-s1-p2.",
        "With more samples/s in place of fewer MACs, fastest first: k5-s1-p2.",
        "Of the variance in test accuracy, kernel size explains 66 %; 31 % cannot be put down "
        "to one of them, 3 % lies between seeds.",
        "No effect of stride shows.",
        "Test accuracy with the other factors evened out by main effects, as variants are missing: "
        "by kernel size 97.95 % (5), 96.95 % (3).",
        "The 10,000 test images are a sample too: at 98.00 % that alone is a standard error of "
        "0.14 points, which more seeds do not lower.",
    ]


def test_what_missing_variants_leave_untold(make_runs: Runs) -> None:
    # Sums of squares, in points²: kernel size and stride 1.5 * 29² each, seeds 2 * 0.1² twice and
    # 2 * 0.2², of 2 * 29² in all.
    # Added up they would put kernel 5 at stride 2 at 128 %.
    said = verdict(
        make_runs(
            {
                (3, 1, "half"): [0.699, 0.700, 0.701],
                (5, 1, "half"): [0.989, 0.990, 0.991],
                (3, 2, "half"): [0.988, 0.990, 0.992],
            }
        )
    )
    assert said[-3:-1] == [
        "Of the variance in test accuracy, kernel size explains 75 % and stride 75 %; 0.007 % "
        "lies between seeds. Variants are missing, and parts of this are counted twice.",
        "What a level reaches cannot be said: variants are missing, and effects do not add up.",
    ]


def test_what_cannot_be_told_apart_and_what_of_that_is_cheaper(make_runs: Runs) -> None:
    runs = make_runs({**THREE, (7, 2, "half"): [0.9787, 0.9797, 0.9807]})
    runs.loc[runs["variant"] == "k7-s2-p3", "train_samples_per_sec"] = 90_000.0
    _, margins, alike, bargain, *_ = verdict(runs)
    assert margins.startswith("It is better than 2 of the 3 others: by 1.00 points")
    # q(0.95; 4, 8) = 4.529.
    assert alike == (
        "It cannot be told apart from k7-s2-p3 (97.97 %): with these seeds, differences below "
        "about 0.26 points do not show."
    )
    assert bargain == (
        "Of these, k7-s2-p3 takes the fewest MACs (957,120, 7 % of k5-s1-p2's) and trains fastest "
        "(90,000 samples/s, 4.5 times k5-s1-p2's)."
    )


def test_nothing_is_better_where_nothing_differs(make_runs: Runs) -> None:
    said = verdict(make_runs({(k, 1, 0): [0.97 + 0.0001 * k, 0.98, 0.99] for k in (1, 3, 5)}))
    assert said[1].startswith(
        "It cannot be told apart from k3-s1-p0 (98.01 %) and k1-s1-p0 (98.00 %): with these seeds,"
    )
    assert not any("better" in sentence for sentence in said)
    assert "No effect of kernel size shows." in said


def test_a_factor_that_never_varies_alone_is_said_to_be_untold(make_runs: Runs) -> None:
    """Kernel 1 needs no padding: half is none."""
    said = verdict(make_runs({(k, s, "half"): [0.97, 0.98, 0.99] for k in (1, 3) for s in (1, 2)}))
    assert "No effect of stride shows." in said
    assert (
        "The effect of kernel size and padding cannot be told from that of the others: they vary "
        "together."
    ) in said


def test_a_larger_stride_that_wins_is_named_with_what_its_units_see(make_runs: Runs) -> None:
    said = verdict(
        make_runs(
            {
                (3, 1, "half"): [0.969, 0.970, 0.971],
                (3, 2, "half"): [0.979, 0.980, 0.981],
                (5, 1, "half"): [0.989, 0.990, 0.991],
                (5, 2, "half"): [0.985, 0.986, 0.987],
            }
        )
    )
    assert (
        "A larger stride alone makes k3-s2-p1 better than k3-s1-p1, by 1.00 points: a unit of its "
        "last feature map sees all 28 rows of the image, against 12 of 28 rows."
    ) in said


def test_no_stride_is_praised_that_only_looks_better(make_runs: Runs) -> None:
    said = verdict(
        make_runs({(3, 1, "half"): [0.96, 0.97, 0.98], (3, 2, "half"): [0.965, 0.975, 0.985]})
    )
    assert not any("larger stride" in sentence for sentence in said)


def test_single_runs_are_ranked_and_never_called_better(make_runs: Runs) -> None:
    said = verdict(make_runs({(3, 1, "half"): [0.97], (5, 1, "half"): [0.99]}))
    assert said[0] == (
        "k5-s1-p2 has the highest test accuracy of 2 variants, 99.00 % in a single run, at "
        "12,858,240 MACs an image and 20,000 training samples/s; whether it is better than another "
        "cannot be said before two of them have two seeds or more (repeat=5 trains five)."
    )
    assert not any("is better" in sentence.replace("whether it is better", "") for sentence in said)


def test_a_single_run_among_repeated_ones_is_left_out_by_name(make_runs: Runs) -> None:
    said = verdict(make_runs({**THREE, (7, 1, "half"): [0.999]}))
    assert said[0].startswith("Among those with two seeds or more, k5-s1-p2 has the highest")
    assert "Of k7-s1-p3 (99.90 %) there is a single run, too few to compare." in said


def test_one_run_alone(make_runs: Runs) -> None:
    assert verdict(make_runs({(3, 2, "half"): [0.9875]})) == [
        "k3-s2-p1 alone has a result: 98.75 % in a single run, at 176,320 MACs an image and 20,000 "
        "training samples/s.",
        "The 10,000 test images are a sample too: at 98.75 % that alone is a standard error of "
        "0.11 points, which more seeds do not lower.",
    ]


@pytest.mark.parametrize("accuracies", [{}, {(3, 1, 0): [None]}, {(7, 3, 0): [0.9]}])
def test_no_result_is_said(make_runs: Runs, accuracies: dict) -> None:
    runs = make_runs(accuracies)
    assert verdict(runs) == ["No run with a test accuracy has finished."]
    assert measured(runs) == []


def test_each_setting_has_its_own_paragraph(make_runs: Runs) -> None:
    tables = [make_runs(THREE, config={"optim": {"lr": rate}}) for rate in (0.01, 0.02)]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    first, second = verdict(runs)
    assert first.startswith("lr 0.01: k5-s1-p2 has the highest test accuracy, 98.00 %")
    assert second.startswith("lr 0.02: k5-s1-p2 has the highest test accuracy, 98.00 %")
    assert "Variants are compared within a setting alone, never across settings." in caveats(runs)
    assert measured(runs)[0] == (
        "18 finished runs of 3 variants in 2 settings: seeds 0, 1 and 2, 5 epochs."
    )


def test_speed_that_was_not_measured_is_not_mentioned(make_runs: Runs) -> None:
    runs = make_runs(THREE).assign(train_samples_per_sec=float("nan"))
    assert not any("samples/s" in sentence for sentence in verdict(runs))


def test_caveats(make_runs: Runs) -> None:
    runs = make_runs(
        {**THREE, (7, 1, "half"): [0.98, None], (7, 3, 0): [0.9, 0.9], (5, 2, 0): [0.9]}
    )
    running = runs["variant"].eq("k3-s1-p1") & runs["seed"].eq(2)
    runs.loc[running, "status"] = "running"
    runs.loc[runs["variant"].eq("k3-s2-p1") & runs["seed"].eq(1), "train_samples_per_sec"] = (
        30_000.0
    )
    assert caveats(runs) == [
        "3 runs skipped because the variant is impossible: k5-s2-p0 and k7-s3-p0.",
        "1 run still running: k3-s1-p1.",
        "1 run failed (k7-s1-p3): out of memory.",
        "Only 1 seed of k7-s1-p3: more would tell smaller differences apart.",
        "No variant was tuned by itself: all share one learning rate, schedule and number of "
        "epochs (0.02, 5 epochs). With others, another may win.",
        "The fastest run of a variant trained up to 1.5 times as fast as its slowest: the machine "
        "seems to have had other work, so small differences in speed mean nothing.",
    ]


def test_caveats_of_machines_and_versions(make_runs: Runs) -> None:
    runs = make_runs(THREE)
    runs.loc[:4, ["device", "threads", "torch"]] = ["NVIDIA H100", 16, "2.15.0"]
    said = caveats(runs)
    assert (
        "Samples/s of NVIDIA H100 with 16 threads and AMD EPYC with 2 threads are no measure of "
        "the variants."
    ) in said
    assert (
        "Runs were made with torch 2.14.1 and 2.15.0: speed and results may differ by that."
    ) in said


def test_how_it_was_measured(make_runs: Runs) -> None:
    said = measured(make_runs(THREE))
    assert said[:2] == [
        "9 finished runs of 3 variants: seeds 0, 1 and 2, 5 epochs.",
        "Data: mnist, 54,000 images to train, 6,000 to validate, 10,000 to test, 1x28x28 values "
        "each.",
    ]
    assert said[-3:] == [
        "Hardware: AMD EPYC, 2 threads, bf16-mixed.",
        "Made with Python 3.11.7, torch 2.14.1 and Lightning 2.6.6.",
        "Command: python scripts/train.py",
    ]


def test_several_data_sets_are_each_described(make_runs: Runs) -> None:
    tables = [
        make_runs({(3, 1, 0): [0.98]}, config={"data": {"name": name}})
        for name in ("mnist", "digits")
    ]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    assert [text.split(":")[0] for text in verdict(runs)] == ["dataset mnist", "dataset digits"]
    assert [text.split(",")[0] for text in measured(runs)[1:3]] == ["Data: mnist", "Data: digits"]


def test_phrases() -> None:
    assert points(0.0035) == "0.35 points"
    assert between(0.9871, 1.002) == "98.71 to 100.00 %"
    assert [share(part) for part in (0.514, 0.0041, 0.0)] == ["51 %", "0.4 %", "0 %"]
    assert [times(factor) for factor in (1.87, 22.4, 1234)] == [
        "1.9 times",
        "22 times",
        "1,234 times",
    ]
    assert listed(["a"]) == "a"
    assert listed(list("abc")) == "a, b and c"
    assert listed(list("abcdefghijk")) == "a, b, c, d, e, f, g and 4 more"
