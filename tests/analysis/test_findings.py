"""The sentences, word by word, for studies whose numbers are worked out by hand."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from convscope.analysis import findings
from convscope.analysis.choice import top_groups
from convscope.analysis.equivalence import judge
from convscope.analysis.frame import with_settings
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences

Runs = Callable[..., DataFrame]


def summarize(runs: DataFrame) -> list[str]:
    return findings.sentences(findings.summarize(runs))


def headlines(runs: DataFrame) -> list[str]:
    return findings.sentences(findings.headlines(runs))


def caveats(runs: DataFrame) -> list[str]:
    return findings.sentences(findings.caveats(runs))


def describe_methods(runs: DataFrame) -> list[str]:
    return findings.sentences(findings.describe_methods(runs))


# Means 98, 97 and 96.9 %, each +- 0.1: a pooled standard deviation of 0.1 points.
THREE = {
    (5, 1, "half"): [0.979, 0.980, 0.981],
    (3, 1, "half"): [0.969, 0.970, 0.971],
    (3, 2, "half"): [0.968, 0.969, 0.970],
}


def test_the_chosen_variant_and_the_others(make_runs: Runs) -> None:
    # Six degrees of freedom: t(1 - 0.05 / 6; 6) = 3.287 over the root of 3, intervals of the three
    # means of +- 0.19 points; q(0.95; 3, 6) = 4.339, of the differences of +- 0.25 points. Sums of
    # squares, in points²: kernel size 1.5 * 1², stride 1.5 * 0.1², seeds 6 * 0.1², of 2.28 in all.
    assert summarize(make_runs(THREE)) == [
        "k5-s1-p2 has the highest validation accuracy of 3 variants, 98.00 %; its test accuracy is "
        "98.00 % over 3 seeds (95 % interval 97.81 to 98.19 %, adjusted for the choice among 3), "
        "at 12,858,240 MACs an image and 20,000 training samples/s.",
        "In test accuracy it is significantly better than both others: by 1.00 points (95 % "
        "interval 0.75 to 1.25) than k3-s1-p1, the nearest of them, and by 1.10 points than "
        "k3-s2-p1, the farthest.",
        "Pareto front of mean validation accuracy and MACs, fewest MACs first: k3-s2-p1, k3-s1-p1 "
        "and k5-s1-p2. Neighbours on it need not differ significantly.",
        "Of the variance in test accuracy, kernel size accounts for 66 %; 31 % is shared between "
        "confounded factors, 0.7 % belongs to terms without a significant effect and 3 % lies "
        "between seeds.",
        "No significant effect (F test, 5 %): stride.",
        "Adjusted means of test accuracy (main-effects model, as variants are missing): 97.95 % at "
        "kernel size 5, 96.95 % at kernel size 3.",
        "The 10,000 test images are a sample too: this sampling gives 98.00 % a standard error "
        "of up to 0.14 points. That is not part of the intervals over seeds, and more seeds do not "
        "lower it.",
    ]


def test_the_choice_is_made_by_validation_and_the_test_accuracy_is_reported(
    make_runs: Runs,
) -> None:
    """k5 is chosen with 0.5 points less in the test than k3, which is named as better."""
    runs = make_runs({(3, 1, "half"): [0.979, 0.980, 0.981], (5, 1, "half"): [0.974, 0.975, 0.976]})
    runs["best_val_accuracy"] = runs["variant"].map({"k3-s1-p1": 0.96, "k5-s1-p2": 0.97})
    first, second, *_ = summarize(runs)
    # t(1 - 0.05 / 4; 4) = 3.495; q(0.95; 2, 4) = 3.927, over the root of 3: +- 0.23 points.
    assert first.startswith(
        "k5-s1-p2 has the highest validation accuracy of 2 variants, 97.00 %; its test accuracy is "
        "97.50 % over 3 seeds (95 % interval 97.30 to 97.70 %, adjusted for the choice among 2), "
    )
    assert second == (
        "In test accuracy k3-s1-p1 is significantly better than k5-s1-p2, by 0.50 points: "
        "validation and test do not agree."
    )


def test_without_a_validation_accuracy_the_choice_is_said_to_be_too_high(make_runs: Runs) -> None:
    first, second, *_ = summarize(make_runs(THREE).assign(best_val_accuracy=float("nan")))
    assert first.startswith("k5-s1-p2 has the highest test accuracy of 3 variants, 98.00 %: 98.00")
    assert second == (
        "Validation accuracies are missing, so it was chosen by the very accuracy that is "
        "reported: the highest of several is too high by chance, here by under 0.01 points "
        "(bootstrap over seeds)."
    ), "the nearest other is 0.9 points lower, and seeds differ by 0.1"


def test_all_of_a_tie_are_named(make_runs: Runs) -> None:
    said = summarize(make_runs({(k, 1, "half"): [0.97, 0.98, 0.99] for k in (3, 5, 7)}))
    assert said[0].startswith(
        "k3-s1-p1, k5-s1-p2 and k7-s1-p3 share the highest validation accuracy of 3 variants, "
        "98.00 %. Of these, k3-s1-p1 takes the fewest MACs: its test accuracy is 98.00 % over 3 "
    )
    assert said[1].startswith(
        "Not significantly different from it (95 %): k5-s1-p2 (98.00 %) and k7-s1-p3 (98.00 %)."
    )
    runs = make_runs({(3, 1, p): [0.97, 0.98] for p in ("half", "full")}).assign(macs=7.0)
    assert "Of these, k3-s1-p1 is listed first: its test accuracy" in summarize(runs)[0]


def test_shares_that_would_exceed_100_percent_are_not_given(make_runs: Runs) -> None:
    # Sums of squares, in points²: kernel size and stride 1.5 * 29² each, seeds 2 * 0.1² twice and
    # 2 * 0.2², of 2 * 29² in all.
    # Added up they would put kernel 5 at stride 2 at 128 %.
    said = summarize(
        make_runs(
            {
                (3, 1, "half"): [0.699, 0.700, 0.701],
                (5, 1, "half"): [0.989, 0.990, 0.991],
                (3, 2, "half"): [0.988, 0.990, 0.992],
            }
        )
    )
    assert said[-4:-1] == [
        "Of the variance in test accuracy, over 99 % lies between variants and 0.007 % between "
        "seeds. It is not split between factors: variants or runs are missing, and the factors' "
        "parts overlap.",
        "Significant (F tests, 5 % each): kernel size and stride.",
        "Adjusted means are not listed: variants are missing, and the main-effects model leads "
        "outside 0 to 100 %.",
    ]


def test_what_does_not_differ_significantly_and_what_of_that_is_cheaper(make_runs: Runs) -> None:
    runs = make_runs({**THREE, (7, 2, "half"): [0.9787, 0.9797, 0.9807]})
    runs.loc[runs["variant"] == "k7-s2-p3", "train_samples_per_sec"] = 90_000.0
    _, margins, alike, bargain, undecided, power, *_ = summarize(runs)
    assert margins.startswith("In test accuracy it is significantly better than 2 of the 3 others:")
    assert alike == "Not significantly different from it (95 %): k7-s2-p3 (97.97 %)."
    assert undecided == (
        "It is undecided whether k7-s2-p3 is equivalent to k5-s1-p2 within 0.1 points (two "
        "one-sided tests, 5 %)."
    )
    # q(0.95; 4, 8) = 4.529, and 0.26 points are just significant; 0.34 are so in 80 % of studies.
    assert power.startswith(
        "At the spread seen here, this study had an 80 % chance to show a true difference of 0.34 "
        "points from k5-s1-p2; a difference of 0.1 points needs "
    )
    assert bargain == (
        "Of these, k7-s2-p3 takes the fewest MACs (957,120, 7 % of k5-s1-p2's) and trains 4.5 "
        "times as fast as k5-s1-p2 (95 % interval 4.50 to 4.50)."
    )


def test_the_least_significant_difference_is_that_of_each_pair(make_runs: Runs) -> None:
    """Seeds of one variant spread 20 times as far: its pairs need far larger differences."""
    runs = make_runs(
        {
            (3, 1, "half"): [0.979, 0.980, 0.981],
            (5, 1, "half"): [0.9785, 0.9795, 0.9805],
            (7, 1, "half"): [0.955, 0.975, 0.995],
        }
    )
    pairs = judge(differences(runs), runs)
    is_of_best = pairs[["first", "second"]].eq(runs["group"].iloc[0]).any(axis=1)
    halves = 100 * (pairs["high"] - pairs["difference"])[is_of_best]
    assert halves.max() > 1.2 * halves.min()
    of_best = 100 * pairs["detectable"][is_of_best]
    assert (of_best > halves).all(), "what is just significant is so in half of the studies"
    (power,) = (text for text in summarize(runs) if text.startswith("At the spread seen here"))
    assert f"true difference of {of_best.min():.2f} to {of_best.max():.2f} points from" in power


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        # Of kernel 3, then of kernel 5.
        ([[19_800, 20_000, 20_200], [9_900, 10_000, 10_100]], True),
        ([[725, 1_931, 3_137], [1_094, 1_912, 2_730]], False),
    ],
)
def test_a_speed_is_higher_only_where_the_test_says_so(
    make_runs: Runs, rates: list[list[float]], said: bool
) -> None:
    runs = make_runs({(5, 1, "half"): [0.97, 0.98, 0.991], (3, 1, "half"): [0.97, 0.98, 0.99]})
    runs["train_samples_per_sec"] = [float(rate) for of_variant in rates for rate in of_variant]
    text = " ".join(summarize(runs))
    assert ("trains 2 times as fast as k5-s1-p2 (95 % interval " in text) is said
    assert "fastest" not in text
    if said:
        low, high = re.search(
            r"as fast as k5-s1-p2 \(95 % interval (.*?) to (.*?)\)", text
        ).groups()
        logs = np.log(rates)
        interval = stats.tukey_hsd(*logs).confidence_interval()
        assert (low, high) == tuple(
            f"{np.exp(bound[0, 1]):.2f}" for bound in (interval.low, interval.high)
        )
    shared = runs.assign(shared=True)
    assert "samples/s" not in " ".join(summarize(shared))
    assert "as fast as" not in " ".join(summarize(shared))


def test_nothing_is_better_where_nothing_differs(make_runs: Runs) -> None:
    said = summarize(make_runs({(k, 1, 0): [0.97 + 0.0001 * k, 0.98, 0.99] for k in (1, 3, 5)}))
    assert said[1].startswith(
        "Not significantly different from it (95 %): k3-s1-p0 (98.01 %) and k1-s1-p0 (98.00 %)."
    )
    assert not any("better" in sentence for sentence in said)
    assert "No significant effect (F test, 5 %): kernel size." in said


def test_a_factor_that_never_varies_by_itself_is_said_to_be_unknown(make_runs: Runs) -> None:
    """Kernel 1 needs no padding: half is none."""
    said = summarize(
        make_runs({(k, s, "half"): [0.97, 0.98, 0.99] for k in (1, 3) for s in (1, 2)})
    )
    assert "No significant effect (F test, 5 %): stride." in said
    assert (
        "Not estimable: kernel size and padding, as no two variants differ in one of them only."
    ) in said


def test_a_larger_stride_that_wins_is_described_and_not_called_the_cause(make_runs: Runs) -> None:
    said = summarize(
        make_runs(
            {
                (3, 1, "half"): [0.969, 0.970, 0.971],
                (3, 2, "half"): [0.979, 0.980, 0.981],
                (5, 1, "half"): [0.989, 0.990, 0.991],
                (5, 2, "half"): [0.985, 0.986, 0.987],
            }
        )
    )
    # q(0.95; 4, 8) = 4.529 over the root of 3, times 0.1 points.
    assert (
        "Of the 2 pairs of variants with the same kernel size and padding, the larger stride is "
        "significantly better in 1 and the smaller in 1. The largest difference of the first kind: "
        "k3-s2-p1 is better than k3-s1-p1 by 1.00 points (95 % interval 0.74 to 1.26)."
    ) in said
    assert (
        "These two differ in more than stride: receptive field 29 against 12 pixels, last map 2x2 "
        "against 14x14, MACs 176,320 against 4,629,376."
    ) in said


def test_no_stride_is_praised_that_only_looks_better(make_runs: Runs) -> None:
    said = summarize(
        make_runs({(3, 1, "half"): [0.96, 0.97, 0.98], (3, 2, "half"): [0.965, 0.975, 0.985]})
    )
    assert not any("stride is" in sentence or "better" in sentence for sentence in said)


def test_single_runs_are_ranked_and_never_called_better(make_runs: Runs) -> None:
    said = summarize(make_runs({(3, 1, "half"): [0.97], (5, 1, "half"): [0.99]}))
    assert said[:2] == [
        "k5-s1-p2 has the highest validation accuracy of 2 variants, 99.00 %; its test accuracy is "
        "99.00 % in a single run, at 12,858,240 MACs an image and 20,000 training samples/s.",
        "Whether one variant is better than another is not known: that needs two seeds or more of "
        "two variants (repeat=5 trains five).",
    ]


def test_a_single_run_among_repeated_ones_is_left_out_by_name(make_runs: Runs) -> None:
    said = summarize(make_runs({**THREE, (7, 1, "half"): [0.999]}))
    assert said[0].startswith(
        "k5-s1-p2 has the highest validation accuracy of 3 variants with two runs or more, 98.00 %"
    )
    assert (
        "Not among these, as a single run shows no spread: k7-s1-p3 (99.90 %). repeat=5 trains "
        "five."
    ) in said


def test_one_run_only(make_runs: Runs) -> None:
    assert summarize(make_runs({(3, 2, "half"): [0.9875]})) == [
        "k3-s2-p1 is the only variant with a result: 98.75 % in a single run, at 176,320 MACs an "
        "image and 20,000 training samples/s.",
        "The 10,000 test images are a sample too: this sampling gives 98.75 % a standard error "
        "of up to 0.11 points. That is not part of the intervals over seeds, and more seeds do not "
        "lower it.",
    ]


@pytest.mark.parametrize("right", [24, 23, 0])
def test_few_wrong_answers_have_wilsons_interval(make_runs: Runs, right: int) -> None:
    """24 of 24 right: statsmodels says 86.20 to 100.00 %, a standard error would be 0."""
    runs = make_runs({(3, 2, "half"): [right / 24]}).assign(test_images=24)
    low, high = proportion_confint(right, 24, 0.05, method="wilson")
    assert summarize(runs)[1] == (
        f"The 24 test images are a sample too: an accuracy of {100 * right / 24:.2f} % on these "
        f"may be {100 * low:.2f} to {100 * high:.2f} % on all images of their kind (95 %, Wilson). "
        "That is not part of the intervals over seeds, and more seeds do not lower it."
    )


LIMITED = {
    "data": {"batch_size": 256},
    "trainer": {"limit_train_batches": 8, "limit_val_batches": 0.5, "limit_test_batches": 8},
}


def test_what_is_said_of_data_is_what_was_used(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, "half"): [0.9375] * 3}, config=LIMITED)
    # sqrt(0.9375 * 0.0625 / 2048) = 0.535 points.
    assert (
        "The 2,048 test images are a sample too: this sampling gives 93.75 % a standard error "
        "of up to 0.53 points." in summarize(runs)[1]
    )
    assert describe_methods(runs)[1] == (
        "Data: mnist, 2,048 of 54,000 images in an epoch of training, 3,072 of 6,000 to validate, "
        "2,048 of 10,000 to test, 1x28x28 values each; 40 optimizer steps of 256 images."
    )
    # Three equal seeds: 1 / (2048 sqrt(12)) * t(0.975; 2) / sqrt(3).
    half = 4.302653 / 2048 / 12**0.5 / 3**0.5
    assert grouped(runs)["test_accuracy_high"].iloc[0] == pytest.approx(0.9375 + half, abs=1e-9)


@pytest.mark.parametrize("accuracies", [{}, {(3, 1, 0): [None]}, {(7, 3, 0): [0.9]}])
def test_no_result_is_said(make_runs: Runs, accuracies: dict) -> None:
    runs = make_runs(accuracies)
    assert summarize(runs) == ["No run with a test accuracy has finished."]
    assert describe_methods(runs) == []


def test_each_setting_has_its_own_paragraph(make_runs: Runs) -> None:
    tables = [make_runs(THREE, config={"optim": {"lr": rate}}) for rate in (0.01, 0.02)]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    first, second, *rates = summarize(runs)
    assert first.startswith("lr 0.01: k5-s1-p2 has the highest validation accuracy of 3 variants")
    assert second.startswith("lr 0.02: k5-s1-p2 has the highest validation accuracy of 3 variants")
    assert [text.partition(":")[0] for text in rates] == ["k3-s1-p1", "k3-s2-p1", "k5-s1-p2"]
    assert (
        "Variants are compared within one setting, and settings within one variant on the same "
        "images; nothing else is compared."
    ) in caveats(runs)
    assert describe_methods(runs)[0] == (
        "18 finished runs of 3 variants in 2 settings: seeds 0, 1 and 2, 5 epochs."
    )
    assert [text.partition(".00 %;")[0] for text in headlines(runs)[:2]] == [
        f"lr {rate}: k5-s1-p2 has the highest validation accuracy of 3 variants, 98"
        for rate in (0.01, 0.02)
    ]


def rates_of_one(make_runs: Runs) -> DataFrame:
    """Three learning rates of one variant; the last two by 0.01 points apart."""
    tables = [
        make_runs(
            {(3, 2, "half"): [mean - 0.001, mean, mean + 0.001]}, config={"optim": {"lr": rate}}
        )
        for rate, mean in ((0.01, 0.980), (0.02, 0.9849), (0.04, 0.985))
    ]
    return with_settings(pd.concat(tables, ignore_index=True))


def test_settings_of_one_variant_are_compared_in_one_line(make_runs: Runs) -> None:
    runs = rates_of_one(make_runs)
    # The intervals are those of three variants, above.
    assert summarize(runs) == [
        "k3-s2-p1: lr 0.04 has the highest validation accuracy of 3 settings, 98.50 %; its test "
        "accuracy is 98.50 % over 3 seeds (95 % interval 98.31 to 98.69 %, adjusted for the choice "
        "among 3). In test accuracy it is significantly better than lr 0.01, by 0.50 points (95 % "
        "interval 0.25 to 0.75). Not significantly different from it (95 %): lr 0.02 (98.49 %)."
    ]
    best, close, better = top_groups(runs)
    rates = runs.drop_duplicates("group").set_index("group")["optim.lr"]
    assert [rates[group] for group in best] == [0.04]
    assert [rates[group] for group in close] == [0.02]
    assert not better


def test_settings_tested_on_other_images_are_not_compared(make_runs: Runs) -> None:
    tables = [
        make_runs({(3, 2, "half"): [0.98] * 2}, config={"trainer": {"limit_test_batches": limit}})
        for limit in (8, 1.0)
    ]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    (said,) = summarize(runs)
    assert said.startswith("Nothing to compare with, neither another variant of its setting nor")
    assert (
        "Runs on mnist were tested on different numbers of images (2,048 and 10,000): accuracies "
        "on different images are not compared."
    ) in caveats(runs)
    assert top_groups(runs).best == frozenset()


def test_speed_that_was_not_measured_is_not_mentioned(make_runs: Runs) -> None:
    runs = make_runs(THREE).assign(train_samples_per_sec=float("nan"))
    assert not any("samples/s" in sentence for sentence in summarize(runs))


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
        "Only 1 seed of k7-s1-p3: with more seeds, smaller differences become significant.",
        "Test accuracies are compared on these test images only, not paired by image: 8 of 8 runs "
        "have no known answers to single test images (compare.py study --diagnose adds them where "
        "checkpoints are kept).",
        "The training was not tuned per variant: all share one learning rate (0.02), schedule "
        "and length (5 epochs). With others, another variant may be better.",
        "The fastest run of a variant trained up to 1.5 times as fast as its slowest: "
        "differences in speed of that size need not come from the variants.",
    ]


def test_caveats_of_machines_and_versions(make_runs: Runs) -> None:
    runs = make_runs(THREE)
    runs.loc[:4, ["device", "threads", "torch"]] = ["NVIDIA H100", 16, "2.15.0"]
    said = caveats(runs)
    assert (
        "Samples/s were measured on NVIDIA H100 with 16 threads and AMD EPYC with 2 threads: "
        "they do not compare the variants."
    ) in said
    assert (
        "Runs were made with torch 2.14.1 and 2.15.0: speed and results may differ for that reason."
    ) in said


def test_variants_that_were_still_improving_are_named_with_their_gain(make_runs: Runs) -> None:
    """Planted last epochs: far up, a little up, up at a worse loss, and down."""
    runs = make_runs({(k, 1, "half"): [0.98] * 2 for k in (3, 5, 7, 9)})
    rises = {
        "k3-s1-p1": ([0.020, 0.030], 0.1),
        "k5-s1-p2": ([0.004, 0.005], 0.1),
        "k7-s1-p3": ([0.020, 0.020], -0.1),
        "k9-s1-p4": ([-0.01, -0.01], -0.1),
    }
    runs["val_accuracy_rise"] = [
        rises[variant][0][seed] for variant, seed in zip(runs["variant"], runs["seed"], strict=True)
    ]
    runs["val_loss_fall"] = [rises[variant][1] for variant in runs["variant"]]
    assert caveats(runs)[0] == (
        "Still improving in the last epoch: the validation accuracy of k3-s1-p1 (by 2.50 points). "
        "With more epochs the order of the variants may change."
    )
    unknown = runs.assign(val_accuracy_rise=float("nan"), val_loss_fall=float("nan"))
    assert not any("improving" in text for text in caveats(unknown))


def test_a_single_epoch_is_said_to_show_no_trend(make_runs: Runs) -> None:
    runs = make_runs(THREE, config={"trainer": {"max_epochs": 1, "max_steps": 40}})
    assert (
        "All runs were trained for one epoch at most (40 steps): whether accuracy was still rising "
        "is not known."
    ) in caveats(runs)
    assert describe_methods(runs)[1].startswith(
        "Data: mnist, 10,240 of 54,000 images in an epoch of"
    )


@pytest.mark.parametrize(("right", "untrained"), [(1187, True), (1188, False)])
def test_runs_that_have_not_learned_are_named(make_runs: Runs, right: int, untrained: bool) -> None:
    """MNIST's most frequent digit is in 1,135 of 10,000 test images."""
    test = stats.binomtest(right, 10_000, 0.1135, alternative="greater")
    runs = make_runs({(3, 1, "half"): [right / 10_000] * 2, (5, 1, "half"): [0.98] * 2})
    said = caveats(runs.assign(most_frequent=1135.0))
    named = (
        "No sign of learning in 2 runs (k3-s1-p1): test accuracy is not significantly above that "
        "of naming the most frequent class for every image (binomial test, 5 %). Differences from "
        "such runs say little about the variants."
    )
    assert (named in said) is untrained is bool(test.pvalue >= 0.05)
    assert not any("learned" in text for text in caveats(runs))


