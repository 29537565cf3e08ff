"""Which rows an expression keeps, and that it can do nothing else."""

import inspect
import sys

import pandas as pd
import pytest
from pandas import DataFrame

from convscope.analysis.select import UnknownColumn, column, sort, where
from convscope.errors import UserError

NAN = float("nan")


@pytest.fixture
def table() -> DataFrame:
    return DataFrame(
        {
            "variant": ["a", "b", "c", "d"],
            "stride": [1, 2, 2, 3],
            "test_accuracy": [0.97, 0.99, NAN, 0.98],
            "optim.lr": [0.01, 0.02, 0.02, 0.1],
            "trainer.max_steps": [None, 100, None, 200],
            "model.depth": [1, 2, 3, 4],
            "data.depth": [4, 3, 2, 1],
            "compile": [True, False, False, True],
            "trainer.fast_dev_run": pd.Series([False, 5, False, True], dtype=object),
            "record": [object()] * 4,
        }
    )


def kept(table: DataFrame, expression: str) -> str:
    return "".join(where(table, expression)["variant"])


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("stride == 2", "bc"),
        ("stride != 2", "ad"),
        ("stride == 2 and test_accuracy > 0.98", "b"),
        ("stride == 2 or optim.lr >= 0.1", "bcd"),
        ("lr < 0.02", "a"),
        ("0.97 < test_accuracy <= 0.99", "bd"),
        ("not (stride in [1, 3])", "bc"),
        ("stride not in (1, 3)", "bc"),
        ("variant in ['a', \"d\"]", "ad"),
        ("variant > 'b'", "cd"),
        ("test_accuracy != 0.97", "bd"),
        ("test_accuracy <= 1", "abd"),
        ("lr < 98", "abcd"),
        ("test_accuracy not in [0.97]", "bd"),
        ("test_accuracy == null", "c"),
        ("test_accuracy != null", "abd"),
        ("max_steps == None", "ac"),
        ("null != max_steps", "bd"),
        ("compile", "ad"),
        ("not compile and stride == 2", "bc"),
        ("compile == true", "ad"),
        ("fast_dev_run == false", "ac"),
        ("fast_dev_run != true", "abc"),
        ("model.depth > data.depth", "cd"),
        ("-1 < stride < 1e999", "abcd"),
        ("stride < " + "9" * 400, "abcd"),
        ("  stride == 1  ", "a"),
        ("not " * 100 + "compile", "ad"),
    ],
)
def test_rows_kept(table: DataFrame, expression: str, rows: str) -> None:
    assert kept(table, expression) == rows


def test_a_group_is_a_column_of_its_table(table: DataFrame) -> None:
    groups = table.set_index(pd.Index(["g1", "g2", "g3", "g4"], name="group"))
    assert kept(groups, "group in ['g2', 'g3'] and stride == 2") == "bc"


def test_nothing_of_nothing(table: DataFrame) -> None:
    assert kept(table.head(0), "stride == 2") == ""


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("__import__('os')", "comparisons such as stride == 2"),
        ("__import__('os') == 1", r"text in quotes, true, false or null; got __import__\('os'\)"),
        ("stride.__class__ == 1", "^stride.__class__ is no column"),
        ("().__class__ == 1", "name columns as such"),
        ("record == 1", "^record is no column"),
        ("stride == (lambda: 1)()", "compare columns"),
        ("stride == 10**10**10", "got 10\\*\\*10\\*\\*10"),
        ("stride + 1 == 2", "got stride \\+ 1"),
        ("[x for x in [1]]", "must be made of comparisons"),
        ("(stride := 3) == 3", "compare columns"),
        ("f'{stride}' == '1'", "compare columns"),
        ("stride == 1j", "got 1j"),
        ("stride == b'1'", "got b'1'"),
        ("stride == ...", "got ..."),
        ("stride == -true", "got -true"),
        ("stride in 2", "followed by a list"),
        ("stride in [lr]", "compare columns with"),
        ("stride is 2", "takes == and != for is"),
        ("stride", "made of comparisons such as .*; got stride"),
        ("true", "made of comparisons"),
        ("stride == '2'", "^stride must be compared with a number, got '2'"),
        ("variant in [1]", r"^variant must be compared with text, got \[1\]"),
        ("stride == true", "^stride must be compared with a number, got true"),
        (
            "test_accuracy > 98",
            "^accuracies are fractions: compare test_accuracy with 0.98, got test_accuracy > 98$",
        ),
        ("98.5 <= test_accuracy", "compare test_accuracy with 0.985,"),
        ("stride == 2 and not test_accuracy < 99", "compare test_accuracy with 0.99,"),
        ("test_accuracy in [0.9, 97]", "compare test_accuracy with 0.97,"),
        ("test_accuracy == 1e999", "compare test_accuracy with 0.98,"),
        ("strid == 2", "^strid is no column; did you mean stride\\?"),
        ("accuracy > 0.9", "did you mean test_accuracy\\?"),
        ("variant == half", "^half is no column such as .* and text goes in quotes"),
        ("depth == 1", "^depth must be one of model.depth, data.depth"),
        ("stride = 2", "write == for ="),
        ("stride == 2 && lr > 1", "write and for &&"),
        ("stride == 2 || lr > 1", r"write or for \|\|"),
        ("! compile", "write not for !"),
        ("stride == ", "cannot be read"),
        ("stride == 2\x00", "null bytes"),
        ("stride == '\n'", "cannot be read"),
        ("", "it is empty"),
        ("(" * 500 + "stride" + ")" * 500, "too many nested parentheses"),
        ("-" * 1999 + "1", "."),
        ("stride == 2 or " * 200 + "compile", "at most 2,000 characters"),
        ("9" * 1999, "."),
    ],
)
def test_anything_else_is_refused_in_one_line(
    table: DataFrame, expression: str, words: str
) -> None:
    with pytest.raises(UserError, match=words) as refused:
        where(table, expression)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


def test_an_expression_too_deep_for_the_stack(
    table: DataFrame,
) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        with pytest.raises(UserError, match="^where must be nested less deeply$"):
            where(table, "not " * 400 + "compile")
    finally:
        sys.setrecursionlimit(limit)


def test_an_unknown_column_is_told_from_other_mistakes(table: DataFrame) -> None:
    with pytest.raises(UnknownColumn) as unknown:
        where(table, "seed == 0")
    assert unknown.value.name == "seed"


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("test_accuracy", "adbc"),
        ("-test_accuracy", "bdac"),
        ("-stride", "dbca"),
        ("lr", "abcd"),
        ("-fast_dev_run", "bdac"),
        ("-variant", "dcba"),
    ],
)
def test_order(table: DataFrame, by: str, rows: str) -> None:
    """Missing values last either way; what is equal stays as it was."""
    assert "".join(sort(table, by)["variant"]) == rows


def test_order_of_numbers_and_text() -> None:
    table = DataFrame({"value": ["b", 2, None, "a", 1]})
    assert list(sort(table, "value").index) == [4, 1, 3, 0, 2]
    assert list(sort(table, "-value").index) == [0, 3, 1, 4, 2]


def test_order_by_no_column(table: DataFrame) -> None:
    with pytest.raises(UserError, match="^optm.lr is no column; did you mean optim.lr\\?"):
        sort(table, "-optm.lr")
    assert column(table, "max_steps") == [None, 100, None, 200]
