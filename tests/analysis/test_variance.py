"""Components of variance, against statsmodels, mean squares by hand, and planted sources."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from pandas import DataFrame
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.anova import anova_lm

from convscope.analysis.findings.finding import sentences
from convscope.analysis.findings.sources import summarize_sources
from convscope.analysis.variance import (
    REST,
    REST_AND_TEST,
    SPLIT,
    TEST,
    VARIANT,
    components,
    sources,
    without_test_images,
)
from convscope.report.comparison import variance_table

Random = np.random.Generator


@pytest.fixture
def random() -> Random:
    return np.random.default_rng(0)


def long(values: np.ndarray) -> DataFrame:
    """Values (variants, seeds) as a row each."""
    variant, seed = np.indices(values.shape)
    return DataFrame({"y": values.ravel(), "variant": variant.ravel(), "seed": seed.ravel()})


def test_they_are_the_anova_estimates_of_expected_mean_squares(random: Random) -> None:
    values = random.normal(size=(4, 6))
    fit = smf.ols("y ~ C(variant) + C(seed)", long(values)).fit()
    table = anova_lm(fit)
    square = table["sum_sq"] / table["df"]
    assert components(values, is_crossed=True) == {
        VARIANT: pytest.approx((square["C(variant)"] - square["Residual"]) / 6),
        SPLIT: pytest.approx((square["C(seed)"] - square["Residual"]) / 4),
        REST: pytest.approx(square["Residual"]),
    }
    table = anova_lm(smf.ols("y ~ C(variant)", long(values)).fit())
    square = table["sum_sq"] / table["df"]
    assert components(values, is_crossed=False) == {
        VARIANT: pytest.approx((square["C(variant)"] - square["Residual"]) / 6),
        REST: pytest.approx(square["Residual"]),
    }


def test_they_are_those_of_a_mixed_model_where_none_is_negative(random: Random) -> None:
    """In a balanced design, REML and expected mean squares agree (Searle et al. 1992)."""
    effects = 3 * random.normal(size=(5, 1)) + 2 * random.normal(size=(1, 6))
    values = effects + random.normal(size=(5, 6))
    data = long(values).assign(all=1)
    parts = {"variant": "0 + C(variant)", "seed": "0 + C(seed)"}
    fit = MixedLM.from_formula("y ~ 1", data, groups="all", vc_formula=parts).fit(reml=True)
    named = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True))
    found = components(values, is_crossed=True)
    assert found[VARIANT] == pytest.approx(named["variant"], rel=1e-3)
    assert found[SPLIT] == pytest.approx(named["seed"], rel=1e-3)
    assert found[REST] == pytest.approx(fit.scale, rel=1e-3)


@pytest.mark.parametrize("is_crossed", [True, False])
def test_they_are_unbiased_even_where_a_source_is_absent(is_crossed: bool) -> None:
    planted = {VARIANT: 0.0, SPLIT: 0.5, REST: 1.0} if is_crossed else {VARIANT: 0.5, REST: 1.0}
    random, studies = np.random.default_rng(1), 4_000
    values = random.normal(size=(3, 4, studies)) * planted[REST] ** 0.5
    values += random.normal(size=(3, 1, studies)) * planted[VARIANT] ** 0.5
    values += random.normal(size=(1, 4, studies)) * planted.get(SPLIT, 0) ** 0.5
    found = components(values, is_crossed=is_crossed)
    assert set(found) == set(planted)
    for name, variance in planted.items():
        error = found[name].std() / studies**0.5
        assert found[name].mean() == pytest.approx(variance, abs=4 * error), name
    assert (found[VARIANT] < 0).any()


def answers(random: Random, images: int, shifts: np.ndarray) -> np.ndarray:
    """Answers (variants, seeds, images), where an answer is right if what makes it exceeds 0."""
    variants, seeds = shifts.shape
    what = 1.5 + random.normal(size=images) + shifts[:, :, None]
    what = what + 0.5 * random.normal(size=(variants, 1, images))
    what = what + 0.4 * random.normal(size=(1, seeds, images))
    return (what + 0.6 * random.normal(size=(variants, seeds, images)) > 0).astype(float)


def test_the_part_of_the_test_images_is_what_more_images_take_away() -> None:
    random, on_few, on_many = np.random.default_rng(2), [], []
    for _ in range(300):
        shifts = 0.15 * random.normal(size=(4, 1)) + 0.1 * random.normal(size=(1, 6))
        shifts = shifts + 0.08 * random.normal(size=(4, 6))
        few, many = (answers(random, images, shifts) for images in (200, 5_000))
        accuracy = components(few.mean(axis=2), is_crossed=True)
        apart = without_test_images(accuracy, components(few, is_crossed=True))
        # Nothing is lost: the parts add up to the components of the accuracies.
        assert sum(apart.values()) == pytest.approx(sum(accuracy.values()))
        on_few.append([float(apart[name]) for name in (VARIANT, SPLIT, REST)])
        large = components(many.mean(axis=2), is_crossed=True)
        on_many.append([float(large[name]) for name in (VARIANT, SPLIT, REST)])
    difference = np.array(on_few) - on_many
    error = difference.std(axis=0) / 300**0.5
    # 5,000 images leave 1 / 25 of the part of 200.
    assert (abs(difference.mean(axis=0)) < 3 * error + 2e-5).all()


def test_the_part_within_variants_is_jordans(random: Random) -> None:
    """Jordan (2023), 2304.01910: the variance on all images is the mean covariance of answers."""
    right = answers(random, 40, np.zeros((1, 7)))[0]
    values = np.stack([right, right])
    accuracy = components(values.mean(axis=2), is_crossed=False)
    apart = without_test_images(accuracy, components(values, is_crossed=False))
    covariance = np.cov(right, rowvar=False)
    others = covariance[~np.eye(40, dtype=bool)]
    assert float(apart[REST]) == pytest.approx(others.mean())


def with_answers(runs: DataFrame, values: np.ndarray, folder: Path) -> DataFrame:
    """The runs with these answers, (runs, images), and their accuracies."""
    paths = []
    for number, right in enumerate(values):
        path = folder / str(number)
        path.mkdir()
        np.savez(path / "predictions.npz", correct=right.astype(bool))
        paths.append(str(path))
    accuracy = values.mean(axis=1)
    return runs.assign(path=paths, test_accuracy=accuracy, test_images=float(values.shape[1]))


MakeRuns = Callable[..., DataFrame]
CONVS: tuple[Any, ...] = ((3, 1, "half"), (5, 1, "half"), (7, 1, "half"))


def accuracies(values: np.ndarray) -> dict[Any, list[float]]:
    return {conv: list(row) for conv, row in zip(CONVS, values, strict=False)}


def test_a_study_with_splits(make_runs: MakeRuns) -> None:
    values = np.array([[0.95, 0.96, 0.97], [0.91, 0.925, 0.93], [0.90, 0.91, 0.915]])
    runs = make_runs(accuracies(values)).assign(vary="split", setting="")
    found = sources(runs)
    assert found is not None
    expected = components(values, is_crossed=True)
    assert found.variances.to_dict() == {
        VARIANT: pytest.approx(float(expected[VARIANT])),
        SPLIT: pytest.approx(float(expected[SPLIT])),
        REST_AND_TEST: pytest.approx(float(expected[REST])),
    }
    assert found.shares.sum() == pytest.approx(1)
    assert found.most_from_test == pytest.approx((values * (1 - values)).mean() / 10_000)
    assert sentences(summarize_sources(runs)) == [
        "Sources of the variance of a single run's test accuracy, estimated from 3 variants and 3"
        " splits: variant 89 % (standard deviation 2.68 points), split 10 % (standard deviation"
        " 0.92 points) and initialisation, order and test images 0.5 % (standard deviation 0.20"
        " points). A split shares its seed with initialisation and order: what all variants of a"
        " seed have in common counts as the split's. How much of this comes from the test images is"
        " not known (at most 0.25 points)."
    ]
    ((table, caption),) = variance_table(runs)
    assert [row[0] for row in table.rows] == list(found.variances.index)
    assert [row[1] for row in table.rows] == ["2.68", "0.92", "0.20"]
    assert caption.startswith("Variance of a single run's test accuracy by source, from 3 variants")


def test_a_negative_estimate_is_shown_as_nothing_and_named(make_runs: MakeRuns) -> None:
    values = np.array([[0.95, 0.96, 0.95], [0.92, 0.91, 0.92]])
    runs = make_runs(accuracies(values)).assign(vary="split", setting="")
    found = sources(runs)
    assert found is not None
    assert found.variances[SPLIT] < 0
    assert found.stds[SPLIT] == found.shares[SPLIT] == 0
    assert found.shares.sum() == pytest.approx(1)
    assert "Negative estimates count as 0: split." in sentences(summarize_sources(runs))[0]


def test_only_the_seeds_that_all_have_count(make_runs: MakeRuns) -> None:
    values = {CONVS[0]: [0.95, 0.96, 0.97, 0.99], CONVS[1]: [0.91, 0.93, 0.92], CONVS[2]: [0.5]}
    runs = make_runs(values).assign(vary="split", setting="")
    found = sources(runs)
    assert found is not None
    assert (found.variants, found.seeds) == (2, 3)


def test_without_splits_the_answers_tell_the_test_images_apart(
    make_runs: MakeRuns, random: Random, tmp_path: Path
) -> None:
    right = answers(random, 500, np.array([[0.0] * 4, [0.2] * 4, [0.5] * 4]))
    runs = make_runs(accuracies(right.mean(axis=2))).assign(setting="")
    assert sources(runs) is None
    assert list(summarize_sources(runs)) == []
    known = with_answers(runs, right.reshape(12, -1), tmp_path)
    found = sources(known)
    assert found is not None
    assert list(found.variances.index) == [VARIANT, REST, TEST]
    expected = without_test_images(
        components(right.mean(axis=2), is_crossed=False), components(right, is_crossed=False)
    )
    assert found.variances.to_dict() == pytest.approx({k: float(v) for k, v in expected.items()})
    assert found.most_from_test is None
    # The seeds of a variant need not be in order.
    shuffled = sources(known.sample(frac=1, random_state=1))
    assert shuffled is not None
    pd.testing.assert_series_equal(shuffled.variances.sort_index(), found.variances.sort_index())


@pytest.mark.parametrize(
    "values",
    [
        {CONVS[0]: [0.9, 0.8]},
        {CONVS[0]: [0.9], CONVS[1]: [0.8]},
        {CONVS[0]: [1.0, 1.0], CONVS[1]: [1.0, 1.0]},
    ],
    ids=["one variant", "one seed", "no variance"],
)
def test_nothing_is_said_where_nothing_can_be(values: Any, make_runs: MakeRuns) -> None:
    runs = make_runs(values).assign(vary="split", setting="")
    assert sources(runs) is None
    assert variance_table(runs) == []
