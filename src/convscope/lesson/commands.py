"""The commands of `explain.py`: each prints text or JSON, or writes a file."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from convscope.config.errors import key_of
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
from convscope.lesson.page.layer import PageLayer, page_layer
from convscope.tables import new_console, print_line, print_list, print_paragraph, print_table
from convscope.text import listed, size
from convscope.variant import Variant, VariantComposer

if TYPE_CHECKING:
    from convscope.lesson.sample import Sample

PRESETS = ("k3-s1-p0", "k5-s2-p0", "k3-s1-p1")
"""The tutorial's three constructors, as presets in `configs/conv`."""
_MOST_ROWS = 20
_GAP = "..."


@dataclass(frozen=True)
class PageChoice:
    """What the interactive page shows.

    Attributes:
        layer: name of the layer; by default the first varied one.
        input_size: height and width of its input.
        run: folder of a trained run, whose filters the page shows.
    """

    layer: str | None = None
    input_size: Pair | None = None
    run: Path | None = None


def network(overrides: Sequence[str], as_json: bool, every: bool, png: Path | None) -> None:
    """Print the geometry of one variant, and draw how often its pixels are read.

    Args:
        overrides: the overrides that select the variant.
        as_json: whether to print JSON.
        every: whether a long network's tables have a row per layer.
        png: picture to write; None for no picture.

    Raises:
        ImpossibleVariant: the variant is impossible; the layers before the refused one are printed.
    """
    (variant,) = _variants(overrides)
    if png is not None and variant.geometry is not None:
        # Imported here, because only pictures need Matplotlib.
        from convscope.lesson.read_maps import read_maps_png

        replace_file(png, read_maps_png(variant.geometry, variant.title))
    if as_json:
        _print_json(records.variant_record(variant))
    else:
        _show_variant(new_console(), variant, every)
        if png is not None and variant.geometry is not None:
            print(f"\nwrote {png}")
    if variant.impossible is not None:
        sys.stdout.flush()
        raise variant.impossible


def compare(overrides: Sequence[str], as_json: bool, every: bool) -> None:
    """Print two variants side by side.

    Args:
        overrides: those of both variants, with `vs` between them.
        as_json: whether to print JSON.
        every: whether the table shows each layer of a long network, and what does not differ.
    """
    sides = diff.split(overrides)
    first, second = _variants(*sides)
    warning = diff.data_warning(sides, (first, second))
    if warning is not None:
        print(warning, file=sys.stderr)
    if as_json:
        _print_json(records.diff_record(first, second))
        return
    console = new_console()
    print_table(diff.table(first, second, every), console)
    print_paragraph(console, diff.legend(first, second, every))
    for variant in (first, second):
        if variant.impossible is not None:
            print_list(console, "Impossible:", [f"{variant.label}: {variant.impossible}"])
    for heading, sentences in diff.sentences(first, second).items():
        print_list(console, heading, sentences)


def grid(overrides: Sequence[str], as_json: bool, html: Path | None, png: Path | None) -> None:
    """Print every distinct variant of a grid, and draw its heat maps if files are named.

    Args:
        overrides: as for a sweep, with several values separated by commas.
        as_json: whether to print JSON.
        html: page to write.
        png: picture to write.
    """
    found = examine_grid(overrides)
    contents: dict[Path, bytes] = {}
    if html is not None or png is not None:
        # Imported here, because only pictures need Matplotlib.
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
    """Print the tutorial's three convolutions, or the one that overrides and input size select.

    Args:
        overrides: overrides of `conv` and `model`.
        input_size: height and width of the input; 5x5 by default.

    Raises:
        ImpossibleVariant: no window fits.
        UserError: other overrides, or an input so large that it would take long.
    """
    # Imported here, because no other command needs PyTorch.
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
    single = samples.sample(input_size or samples.TUTORIAL_INPUT, first_layer(overrides))
    _show_samples(console, [single], "conv1 = ")
    if len(single.reads) <= _MOST_ROWS:
        print_line(console)
        print_line(console, "How often the windows read each pixel of the input:")
        _print_matrix(console, single.reads)


def rules(overrides: Sequence[str]) -> None:
    """Print each rule with its threshold, meaning and source."""
    if overrides:
        raise UserError(f"rules takes no arguments, got {overrides[0]}")
    console = new_console()
    print_paragraph(console, "The findings that explain.py reports, and their thresholds:")
    for rule in RULES:
        print_line(console)
        print_line(console, f"{rule.title}: {rule.threshold}")
        # The docstrings are imperative; users read only what is found.
        meaning = " ".join((inspect.getdoc(rule.find) or "").split()).removeprefix("Find ")
        print_paragraph(console, meaning[0].upper() + meaning[1:], first="  ", rest="  ")