def test_runs_that_max_time_ended_early_are_said_to_differ(make_runs: Runs) -> None:
    runs = make_runs(THREE, config={"trainer": {"max_time": "00:00:01:00"}})
    assert "The number of optimizer steps of 9 runs is not recorded." in caveats(runs)
    runs["train_steps"] = [400.0 + 10 * place for place in range(9)]
    assert (
        "Runs of one setting took 400 to 480 optimizer steps, as trainer.max_time ended some "
        "early: slower variants were trained less."
    ) in caveats(runs)
    assert describe_methods(runs)[1].endswith("; 400 to 480 optimizer steps of 256 images.")


def test_how_it_was_measured(make_runs: Runs) -> None:
    said = describe_methods(make_runs(THREE))
    assert said[:2] == [
        "9 finished runs of 3 variants: seeds 0, 1 and 2, 5 epochs.",
        "Data: mnist, 53,760 of 54,000 images in an epoch of training, 6,000 to validate, 10,000 "
        "to test, 1x28x28 values each; 1,050 optimizer steps of 256 images.",
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
    assert summarize(runs) == [
        "Nothing to compare with, neither another variant of its setting nor another setting on "
        "the same images: k3-s1-p0 (dataset mnist), 98.00 % and k3-s1-p0 (dataset digits), 98.00 %."
    ]
    assert [text.split(",")[0] for text in describe_methods(runs)[1:3]] == [
        "Data: mnist",
        "Data: digits",
    ]


def test_a_finding_has_the_values_of_its_sentence(make_runs: Runs) -> None:
    """The pairs of a sentence are findings of their own, of which the first has the sentence."""
    runs = make_runs({**THREE, (7, 2, "half"): [0.9787, 0.9797, 0.9807]})
    runs.loc[runs["variant"] == "k7-s2-p3", "train_samples_per_sec"] = 90_000.0
    found = findings.summarize(runs)
    assert [(one.kind, one.subjects, bool(one.sentence)) for one in found] == [
        ("best", ("k5-s1-p2",), True),
        ("worse", ("k3-s1-p1", "k5-s1-p2"), True),
        ("worse", ("k3-s2-p1", "k5-s1-p2"), False),
        ("not_different", ("k7-s2-p3", "k5-s1-p2"), True),
        ("cheaper", ("k7-s2-p3", "k5-s1-p2"), True),
        ("faster", ("k7-s2-p3", "k5-s1-p2"), False),
        ("undecided", ("k7-s2-p3", "k5-s1-p2"), True),
        ("detectable", ("k7-s2-p3", "k5-s1-p2"), True),
        ("seeds_needed", ("k7-s2-p3", "k5-s1-p2"), False),
        ("pareto_front", ("k3-s2-p1", "k7-s2-p3", "k5-s1-p2"), True),
        ("variance", ("variants",), True),
        ("variance", ("seeds",), False),
        ("effect", ("kernel_size",), True),
        ("no_effect", ("stride",), True),
        ("adjusted_mean", ("kernel_size", "3"), True),
        ("adjusted_mean", ("kernel_size", "5"), False),
        ("adjusted_mean", ("kernel_size", "7"), False),
        ("test_set", ("k5-s1-p2",), True),
    ]
    pairs = differences(runs)
    names = grouped(runs)["label"]
    for one in found:
        if one.kind not in ("worse", "not_different"):
            continue
        other, best = one.subjects
        is_pair = (pairs["first"].map(names) == best) & (pairs["second"].map(names) == other)
        (pair,) = pairs[is_pair].itertuples()
        assert (one.metric, one.statistic) == ("test_accuracy", "difference")
        values = one.estimate, one.low, one.high, one.p_value
        assert values == pytest.approx((-pair.difference, -pair.high, -pair.low, pair.p_value))
    assert [one.estimate for one in found if one.kind in ("cheaper", "faster")] == pytest.approx(
        [957_120 / 12_858_240, 4.5]
    )


def test_findings_on_several_settings_name_the_labels_of_their_rows(make_runs: Runs) -> None:
    tables = [make_runs(THREE, config={"optim": {"lr": rate}}) for rate in (0.01, 0.02)]
    runs = with_settings(pd.concat(tables, ignore_index=True))
    labels = set(runs["label"])
    best = [one for one in findings.summarize(runs) if one.kind == "best"]
    assert [one.scope for one in best] == ["lr 0.01", "lr 0.02", "k3-s1-p1", "k3-s2-p1", "k5-s1-p2"]
    assert {label for one in best for label in one.subjects} <= labels
    assert best[1].subjects == ("k5-s1-p2 (lr 0.02)",)
