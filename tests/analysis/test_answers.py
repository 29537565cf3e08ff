"""Answers to the same images: against McNemar, mean squares and files of several versions."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar

from convscope.analysis import answers, load, pairwise
from convscope.analysis.answers import (
    ImageStatistics,
    image_statistics,
    image_variance,
    read,
    seed_noise,
    without_answers,
)
from convscope.analysis.findings import caveats, summarize
from convscope.analysis.findings.methods import describe_methods
from convscope.analysis.pairwise import differences, differences_from
from convscope.runs.directory import RunDirectory
from convscope.runs.pack import write_pack
from convscope.runs.predictions import Predictions, write_predictions
from convscope.runs.study import runs_below

from .planted_answers import Plan, table

MakeStudy = Callable[..., Path]
IMAGES = 10_000


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[NDArray[np.bool_]], DataFrame]:
    """`give(right)`: the table of a study with these answers, (variants, seeds, images)."""

    def make(right: NDArray[np.bool_]) -> DataFrame:
        flat = right.reshape(-1, right.shape[-1])
        monkeypatch.setattr(answers, "read", lambda rows: flat[rows["row"].to_numpy()])
        return table(right)

    return make


def drawn(accuracy: list[float], seeds: int, seed: int = 0, images: int = 2_000) -> NDArray:
    return Plan(np.array(accuracy), seeds, images).draw(np.random.default_rng(seed))


def test_two_runs_have_mcnemars_error() -> None:
    one, other = drawn([0.9, 0.92], 1)[:, 0]
    b, c, n = np.sum(one & ~other), np.sum(~one & other), len(one)
    by_hand = (b + c - (b - c) ** 2 / n) / n**2
    variance = image_variance(np.array([one, other], float))[0, 1] * (n - 1) / n
    assert variance == pytest.approx(by_hand, rel=1e-12)
    # McNemar's statistic has the error under the hypothesis of no difference, b + c.
    found = mcnemar([[0, b], [c, 0]], exact=False, correction=False).statistic
    assert found == pytest.approx((b - c) ** 2 / (n**2 * by_hand + (b - c) ** 2 / n))


def test_variances_are_those_of_an_analysis_of_variance(
    give: Callable[[NDArray[np.bool_]], DataFrame],
) -> None:
    """Expected mean squares of variants x images, with seeds within variants."""
    right = drawn([0.7, 0.75], 3, images=40)
    variant, seed, image = np.indices(right.shape).reshape(3, -1)
    data = DataFrame({"y": right.ravel().astype(float), "v": variant, "i": image})
    data["s"] = variant * 3 + seed
    squares = anova_lm(ols("y ~ C(v) * C(i)", data).fit())["mean_sq"]
    found = image_statistics(give(right), ["0", "1"])
    assert found is not None
    for number, own in enumerate(found.noise):
        rows = data[data["v"] == number]
        table_ = anova_lm(ols("y ~ C(s) + C(i)", rows).fit())
        assert own * 40 == pytest.approx(table_["mean_sq"]["Residual"], rel=1e-9)
    of_images = 2 * squares["C(v):C(i)"] / 3 - 40 * found.noise.sum() / 3
    assert found.image[0, 1] == pytest.approx(max(of_images, 0) / 40, rel=1e-9)
    assert found.image[0, 0] == 0


def test_the_order_of_groups_is_the_callers(
    give: Callable[[NDArray[np.bool_]], DataFrame],
) -> None:
    runs = give(drawn([0.7, 0.9, 0.95], 3))
    found, turned = (image_statistics(runs, list(order)) for order in ("012", "210"))
    assert found is not None
    assert turned is not None
    assert (found.noise[::-1] == turned.noise).all()
    np.testing.assert_allclose(found.image[::-1, ::-1], turned.image, atol=1e-18)


@pytest.mark.parametrize("images", [0.0, 1e-6])
def test_a_common_noise_without_image_variance_is_scipys_test(
    monkeypatch: pytest.MonkeyPatch, images: float
) -> None:
    rng = np.random.default_rng(4)
    samples = (0.98 + 0.001 * rng.standard_normal((6, 4))).round(4)
    right = np.zeros((6, 4, 10), bool)
    runs = table(right).assign(test_accuracy=samples.ravel(), test_images=IMAGES)
    known = ImageStatistics(np.full(6, 1e-6), np.full((6, 6), images))
    monkeypatch.setattr(pairwise, "image_statistics", lambda *_: known)
    assert stats.bartlett(*samples).pvalue > 0.25
    expected = stats.tukey_hsd(*samples)
    interval = expected.confidence_interval()
    variance = samples.var(axis=1, ddof=1).mean() / 2
    for pair in differences(runs).itertuples():
        i, j = int(pair.first), int(pair.second)
        assert pair.method == "Tukey HSD by image"
        assert pair.error == pytest.approx((variance + images) ** 0.5)
        assert pair.image_error == images**0.5
        half = pair.high - pair.difference
        if not images:
            assert pair.p_value == pytest.approx(expected.pvalue[i, j], abs=1e-5)
            assert half == pytest.approx(interval.high[i, j] - pair.difference, rel=1e-3)
            assert pair.df == 18
        else:
            q = [stats.studentized_range.ppf(0.95, 6, df) for df in (18, 1e5)]
            squared = q[0] ** 2 * variance + q[1] ** 2 * images
            assert half == pytest.approx((squared / 2) ** 0.5, rel=1e-3)
            assert pair.df > 18


def test_p_values_and_intervals_agree(give: Callable[[NDArray[np.bool_]], DataFrame]) -> None:
    methods = set()
    for seed in range(30):
        quality = np.where(np.arange(6) == seed % 6, 0.25 * (seed % 3 > 0), 0)
        plan = Plan(np.linspace(0.95, 0.98, 6), 2 + seed % 5, 2_000, quality=quality)
        runs = give(plan.draw(np.random.default_rng(seed)))
        for level in (0.05, 0.01):
            found = differences(runs, level=level)
            methods |= {*found["method"]}
            clear = (found["p_value"] - level).abs() > 2e-3 * level
            assert ((found["low"] > 0) == (found["p_value"] < level))[clear].all()
            assert (found["differs"] == (found["p_value"] < level)).all()
            assert (found["image_error"] <= found["error"]).all()
    assert methods == {f"{one} by image" for one in ("Tukey HSD", "moderated", "Games-Howell")}


def test_unequal_numbers_of_seeds(give: Callable[[NDArray[np.bool_]], DataFrame]) -> None:
    runs = give(drawn([0.95, 0.955, 0.96], 5))
    some = runs.drop(index=[0, 1, 7]).reset_index(drop=True)
    found = differences(some).set_index(["first", "second"])
    assert len(found) == 3
    assert found["n"].min() == pytest.approx(2 / (1 / 3 + 1 / 4))
    reference = differences_from(some, "0", ["1", "2"])
    assert reference["p_value"].tolist() == pytest.approx(
        [
            found["p_value"].get((one, "0"), found["p_value"].get(("0", one)))
            for one in reference.index
        ]
    )


def test_a_single_seed_is_not_compared(give: Callable[[NDArray[np.bool_]], DataFrame]) -> None:
    assert differences(give(drawn([0.9, 0.95], 1))).empty


@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_the_same_do_not_differ(
    give: Callable[[NDArray[np.bool_]], DataFrame], right: bool
) -> None:
    found = differences(give(np.full((3, 3, 500), right)))
    assert found["p_value"].tolist() == [1, 1, 1]
    assert found[["low", "high", "error", "df"]].notna().all(axis=None)


def test_other_metrics_and_ratios_do_not_use_answers(
    give: Callable[[NDArray[np.bool_]], DataFrame],
) -> None:
    runs = give(drawn([0.9, 0.95], 3)).assign(step_ms=[1.0, 1.1, 1.2, 2.0, 2.1, 2.2])
    assert set(differences(runs, "step_ms")["method"]) == {"Tukey HSD"}
    assert not differences(runs, ratio=True)["method"].str.endswith("by image").any()


# Files


def write_answers(run: Path, right: NDArray[np.bool_], *, old: bool = False) -> None:
    probability = np.where(right, 0.9, 0.1).astype(np.float32)
    confidence = np.full(len(right), 0.9, np.float32)
    values = (np.zeros(len(right), np.uint8), probability, probability, confidence, probability)
    predictions = Predictions(*values, None if old else right)
    write_predictions(run / "predictions.npz", predictions)


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Path:
    """Two variants, three seeds; each run is wrong on 200 images, 100 of which change."""

    def metrics(variant: str, seed: int) -> dict[str, float]:
        return {"test_accuracy": 0.98, "best_val_accuracy": 0.97, "train_samples_per_sec": 1e4}

    folder = make_study(tmp_path / "outputs" / "mnist", [3, 5], [1], ["half"], (0, 1, 2), metrics)
    for number, run in enumerate(runs_below(folder)[0]):
        write_answers(run.path, answered(number))
    return folder


def answered(number: int) -> NDArray[np.bool_]:
    right = np.ones(IMAGES, bool)
    right[:100] = False
    right[100 + 100 * number : 200 + 100 * number] = False
    return right


def methods(runs: DataFrame) -> str:
    return " ".join(one.sentence for one in describe_methods(runs) if one.kind == "pairing")


def test_answers_are_read(study: Path) -> None:
    runs = load(study)
    found = read(runs)
    assert found is not None
    assert found.shape == (6, IMAGES)
    assert (~found).sum(axis=1).tolist() == [200] * 6
    assert without_answers(runs).empty
    (pair,) = differences(runs).itertuples()
    assert pair.method.endswith("by image")
    assert methods(runs).startswith("Differences in test accuracy are paired by image: all runs")


def test_a_file_that_changes_is_read_again(study: Path) -> None:
    run = runs_below(study)[0][0]
    assert read(load(study)) is not None
    changed = answered(0)[::-1]
    write_answers(run.path, changed)
    found = read(load(study))
    assert found is not None
    assert (found[0] == changed).all()


def test_older_files_tell_it_where_no_classes_tie(study: Path) -> None:
    runs = runs_below(study)[0]
    write_answers(runs[0].path, answered(0), old=True)
    assert without_answers(load(study)).empty
    tie = answered(0)
    tie[0] = True
    write_answers(runs[0].path, tie, old=True)
    assert len(without_answers(load(study))) == 1


@pytest.mark.parametrize("how", ["missing", "damaged", "other accuracy", "fewer images", "text"])
def test_without_all_answers_a_study_is_compared_as_before(study: Path, how: str) -> None:
    run = runs_below(study)[0][1]
    if how == "missing":
        run.predictions.unlink()
    elif how == "damaged":
        run.predictions.write_bytes(run.predictions.read_bytes()[:300])
    elif how == "text":
        run.predictions.write_text("no")
    elif how == "other accuracy":
        write_answers(run.path, np.ones(IMAGES, bool))
    else:
        write_answers(run.path, answered(0)[:9_000])
    runs = load(study)
    found = differences(runs)
    assert set(found["method"]) == {"Tukey HSD"}
    assert found["image_error"].tolist() == [0]
    bare = differences(runs.drop(columns="path"))
    assert found.equals(bare)
    assert methods(runs) == ""
    assert [one.sentence for one in caveats(runs) if one.kind == "not_paired"] == [
        "Test accuracies are compared on these test images only, not paired by image: 1 of 6 runs"
        " have no known answers to single test images (compare.py mnist --diagnose adds them where"
        " checkpoints are kept)."
    ]


def test_a_packed_study_is_compared_in_the_same_way(study: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    runs = runs_below(study)[0]
    for run in runs:
        run.predictions.rename(run.path / "kept")
    write_pack(archive, runs)
    bare = archive.stat().st_size
    assert len(without_answers(load(archive))) == 6
    for run in runs:
        (run.path / "kept").rename(run.predictions)
    write_pack(archive, runs)
    assert (archive.stat().st_size - bare) / 6 < 1_200
    packed, folder = load(archive), load(study)
    assert without_answers(packed).empty
    assert differences(packed).equals(differences(folder))
    again = tmp_path / "again.zip"
    write_pack(again, [RunDirectory(Path(path)) for path in packed["path"]])
    assert again.read_bytes() == archive.read_bytes()


def test_a_packed_study_of_older_runs_lacks_answers(study: Path, tmp_path: Path) -> None:
    runs = runs_below(study)[0]
    write_answers(runs[0].path, answered(0), old=True)
    write_pack(tmp_path / "study.zip", runs)
    assert len(without_answers(load(tmp_path / "study.zip"))) == 1


# The share of the noise in the variance between seeds


@pytest.mark.parametrize("quality", [0.0, 0.03])
def test_the_noise_of_the_test_set_is_the_planted_one(
    give: Callable[[NDArray[np.bool_]], DataFrame], quality: float
) -> None:
    plan = Plan(np.full(4, 0.97), 30, 4_000, quality=quality)
    found = seed_noise(give(plan.draw(np.random.default_rng(5))))
    assert found is not None
    ratio, low, high = found.share()
    planted = stats.norm.pdf(stats.norm.ppf(0.97)) * quality
    truth = found.noise / (found.noise + planted**2)
    assert low < truth <= high
    assert (ratio > 0.7) is (not quality)
    if quality:
        assert found.between_networks == pytest.approx(planted, rel=0.2)
    assert found.runs == 120


def test_the_sentence_on_noise(study: Path) -> None:
    """All runs have one accuracy: no variance between them."""
    assert not [one for one in summarize(load(study)) if one.kind == "seed_noise"]


@pytest.mark.parametrize("spread", [1, 100])
def test_the_sentence_says_where_nothing_is_estimable(
    study: Path, spread: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = load(study)
    moved = runs.assign(test_accuracy=0.98 + spread * np.array([0, 1, 2] * 2) / IMAGES)
    everyone = np.array([answered(number) for number in range(6)])
    monkeypatch.setattr(answers, "read", lambda rows: everyone[: len(rows)])
    (found,) = [one for one in summarize(moved) if one.kind == "seed_noise"]
    if spread == 1:
        assert "cannot be estimated" in found.sentence
        assert found.estimate == 1
    else:
        assert found.sentence.startswith("Of the variance of test accuracy between seeds, ")
        assert "the networks of different seeds differ by a standard deviation of" in found.sentence
        assert found.estimate is not None
        assert found.estimate < 0.5
    assert dataclasses.is_dataclass(found)
