"""What each command of `explain.py` does: prints for a person or a program, or writes a file."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from convscope.errors import UserError
from convscope.files import replace_file
from convscope.geometry import ConvSpec, Pair
from convscope.geometry.rules import RULES, findings
from convscope.layer_table import COSTS, SIZES, layer_table, legend, summary
from convscope.lesson import diff, records
from convscope.lesson.grid import (
    GRID_LEGEND,
    examine_grid,
    grid_table,
    impossible_sentences,
    require_single,
)
from convscope.lesson.page import write_page
from convscope.tables import new_console, print_line, print_list, print_paragraph, print_table
from convscope.text import size
from convscope.variant import Variant, VariantComposer

if TYPE_CHECKING:
    from convscope.lesson.sample import Sample

PRESETS = ("k3-s1-p0", "k5-s2-p0", "k3-s1-p1")
"""The tutorial's three constructor examples, as files of `configs/conv`."""
MOST_ROWS = 20
_GAP = "..."


def network(
    overrides: Sequence[str],
    as_json: bool,
    html: Path | None,
    input_size: Pair | None,
    run: Path | None,
) -> None:
    """Print the geometry of one variant, or write the page to play with its first layer.

    Of an impossible variant the layers before are printed.

    Raises:
        ImpossibleVariant: after these.
    """
    if html is not None:
        _write_page(html, [overrides] if overrides else [], input_size, run)
        return
    (variant,) = _variants(overrides)
    if as_json:
        _print_json(records.variant_record(variant))
    else:
        _show_variant(new_console(), variant)
    if variant.impossible is not None:
        sys.stdout.flush()
        raise variant.impossible


def compare(
    overrides: Sequence[str], as_json: bool, html: Path | None, input_size: Pair | None
) -> None:
    """Print two variants side by side, those before and after `vs`, or write the page with both."""
    sides = diff.split(overrides)
    if html is not None:
        _write_page(html, sides, input_size)
        return
    first, second = _variants(*sides)
    warning = diff.differs_in_data(sides, (first, second))
    if warning is not None:
        print(warning, file=sys.stderr)
    if as_json:
        _print_json(records.diff_record(first, second))
        return
    console = new_console()
    print_table(diff.table(first, second), console)
    print_paragraph(console, diff.LEGEND)
    for variant in (first, second):
        if variant.impossible is not None:
            print_list(console, "Impossible:", [f"{variant.label}: {variant.impossible}"])
    for heading, sentences in diff.sentences(first, second).items():
        print_list(console, heading, sentences)


def grid(overrides: Sequence[str], as_json: bool, html: Path | None, png: Path | None) -> None:
    """Print every distinct variant of a grid, and draw its heat maps where files are named."""
    found = examine_grid(overrides)
    contents: dict[Path, bytes] = {}
    if html is not None or png is not None:
        # Here: a table in the terminal waits for no Matplotlib.
        from convscope.lesson.heat import grid_html, grid_png

        contents |= {html: grid_html(found)} if html is not None else {}
        contents |= {png: grid_png(found)} if png is not None else {}
    for path, content in contents.items():
        replace_file(path, content)
    if as_json:
        _print_json(records.grid_record(found))
        return
    console = new_console()
    print_paragraph(console, f"{found.summary}.")
    if len(found.impossible) < len(found.rows):
        print_line(console)
        print_table(grid_table(found), console)
        print_paragraph(console, f"{GRID_LEGEND}.")
    heading = "Impossible, with the smallest change that makes each possible:"
    print_list(console, heading, impossible_sentences(found))
    if contents:
        print(f"\nwrote {' and '.join(map(str, contents))}")


def sample(overrides: Sequence[str], input_size: Pair | None) -> None:
    """Print the tutorial's three convolutions; of overrides or an input size, the one they ask for.

    Raises:
        ImpossibleVariant: no window fits.
        UserError: overrides of more than a layer, or an input so large that it would take long.
    """
    # Here: no other command waits for PyTorch.
    from convscope.lesson import sample as samples

    console = new_console()
    if not overrides and input_size is None:
        _show_samples(console, samples.tutorial())
        image = [1, 1, *samples.PRESET_INPUT]
        print_line(console)
        print_paragraph(
            console, f"The tutorial's three constructors are presets; 10 filters on {image}:"
        )
        for name in PRESETS:
            constructor, shape = samples.preset_shapes(first_layer([f"conv={name}"]))
            print_line(console, f"  conv={name}  {constructor:<31} {list(shape)}")
        train = f"python scripts/train.py experiment=tutorial conv={PRESETS[1]}"
        print_paragraph(console, f"Train one with: {train}")
        return
    one = samples.sample(input_size or samples.TUTORIAL_INPUT, first_layer(overrides))
    _show_samples(console, [one], "conv1 = ")