def write_layer_page(path: Path, sides: Sequence[Sequence[str]], choice: PageChoice) -> None:
    """Write the interactive page of one layer, or of one layer of two variants.

    Args:
        path: file to write.
        sides: the overrides of one variant or of two. A single empty one without a layer or with a
            run shows the tutorial's convolution or the run's.
        choice: layer, input and run.

    Raises:
        UserError: an override of another group than `conv`, `data` and `model`, no such layer, or
            a value that the page cannot show.
    """
    if list(sides) == [()] and (choice.layer is None or choice.run is not None):
        sides = []
    variants = [_one_layer_variant(overrides, ("conv", "data", "model")) for overrides in sides]
    convs = [convs[0] for variant in variants if (convs := variant.convs)]
    layer = None
    # The first layer of a stack is shown on the tutorial's input, unless it is asked for.
    if choice.layer is not None or any(map(_has_input, variants)):
        layers = [_page_layer(variant, choice.layer) for variant in variants]
        convs = [layer.conv for layer in layers]
        layer = _together(layers) if layers else None
    first, second = (*convs, None, None)[:2]
    reason = write_page(
        path,
        conv=first,
        input_size=choice.input_size,
        second=second,
        run=choice.run,
        layer=layer,
        name=choice.layer,
    )
    print(f"wrote {path}: open it in a browser")
    if reason is not None:
        print(reason)


def _together(layers: Sequence[PageLayer]) -> PageLayer:
    """Return the first layer, with sentences about both if they differ."""
    first, second = layers[0], layers[-1]
    if first.about == second.about:
        return first
    about = f"First setting: {first.about} Second setting: {second.about}"
    if first.size != second.size:
        about += f" Both are shown on {size(first.size)}."
    return replace(first, about=about)


def _has_input(variant: Variant) -> bool:
    """Return whether a variant's data were typed, or its network is not a stack."""
    groups = {key_of(override).partition(".")[0] for override in variant.overrides}
    return "data" in groups or variant.config.model.network != "stack"


def _page_layer(variant: Variant, name: str | None) -> PageLayer:
    """Return a layer of a variant, by default the first varied one."""
    assert variant.convs is not None
    graph = variant.graph.with_specs(variant.convs)
    return page_layer(graph, variant.facts.input_shape, name or graph.varied[0], variant.title)


def first_layer(overrides: Sequence[str]) -> ConvSpec:
    """Return the first varied conv layer of a variant, which the sample shows.

    Raises:
        UserError: an override of another group than `conv` and `model`.
        ImpossibleVariant: the layer has no pixels, as `same` at a stride above 1.
    """
    variant = _one_layer_variant(overrides, ("conv", "model"))
    assert variant.convs is not None
    return variant.convs[0]


def _one_layer_variant(overrides: Sequence[str], groups: Sequence[str]) -> Variant:
    """Return a variant whose layers have pixels; only overrides of these groups may be typed."""
    for override in overrides:
        if key_of(override).partition(".")[0] not in groups:
            raise UserError(
                f"only one layer is shown, which {listed(groups)} describe, got {override}"
            )
    (variant,) = _variants(overrides)
    if variant.convs is None:
        assert variant.impossible is not None
        raise variant.impossible
    return variant


def _variants(*sides: Sequence[str]) -> list[Variant]:
    composer = VariantComposer()
    for overrides in sides:
        require_single(overrides)
    return [composer.compose(overrides) for overrides in sides]


def _print_json(record: dict[str, Any]) -> None:
    print(json.dumps(record, indent=2))


def _show_variant(console: Console, variant: Variant, every: bool) -> None:
    layers = [layer.as_record() for layer in variant.layers]
    if variant.geometry is None:
        if layers:
            print_paragraph(console, f"{variant.title}, the layers before the impossible one:")
            print_line(console)
            print_table(layer_table(layers, SIZES, every), console)
        return
    print_paragraph(console, variant.title)
    for columns in (SIZES, COSTS):
        print_line(console)
        print_table(layer_table(layers, columns, every), console)
        print_paragraph(console, legend(columns, layers, every))
    print_line(console)
    print_paragraph(console, f"{summary(variant.geometry)}.")
    sentences = list(findings(variant.geometry).values())
    print_list(console, "What stands out (`explain.py rules` lists the rules):", sentences)


def _show_samples(console: Console, samples: Sequence[Sample], name: str = "") -> None:
    """Print the samples' common input, and the output and sentences of each."""
    numbers = samples[0].input
    shape = [1, 1, len(numbers), len(numbers[0])]
    print_line(console, f"Input {shape}, the numbers 0 to {numbers[-1][-1]}:")
    _print_matrix(console, numbers)
    for sample in samples:
        print_line(console)
        sizes = f"{size(shape[2:])} to {size(sample.output_shape[2:])}"
        output = f"output {list(sample.output_shape)}"
        print_line(console, f"{name}{sample.constructor}: {sizes}, {output}:")
        _print_matrix(console, sample.output)
        first_sum = [f"First output: {sample.first_sum}"] if sample.first_sum else []
        for sentence in (*sample.sentences, *first_sum):
            print_paragraph(console, sentence, first="- ", rest="  ")


def _print_matrix(console: Console, rows: Sequence[Sequence[int]]) -> None:
    """Print integers in columns; rows and columns that do not fit are left out in the middle."""
    shown = [list(map(str, row)) for row in _elided(rows, _MOST_ROWS, [_GAP] * len(rows[0]))]
    width = max(len(cell) for row in shown for cell in row) + 2
    fitting = max(console.width // width - 1, 2)
    for row in shown:
        print_line(console, "".join(cell.rjust(width) for cell in _elided(row, fitting, _GAP)))


def _elided(items: Sequence[Any], most: int, gap: Any) -> Sequence[Any]:
    """Return at most `most` items: the first ones, `gap` in place of the middle, the last ones."""
    if len(items) <= most:
        return items
    head = most // 2
    return [*items[:head], gap, *items[len(items) - most + head :]]
