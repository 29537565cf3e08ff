"""A mean and its standard deviation in one text."""

import math

import pytest

from convscope.analysis.diff import compare
from convscope.analysis.table import with_std
from convscope.report.comparison import diff_texts


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        (10_297.3, 1_800.8, "10,297 ± 1,801"),
        (10_297.3, 0.8, "10,297 ± 1"),
        (98_765.4, 0.3, "98,765 ± <1"),
        (2_147_483_648.5, 1_000.2, "2,147,483,648 ± 1,000"),
        (12.3456, 0.0345, "12.346 ± 0.035"),
        (12.3456, 3.45, "12.3 ± 3.5"),
        (12.3456, 0.0000345, "12.346 ± <0.001"),
        (0.0004, 0.00003, "0.000400 ± 0.000030"),
        (0.00000032, 0.000000011, "0.000000320 ± 0.000000011"),
        (0.0004, 12.0, "0 ± 12"),
        (0.0, 0.01, "0.000 ± 0.010"),
        (-3.25, 0.5, "-3.25 ± 0.50"),
        (100.0, 0.0, "100 ± 0"),
        (100.5, 0.0, "100.5 ± 0.0"),
        (0.0, 0.0, "0 ± 0"),
    ],
)
def test_both_have_as_many_decimals(mean: float, std: float, text: str) -> None:
    assert with_std(mean, std) == text
    shown_mean, shown_std = text.split(" ± ")
    assert len(shown_mean.partition(".")[2]) == len(shown_std.partition(".")[2])


def test_one_seed_and_what_is_not_finite_have_no_deviation(make_runs) -> None:
    def texts(losses: list[float]) -> tuple[str, str]:
        grid = {(3, 1, 1): [0.9] * len(losses), (3, 2, 1): [0.9, 0.9]}
        runs = make_runs(grid)
        for record, loss in zip(runs["record"], [*losses, 1.5, 1.75], strict=True):
            record.metrics["test_loss"] = loss
        first, second = (runs[runs["stride"] == stride] for stride in (1, 2))
        comparison = compare(runs, first, second)
        (row,) = (one for one in comparison.rows if one.key == "test_loss")
        return diff_texts(row, comparison)

    # Of 1.5 and 1.75: 0.25 / sqrt(2).
    assert texts([0.25, 0.75]) == ("0.50 ± 0.35", "1.62 ± 0.18")
    assert texts([0.25]) == ("0.25", "1.62 ± 0.18")
    assert texts([0.25, math.nan]) == ("0.25", "1.62 ± 0.18")
    assert texts([math.nan, math.nan])[0] == "–"
