"""All pairs of variants: records, tables and letters."""

import math
from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from scipy import stats

from convscope.analysis.frame import with_settings
from convscope.errors import UserError
from convscope.report.document import Block, Listing, Paragraph
from convscope.report.markdown import as_markdown
from convscope.report.pairs import pair_blocks, pair_records, pairs_latex

Runs = Callable[..., DataFrame]
MARGIN = 0.001


def widest(blocks: Iterable[Block]) -> int:
    """The width of the widest table, with two spaces between its columns."""
    return max(
        sum(
            max(len(cell.removeprefix("<")) for cell in column) + 2
            for column in zip(block.table.columns, *block.table.rows, strict=True)
        )
        - 2
        for block in blocks
        if isinstance(block, Listing)
    )


def thirty(make_runs: Runs) -> DataFrame:
    rng = np.random.default_rng(0)
    return make_runs(
        {
            (kernel, 1, padding): (0.98 + 0.0005 * kernel + 0.001 * rng.standard_normal(3))
            for kernel in range(3, 18)
            for padding in ("half", "full")
        }
    )


def test_a_record_has_what_scipy_gives(make_runs: Runs) -> None:
    first, second = [0.981, 0.982, 0.984], [0.979, 0.981, 0.982]
    (pair,) = pair_records(make_runs({(3, 1, 1): second, (5, 1, 2): first}), MARGIN)
    tested = stats.tukey_hsd(first, second)
    interval = tested.confidence_interval()
    assert (pair["first"], pair["second"], pair["setting"]) == ("k5-s1-p2", "k3-s1-p1", "")
    assert pair["p_value"] == pytest.approx(tested.pvalue[0, 1], abs=1e-5)
    assert (pair["low"], pair["high"]) == pytest.approx(
        (interval.low[0, 1], interval.high[0, 1]), rel=1e-3
    )
    assert pair["better"] == stats.mannwhitneyu(first, second).statistic / 9
    assert (pair["verdict"], pair["margin"]) == ("undecided", MARGIN)
    assert (pair["first_letters"], pair["second_letters"]) == ("a", "a")
    assert pair["p_equivalent"] > 0.05
    assert pair["seeds_needed"] > 3


def test_thirty_variants_fit_and_share_letters_only_if_not_different(make_runs: Runs) -> None:
    runs = thirty(make_runs)
    pairs = pair_records(runs, MARGIN)
    assert len(pairs) == math.comb(30, 2)
    assert {one["verdict"] for one in pairs} >= {"different", "undecided"}
    for one in pairs:
        shared = set(one["first_letters"]) & set(one["second_letters"])
        assert bool(shared) == (one["verdict"] != "different")
    narrow, wide = (pair_blocks(runs, MARGIN, width) for width in (80, 200))
    assert widest(narrow) <= 80
    assert widest(wide) <= 200
    columns = [
        next(block for block in some if isinstance(block, Listing)).table.columns
        for some in (narrow, wide)
    ]
    assert set(columns[0]) < set(columns[1])
    assert {"<first", "<second", "points", "95 % interval", "p", "<verdict"} <= set(columns[0])


@pytest.mark.parametrize(("gap", "letters"), [(0.0, ["a", "a", "a"]), (0.01, ["a", "b", "c"])])
def test_none_and_all_significant(make_runs: Runs, gap: float, letters: list[str]) -> None:
    runs = make_runs(
        {
            (k, 1, "half"): [0.98 - n * gap + s for s in (0, 0.0001, 0.0002)]
            for n, k in enumerate((3, 5, 7))
        }
    )
    *_, listing, _, _ = pair_blocks(runs, MARGIN, 200)
    assert isinstance(listing, Listing)
    assert [row[0] for row in listing.table.rows] == ["k3-s1-p1", "k5-s1-p2", "k7-s1-p3"]
    assert [row[-1] for row in listing.table.rows] == letters


def test_each_setting_has_its_own_pairs_and_letters(make_runs: Runs) -> None:
    accuracies = {(3, 1, 1): [0.98, 0.981], (5, 1, 2): [0.97, 0.971]}
    runs = with_settings(
        pd.concat(
            [make_runs(accuracies, config={"optim": {"lr": rate}}) for rate in (0.01, 0.02)],
            ignore_index=True,
        )
    )
    assert [one["setting"] for one in pair_records(runs, MARGIN)] == ["lr 0.01", "lr 0.02"]
    text = as_markdown(pair_blocks(runs, MARGIN, 200))
    assert text.index("With lr 0.01:") < text.index("With lr 0.02:")
    assert pairs_latex(runs, MARGIN).count(r"\caption{") == 4


def test_single_runs_are_named_and_only_single_runs_refused(make_runs: Runs) -> None:
    runs = make_runs({(3, 1, 1): [0.98, 0.981], (5, 1, 2): [0.97, 0.971], (7, 1, 3): [0.99]})
    assert len(pair_records(runs, MARGIN)) == 1
    assert Paragraph("Not compared, as a single run shows no spread: k7-s1-p3.") in pair_blocks(
        runs, MARGIN, 80
    )
    single = make_runs({(3, 1, 1): [0.98], (5, 1, 2): [0.97], (7, 1, 3): [None]})
    with pytest.raises(UserError, match="two variants of one setting with two finished runs each"):
        pair_records(single, MARGIN)


def test_equal_accuracies_are_equivalent(make_runs: Runs) -> None:
    pairs = pair_records(make_runs({(k, 1, 1): [0.98] * 3 for k in (3, 5, 7)}), MARGIN)
    assert {one["verdict"] for one in pairs} == {"equivalent"}
    assert {one["better"] for one in pairs} == {0.5}
    assert [{one["first"], one["second"]} for one in pairs] == [
        set(pair) for pair in combinations(("k3-s1-p1", "k5-s1-p1", "k7-s1-p1"), 2)
    ]
