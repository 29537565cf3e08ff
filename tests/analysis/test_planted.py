"""The analysis against studies whose truth is known."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from pandas import DataFrame

from convscope.analysis.anova import effects
from convscope.analysis.findings import sentences, summarize
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences

Runs = Callable[..., DataFrame]
Cell = tuple[int, int, str]

KERNELS = {3: -0.004, 5: 0.001, 7: 0.003}
STRIDES = {1: -0.003, 2: 0.003}
PADDINGS = {"half": 0.0, "full": 0.0}
CELLS: list[Cell] = list(itertools.product(KERNELS, STRIDES, PADDINGS))
MEAN, SPREAD, SEEDS = 0.98, 0.001, 5


def additive(cell: Cell) -> float:
    kernel, stride, padding = cell
    return MEAN + KERNELS[kernel] + STRIDES[stride] + PADDINGS[padding]


def with_interaction(cell: Cell) -> float:
    """The larger stride helps kernel 3 more, kernel 7 less, and on average as much."""
    kernel, stride, _ = cell
    more = {3: 0.002, 5: 0.0, 7: -0.002}[kernel]
    return additive(cell) + (more if stride == 2 else -more)


def study(make_runs: Runs, truth: Callable[[Cell], float], cells: list[Cell]) -> DataFrame:
    return make_runs({cell: [truth(cell)] * SEEDS for cell in cells})


def noisy(runs: DataFrame, seed: int) -> DataFrame:
    noise = SPREAD * np.random.default_rng(seed).standard_normal(len(runs))
    drawn = (runs["test_accuracy"] + noise).round(4)
    return runs.assign(test_accuracy=drawn, best_val_accuracy=drawn)


def test_each_factors_share_of_the_variance_is_the_planted_one(make_runs: Runs) -> None:
    runs = study(make_runs, with_interaction, CELLS)
    # Variance between the runs, and degrees of freedom, each of which adds a seed's variance.
    planted = {
        "kernel_size": (np.var(list(KERNELS.values())), 2),
        "stride": (np.var(list(STRIDES.values())), 1),
        "padding": (0.0, 1),
        # +-0.002 in two of three kernels.
        "kernel_size x stride": (0.002**2 * 2 / 3, 2),
        "seeds": (0.0, 60 - 12),
    }
    expected = {term: 60 * variance + df * SPREAD**2 for term, (variance, df) in planted.items()}
    total = 60 * sum(variance for variance, _ in planted.values()) + 59 * SPREAD**2
    shares = DataFrame(
        [effects(noisy(runs, seed)).terms.set_index("term")["share"] for seed in range(60)]
    ).mean()
    for term, sum_of_squares in expected.items():
        assert shares[term] == pytest.approx(sum_of_squares / total, abs=0.005), term


@pytest.mark.parametrize("truth", [additive, with_interaction])
def test_the_planted_mean_of_a_level_is_in_95_of_100_intervals(
    make_runs: Runs, truth: Callable[[Cell], float]
) -> None:
    runs = study(make_runs, truth, CELLS)
    planted = [MEAN + effect for of in (KERNELS, STRIDES, PADDINGS) for effect in of.values()]
    hits = [
        (levels["low"] < planted) & (levels["high"] > planted)
        for levels in (effects(noisy(runs, seed)).levels for seed in range(80))
    ]
    assert 0.93 < np.mean(hits) < 0.97


def test_a_grid_with_holes_gives_the_planted_means(make_runs: Runs) -> None:
    """Without cells that a plain average would miss: stride 2 lacks its best kernel."""
    living = [
        cell for cell in CELLS if cell not in ((7, 2, "half"), (7, 2, "full"), (3, 1, "full"))
    ]
    runs = study(make_runs, additive, living)
    hits = []
    for seed in range(80):
        found = effects(noisy(runs, seed))
        assert found.main_effects_only
        levels = found.levels.set_index("level")
        planted = [MEAN + effect for of in (KERNELS, STRIDES, PADDINGS) for effect in of.values()]
        assert levels.index.tolist() == ["3", "5", "7", "1", "2", "half", "full"]
        hits.append((levels["low"] < planted) & (levels["high"] > planted))
    assert 0.93 < np.mean(hits) < 0.97


def test_the_winner_is_called_better_where_it_is_and_nowhere_else(make_runs: Runs) -> None:
    """k7-s2 with half or full padding is best, by 0.2 points to k5-s2 and 1.3 to k3-s1."""
    runs = study(make_runs, additive, CELLS)
    best = {"k7-s2-p3", "k7-s2-p6"}
    for seed in range(20):
        drawn = noisy(runs, seed)
        names = grouped(drawn)["variant"]
        pairs = differences(drawn).query("differs")
        told_apart = {
            frozenset((names[a], names[b])) for a, b in pairs[["first", "second"]].to_numpy()
        }
        assert frozenset(best) not in told_apart
        assert {frozenset((one, "k3-s1-p1")) for one in best} <= told_apart
        first, second, third, *_ = sentences(summarize(drawn))
        assert first.split()[0] in best
        assert "it is significantly better than" in second
        assert next(iter(best - {first.split()[0]})) in third
        assert "Not significantly different from it" in third