def rules(overrides: Sequence[str]) -> None:
    """Print each rule with its threshold, meaning and source."""
    if overrides:
        raise UserError(f"rules takes no arguments, got {overrides[0]}")
    console = new_console()
    print_paragraph(console, "What explain.py says of a network, and from which threshold on:")
    for rule in RULES:
        print_line(console)
        print_line(console, f"{rule.title}: {rule.threshold}")
        meaning = " ".join((inspect.getdoc(rule.find) or "").split())
        print_paragraph(console, meaning, first="  ", rest="  ")


def _write_page(
    path: Path, sides: Sequence[Sequence[str]], input_size: Pair | None, run: Path | None = None
) -> None:
    conv, second = (*map(first_layer, sides), None, None)[:2]
    write_page(path, conv=conv, input_size=input_size, second=second, run=run)
    print(f"wrote {path}: open it in a browser")


def first_layer(overrides: Sequence[str]) -> ConvSpec:
    """Return the first layer of a variant: what the sample and the page show.

    Raises:
        UserError: overrides of anything but `conv` and `model`.
    """
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key.partition(".")[0] not in ("conv", "model"):
            raise UserError(
                f"only one layer is shown, which conv and model describe, got {override}"
            )
    (variant,) = _variants(overrides)
    if variant.convs is None:
        assert variant.impossible is not None
        raise variant.impossible
    return variant.convs[0]


def _variants(*sides: Sequence[str]) -> list[Variant]:
    composer = VariantComposer()
    for overrides in sides:
        require_single(overrides)
    return [composer.compose(overrides) for overrides in sides]


def _print_json(record: dict[str, Any]) -> None:
    print(json.dumps(record, indent=2))


def _show_variant(console: Console, variant: Variant) -> None:
    if variant.geometry is None:
        if variant.partial_geometry is not None:
            print_paragraph(console, f"{variant.title}, the layers before the impossible one:")
            print_line(console)
            print_table(layer_table(variant.partial_geometry.as_records(), SIZES), console)
        return
    print_paragraph(console, variant.title)
    for columns in (SIZES, COSTS):
        print_line(console)
        print_table(layer_table(variant.geometry.as_records(), columns), console)
        print_paragraph(console, legend(columns))
    print_line(console)
    print_paragraph(console, f"{summary(variant.geometry)}.")
    sentences = list(findings(variant.geometry).values())
    print_list(console, "What stands out (`explain.py rules` lists the rules):", sentences)


def _show_samples(console: Console, samples: Sequence[Sample], name: str = "") -> None:
    """Print the input that samples share, and each one's output and sentences."""
    numbers = samples[0].input
    shape = [1, 1, len(numbers), len(numbers[0])]
    print_line(console, f"Input {shape}, the numbers 0 to {numbers[-1][-1]}:")
    _print_matrix(console, numbers)
    for one in samples:
        print_line(console)
        sizes = f"{size(shape[2:])} to {size(one.output_shape[2:])}"
        output = f"output {list(one.output_shape)}"
        print_line(console, f"{name}{one.constructor}: {sizes}, {output}:")
        _print_matrix(console, one.output)
        first_sum = [f"First output: {one.first_sum}"] if one.first_sum else []
        for sentence in (*one.sentences, *first_sum):
            print_paragraph(console, sentence, first="- ", rest="  ")


def _print_matrix(console: Console, rows: Sequence[Sequence[int]]) -> None:
    """Whole numbers in columns; the middle is left out where it does not fit."""
    shown = [list(map(str, row)) for row in _elided(rows, MOST_ROWS, [_GAP] * len(rows[0]))]
    width = max(len(cell) for row in shown for cell in row) + 2
    fitting = max(console.width // width - 1, 2)
    for row in shown:
        print_line(console, "".join(cell.rjust(width) for cell in _elided(row, fitting, _GAP)))


def _elided(items: Sequence[Any], most: int, gap: Any) -> Sequence[Any]:
    """The first and the last `most` items, and between them the gap; all where they are fewer."""
    if len(items) <= most:
        return items
    head = most // 2
    return [*items[:head], gap, *items[len(items) - most + head :]]
