"""Effects of the factors: against statsmodels where it can, by hand where the grid has a hole."""

from collections.abc import Callable

import numpy as np
import pytest
from pandas import DataFrame
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from convscope.analysis.anova import effects
from convscope.errors import UserError

Runs = Callable[..., DataFrame]


def test_sums_of_squares_are_statsmodels_on_an_unbalanced_grid(make_runs: Runs) -> None:
    rng = np.random.default_rng(3)
    sizes = iter(rng.integers(2, 6, 12))
    runs = make_runs(
        {
            (k, s, p): (
                0.98 - 0.002 * s * (k == 3) + 0.001 * rng.standard_normal(next(sizes))
            ).round(4)
            for k in (3, 5, 7)
            for s in (1, 2)
            for p in ("half", "full")
        }
    )
    found = effects(runs)

    model = ols("test_accuracy ~ C(kernel_size) * C(stride) * C(padding_policy)", runs).fit()
    expected = anova_lm(model, typ=2)
    terms = found.terms.set_index("term")
    assert list(terms.index) == [
        "kernel_size",
        "stride",
        "padding",
        "kernel_size x stride",
        "kernel_size x padding",
        "stride x padding",
        "kernel_size x stride x padding",
        "seeds",
    ]
    assert terms["df"].tolist() == expected["df"].tolist()
    assert terms["sum_of_squares"].tolist() == pytest.approx(expected["sum_sq"].tolist(), rel=1e-6)
    assert terms["f"].tolist()[:-1] == pytest.approx(expected["F"].tolist()[:-1], rel=1e-6)
    assert terms["p_value"].tolist()[:-1] == pytest.approx(
        expected["PR(>F)"].tolist()[:-1], rel=1e-6
    )
    total = ((runs["test_accuracy"] - runs["test_accuracy"].mean()) ** 2).sum()
    assert terms["share"].tolist() == pytest.approx((expected["sum_sq"] / total).tolist(), rel=1e-6)

    # Means that give each cell the same weight, and intervals from what seeds of a cell differ in.
    cells = runs.groupby(["kernel_size", "stride", "padding_policy"])["test_accuracy"]
    of_three = (
        cells.mean()[3].mean(),
        np.sqrt((1 / cells.size()[3]).sum()) / 4 * model.mse_resid**0.5,
    )
    three = found.levels.query("factor == 'kernel_size' and level == '3'").iloc[0]
    assert three["mean"] == pytest.approx(of_three[0])
    half = stats.t.ppf(0.975, model.df_resid) * of_three[1]
    assert (three["low"], three["high"]) == pytest.approx((of_three[0] - half, of_three[0] + half))
    assert not found.main_effects_only


def test_a_hole_in_the_grid_by_hand(make_runs: Runs) -> None:
    """Kernel 5 at stride 2 is missing: 11 + (6 - 2) = 15 if the factors simply add up."""
    found = effects(
        make_runs(
            {
                (3, 1, "half"): [0.01, 0.03],
                (3, 2, "half"): [0.05, 0.07],
                (5, 1, "half"): [0.10, 0.12],
            }
        )
    )
    assert found.main_effects_only
    terms = found.terms.set_index("term")
    assert list(terms.index) == ["kernel_size", "stride", "seeds"]
    assert terms["df"].tolist() == [1, 1, 3]
    # Two means of two runs each, d apart: d². Within a cell: twice 1².
    assert terms["sum_of_squares"].tolist() == pytest.approx([0.0081, 0.0016, 0.0006])
    assert terms["share"].tolist() == pytest.approx(
        [0.0081 / 0.0262 * 3, 0.0016 / 0.0262 * 3, 0.0006 / 0.0262 * 3]
    )
    assert terms["f"].tolist()[:2] == pytest.approx([40.5, 8])
    assert terms["p_value"].tolist()[:2] == pytest.approx(stats.f.sf([40.5, 8], 1, 3).tolist())

    levels = found.levels
    assert levels["factor"].tolist() == ["kernel_size"] * 2 + ["stride"] * 2
    assert levels["level"].tolist() == ["3", "5", "1", "2"]
    assert levels["mean"].tolist() == pytest.approx([0.04, 0.13, 0.065, 0.105])
    assert levels["runs"].tolist() == [4, 2, 4, 2]
    # Kernel 3: the mean of two cells of two runs; kernel 5: one cell, and half of a difference.
    error = 0.0002**0.5 * np.array([0.25, 0.75]) ** 0.5
    half = stats.t.ppf(0.975, 3) * error
    assert (levels["high"] - levels["mean"]).tolist()[:2] == pytest.approx(half.tolist())
    assert (levels["mean"] - levels["low"]).tolist()[:2] == pytest.approx(half.tolist())
    # What a figure or sentence shows, and nothing else.
    assert list(levels.columns) == ["factor", "level", "mean", "low", "high", "runs"]


