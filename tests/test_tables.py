"""Records as tables: cells against numbers worked out by hand."""

import io
from typing import Any

import pytest
from rich.console import Console

from convscope.layer_table import layer_table
from convscope.tables import (
    Table,
    final_map_text,
    markdown,
    new_console,
    print_paragraph,
    print_table,
)

from .convs import parse_conv, stack_geometry

Rows = list[dict[str, Any]]


def layers(kernel_size: object, stride: object, padding: object) -> Rows:
    """The default network on MNIST."""
    convs = parse_conv(kernel_size, stride, padding, layers=3)
    return stack_geometry((1, 28, 28), convs, [16, 32, 64], [1], 10).as_records()


def drawn(table: Table, width: int, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, force_terminal=terminal, no_color=True))
    return file.getvalue().splitlines()


def test_the_cells_of_k3_s2_p1() -> None:
    table = layer_table(layers(3, 2, 1))
    assert [name.removeprefix("<") for name in table.columns] == [
        *("layer", "kernel-stride-padding", "out", "RF", "MACs", "params", "unused", "padding")
    ]
    # Sizes: floor((28 + 2 - 3) / 2) + 1 = 14, pooled 7, then 4, then 2. RF: 3, 3 + 2, 5 + 2 * 4,
    # 13 + 2 * 8. MACs: out * in channels * 9. Unused: (size + 2 - 3) mod 2. Touching padding, per
    # axis: 1 of 14 windows, 2 of 4, 1 of 2; of the plane 1 - (13 / 14)^2, 1 - (2 / 4)^2, the same.
    assert table.rows == (
        ("conv1", "k3 s2 p1", "16x14x14", "3", "28,224", "144", "1", "14 %"),
        ("pool1", "k2 s2 p0", "16x7x7", "5", "0", "0", "0", "0 %"),
        ("conv2", "k3 s2 p1", "32x4x4", "13", "73,728", "4,608", "0", "75 %"),
        ("conv3", "k3 s2 p1", "64x2x2", "29", "73,728", "18,432", "1", "75 %"),
    )


def test_pairs_and_uneven_sides_are_written_by_height_and_width() -> None:
    assert [row[1] for row in layer_table(layers("3x5", "1x2", "1x2")).rows] == [
        *("k3x5 s1x2 p1x2", "k2 s2 p0", "k3x5 s1x2 p1x2", "k3x5 s1x2 p1x2")
    ]
    assert layer_table(layers("4x2", 1, "same")).rows[0][1] == "k4x2 s1 p1+2x0+1"
    assert layer_table(layers(4, 1, "same")).rows[0][1] == "k4 s1 p1+2"


@pytest.mark.parametrize("typed", [(3, 1, 1), (3, 2, 1), (5, 2, 2), (7, 1, 3), ("3x5", "1x2", 1)])
def test_at_80_columns_nothing_is_folded(typed: tuple[object, object, object]) -> None:
    table = layer_table(layers(*typed))
    lines = drawn(table, width=80, terminal=False)
    assert len(lines) == len(table.rows) + 2
    assert max(map(len, lines)) <= 80
    for row, line in zip(table.rows, lines[2:], strict=True):
        assert line.split() == " ".join(row).split()


def test_in_a_narrow_terminal_no_cell_is_folded() -> None:
    table = layer_table(layers(7, 1, 3))
    for terminal in (True, False):
        lines = drawn(table, width=40, terminal=terminal)
        assert len(lines) == len(table.rows) + 2
        for row, line in zip(table.rows, lines[2:], strict=True):
            assert line.split() == " ".join(row).split()


def test_lines_end_without_blanks() -> None:
    table = Table(("<left", "right", "<last"), (("a", "1", "short"), ("bb", "22", "much longer")))
    assert drawn(table, width=80, terminal=False) == [
        "left  right  last",
        "────────────────────────",
        "a         1  short",
        "bb       22  much longer",
    ]


def test_into_a_pipe_nothing_is_folded_and_nothing_is_coloured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "x" * 150
    print_table(Table(("<one",), ((long,),)), new_console())
    assert capsys.readouterr().out.splitlines()[2] == long


def test_a_number_and_its_sign_stay_in_one_line() -> None:
    file = io.StringIO()
    print_paragraph(
        Console(file=file, width=20, force_terminal=True), "an interval of 95 % and a mean"
    )
    # 17 characters to the number, 19 to the sign; at 18 only the number would fit.
    print_paragraph(
        Console(file=file, width=18, force_terminal=True), "an interval of 95 % and a mean"
    )
    lines = ["an interval of 95 %", "and a mean", "an interval of", "95 % and a mean"]
    assert file.getvalue().splitlines() == lines


def test_markdown_has_its_bars_escaped() -> None:
    assert markdown(Table(("<name", "n"), (("a|b", "1"),))).splitlines() == [
        "| name | n |",
        "| :-- | --: |",
        "| a\\|b | 1 |",
    ]


def test_a_small_share_of_outputs_that_touch_padding_is_not_rounded_to_none() -> None:
    # 3,996 of 1,000,000 windows touch the padding.
    network = stack_geometry((1, 1000, 1000), parse_conv(3, 1, 1, layers=1), [1], [], 10)
    assert layer_table(network.as_records()).rows[0][-1] == "0.4 %"


def test_the_last_map_is_height_by_width() -> None:
    assert final_map_text(layers(3, "1x2", 1)) == "14x2"
    assert final_map_text([]) is None
