"""Numbers and lists as sentences and cells show them."""

import pytest

from convscope.text import (
    abbreviated,
    count,
    counted,
    counted_range,
    listed,
    memory_size,
    percent,
    percent_range,
    percentage_points,
    share,
    shorten,
    size,
    times,
    with_article,
)


def test_lists() -> None:
    assert listed(["a"]) == "a"
    assert listed(list("abc")) == "a, b and c"
    assert listed(list("abc"), "; ") == "a; b and c"
    assert listed(list("abcdefghijk")) == "a, b, c, d, e, f, g and 4 more"
    assert listed(list("abcdefghijk"), most=None) == "a, b, c, d, e, f, g, h, i, j and k"


def test_articles() -> None:
    assert [with_article(noun) for noun in ("ReLU", "AdaptivePool", "inception5b.cat")] == [
        "a ReLU",
        "an AdaptivePool",
        "an inception5b.cat",
    ]


def test_counts() -> None:
    assert [count(12345.6), count(0), count(None)] == ["12,346", "0", "–"]
    assert [counted(number, "run") for number in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]
    assert counted_range([1], "epoch") == "1 epoch"
    assert counted_range([1050, 40, 80], "step") == "40 to 1,050 steps"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (28_224, "28.2k"), (4_629_376, "4.63M"), (10**9, "1G")],
)
def test_abbreviated_numbers(number: int, text: str) -> None:
    assert abbreviated(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (50_176, "49.0 KiB"), (1_572_864, "1.5 MiB")],
)
def test_memory(number: int, text: str) -> None:
    assert memory_size(number) == text


def test_sizes() -> None:
    assert [size((14, 14)), size((16, 14, 2))] == ["14x14", "16x14x2"]
    assert [shorten("four", 4), shorten("fives", 4)] == ["four", "fiv…"]


def test_parts_of_a_whole() -> None:
    assert [percent(0.98751), percent(1.0), percent(None)] == ["98.75 %", "100.00 %", "–"]
    assert percentage_points(0.0035) == "0.35 points"
    assert percent_range(0.9871, 1.002) == "98.71 to 100.00 %"
    assert [times(factor) for factor in (1.87, 22.4, 1234)] == [
        *("1.9 times", "22 times", "1,234 times")
    ]


def test_a_share_is_never_rounded_to_all_or_nothing() -> None:
    assert [share(part) for part in (0, 0.0041, 0.14, 0.514, 0.995, 1)] == [
        *("0 %", "0.4 %", "14 %", "51 %", "over 99 %", "100 %")
    ]
    assert [share(part) for part in (1e-8, 7e-5, 0.0099)] == ["under 0.0001 %", "0.007 %", "1 %"]