def test_shares_of_a_balanced_grid_are_those_of_its_terms(make_runs: Runs) -> None:
    rng = np.random.default_rng(4)
    found = effects(
        make_runs(
            {(k, s, "half"): 0.98 + rng.normal(0, 0.01, 3) for k in (3, 5, 7) for s in (1, 2)}
        )
    )
    assert found.shares.to_dict() == found.terms.set_index("term")["share"].to_dict()
    assert found.shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(12))
def test_shares_of_an_unbalanced_grid_never_exceed_the_whole(make_runs: Runs, seed: int) -> None:
    """Random numbers of runs, cells missing; against the R² of statsmodels' saturated model."""
    rng = np.random.default_rng(seed)
    cells = [(k, s, p) for k in (3, 5, 7) for s in (1, 2) for p in ("half", "full")]
    living = [cell for cell in cells if rng.random() < 0.7] + [(3, 1, "half"), (5, 2, "half")]
    runs = make_runs(
        {
            cell: (0.9 + 0.02 * (cell[0] == 3) * cell[1] + rng.normal(0, 0.005, size)).round(4)
            for cell, size in zip(living, rng.integers(2, 5, len(living)), strict=True)
        }
    )
    found = effects(runs)
    seeds = 1 - ols("test_accuracy ~ C(variant)", runs).fit().rsquared
    assert found.shares["seeds"] == pytest.approx(seeds)
    assert found.shares.sum() == pytest.approx(1)
    assert (found.shares >= 0).all()
    added_up = found.terms["share"].sum()
    assert ("variants" in found.shares) is bool(added_up > 1 + 1e-6)
    assert ("confounded factors" in found.shares) is bool(added_up < 1 - 1e-6)


def test_levels_are_in_the_order_of_their_size_and_named_as_typed(make_runs: Runs) -> None:
    found = effects(
        make_runs(
            {
                (kernel, 1, padding): [0.98, 0.97]
                for kernel in (11, 3, "3x5", (5, 3, 3))
                for padding in ("full", 1, "half", 0)
                if not (kernel == 3 and padding == 1)
            }
            | {(3, 1, "half"): [0.99, 0.98]}
        )
    )
    levels = found.levels.groupby("factor", sort=False)["level"].agg(list)
    assert levels["kernel_size"] == ["3", "3x5", "5.3.3", "11"]
    assert levels["padding"] == ["valid", "half", "full", "p1"]
    assert "stride" not in levels


def test_one_seed_each_has_shares_but_no_chance_and_no_interval(make_runs: Runs) -> None:
    runs = {(3, 1, 0): [0.97], (3, 2, 0): [0.98], (5, 1, 0): [0.98], (5, 1, "half"): [0.96]}
    found = effects(make_runs(runs))
    terms = found.terms.set_index("term")
    assert terms.loc["seeds", "df"] == 0
    assert terms.loc[["kernel_size", "stride", "padding"], "share"].notna().all()
    assert terms[["f", "p_value"]].isna().all(axis=None)
    assert found.levels[["low", "high"]].isna().all(axis=None)
    assert found.levels["mean"].notna().all()


def test_a_level_that_nothing_ties_to_the_others_has_no_mean(make_runs: Runs) -> None:
    """Kernel 7 is only there with full padding, which no other kernel has."""
    found = effects(
        make_runs(
            {
                (3, 1, "valid"): [0.97, 0.98],
                (3, 1, "half"): [0.96, 0.98],
                (5, 1, "valid"): [0.97, 0.99],
                (7, 1, "full"): [0.95, 0.98],
            }
        )
    )
    unknown = found.levels[found.levels["mean"].isna()]
    assert set(unknown["level"]) == {"3", "5", "7", "valid", "half", "full"} - set(
        found.levels.dropna()["level"]
    )
    assert {"7", "full"} <= set(unknown["level"])
    assert found.terms.set_index("term").loc["kernel_size", "df"] == 1


@pytest.mark.parametrize(
    ("accuracies", "message"),
    [
        ({}, "effects need finished runs of at least 2 variants, got 0 in 0 finished runs"),
        (
            {(3, 1, 0): [0.9, 0.8], (5, 1, 0): [None]},
            "effects need finished runs of at least 2 variants, got 1 in 2 finished runs",
        ),
        (
            {(3, 1, "half"): [0.9, 0.8], (5, 2, "half"): [0.7, 0.8]},
            "effects need variants that differ in only one factor, "
            "got kernel_size and stride always changed together",
        ),
        (
            {(3, 1, 0): [0.9, 0.9], (5, 1, 0): [0.9]},
            "effects need results that differ, got test_accuracy 0.9 in every run",
        ),
    ],
)
def test_what_shows_no_effect_is_refused(make_runs: Runs, accuracies: dict, message: str) -> None:
    with pytest.raises(UserError) as raised:
        effects(make_runs(accuracies))
    assert str(raised.value) == message


def test_runs_of_several_settings_are_refused(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 0): [0.9, 0.8], (5, 1, 0): [0.7, 0.8]})
    runs["setting"] = ["lr 0.01", "lr 0.02"] * 2
    with pytest.raises(UserError, match="differ only in conv and seed, got also 'lr 0.01' and"):
        effects(runs)
