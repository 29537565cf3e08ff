"""McNemar's table of two runs, from predictions on disk, against statsmodels."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from convscope.analysis.diff import compare
from convscope.analysis.frame import Reader
from convscope.analysis.mcnemar import McNemar
from convscope.report.comparison import side_by_side, sides_in_words
from convscope.report.document import Listing
from convscope.runs.predictions import write_arrays

from ..studies import make_record, results, write_run

IMAGES = 10_000


@pytest.mark.parametrize(
    "counts", [(9_812, 41, 57, 90), (10, 0, 0, 2), (90, 0, 7, 3), (50, 12, 12, 0), (0, 1, 0, 0)]
)
def test_p_and_error_are_statsmodels(counts: tuple[int, int, int, int]) -> None:
    found = McNemar(*counts)
    both, first, second, neither = counts
    expected = statsmodels_mcnemar([[both, first], [second, neither]], exact=True)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.images == sum(counts)
    # The standard error of a mean of paired differences, -1, 0 or 1.
    pairs = np.repeat([0, -1, 1, 0], counts)
    assert found.difference == pytest.approx(pairs.mean())
    assert found.error == pytest.approx(pairs.std() / math.sqrt(len(pairs)))


def predictions(right: np.ndarray, path: Path) -> None:
    """Keep answers: wrong where the true class is not the most probable one."""
    probability = np.where(right, 0.9, 0.1).astype(np.float32)
    write_arrays(
        path,
        {
            "predicted": right.astype(np.uint8),
            "probability": probability,
            "loss": -np.log(probability),
            "confidence": np.full(len(right), 0.9, np.float32),
            "brier": np.zeros(len(right), np.float32),
        },
    )


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., DataFrame]:
    """The table of runs of k3-s1-p1 and k3-s2-p1 with these answers, one array per seed."""

    def make(**of: list[np.ndarray]) -> DataFrame:
        for number, answers in enumerate(of.values()):
            for seed, right in enumerate(answers):
                metrics: dict[str, Any] = {**results("", 0), "test_accuracy": float(right.mean())}
                record = make_record(
                    tmp_path / "s", (3, number + 1, 1), seed, lambda *_, m=metrics: m
                )
                predictions(right, write_run(tmp_path / "s", record) / "predictions.npz")
        return Reader([tmp_path / "s"]).read()[0]

    return make


def side(runs: DataFrame, variant: str) -> DataFrame:
    return runs[runs["variant"] == variant]


def test_two_runs_are_compared_by_their_answers(runs: Callable[..., DataFrame]) -> None:
    first, second = np.ones((2, IMAGES), bool)
    first[:147] = False
    second[57:188] = False
    table = runs(one=[first], other=[second])
    compared = compare(table.iloc[:0], side(table, "k3-s1-p1"), side(table, "k3-s2-p1"))
    # Both wrong on 57 to 147.
    assert compared.answers == McNemar(both=9_812, first=41, second=57, neither=90)
    told, *counts = sides_in_words(compared)
    assert told.sentence.startswith(
        "Of 10,000 test images, only the first is right on 41 and only the second on 57. Difference"
        " +0.16 points, standard error 0.10, p = 0.129 (McNemar's exact test): not significant."
    )
    assert "it says nothing about their variants" in told.sentence
    assert [one.estimate for one in counts] == [57, 41]
    listing = next(block for block in side_by_side(compared) if isinstance(block, Listing))
    assert listing.table.rows == (
        ("first right", "9,812", "41"),
        ("first wrong", "57", "90"),
    )


def test_variants_and_a_run_with_itself_have_no_such_table(
    runs: Callable[..., DataFrame],
) -> None:
    rng = np.random.default_rng(0)
    table = runs(
        one=list(rng.random((2, IMAGES)) < 0.98), other=list(rng.random((2, IMAGES)) < 0.9)
    )
    first, second = side(table, "k3-s1-p1"), side(table, "k3-s2-p1")
    assert compare(table, first, second).answers is None
    assert compare(table, first, second.iloc[:1]).answers is None
    assert compare(table.iloc[:0], first.iloc[:1], first.iloc[:1]).answers is None
    assert compare(table.iloc[:0], first.iloc[:1], first.iloc[1:]).answers is not None


def test_without_answers_there_is_no_such_table(
    runs: Callable[..., DataFrame], tmp_path: Path
) -> None:
    right = np.random.default_rng(0).random((2, IMAGES)) < 0.98
    table = runs(one=[right[0]], other=[right[1]])
    for path in tmp_path.glob("s/*s2*/predictions.npz"):
        path.unlink()
    compared = compare(table.iloc[:0], side(table, "k3-s1-p1"), side(table, "k3-s2-p1"))
    assert compared.answers is None
    assert sides_in_words(compared) == []
