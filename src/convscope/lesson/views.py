"""What each command of `explain.py` prints for a person."""

from __future__ import annotations

import inspect

from rich.console import Console

from convscope.config.compose import compose_config
from convscope.geometry import ConvSpec, NetworkGeometry, Pair, parse_conv
from convscope.lesson import diff
from convscope.lesson.grid import GRID_LEGEND, Grid, grid_table, impossible_sentences
from convscope.lesson.rules import RULES, findings
from convscope.lesson.sample import (
    PRESET_INPUT,
    PRESETS,
    Sample,
    input_numbers,
    preset_shapes,
    sample,
    tutorial,
)
from convscope.lesson.show import matrix
from convscope.lesson.tables import COSTS_LEGEND, SIZES_LEGEND, costs_table, sizes_table, summary
from convscope.tables import line, print_list, print_table, say
from convscope.text import size
from convscope.variant import Variant


def show_variant(console: Console, variant: Variant) -> None:
    """Tables and words of a possible variant; the layers that an impossible one has."""
    if variant.geometry is None:
        if variant.partial_geometry is not None:
            say(console, f"{variant.title}, the layers before the impossible one:")
            line(console)
            print_table(sizes_table(variant.partial_geometry), console)
        return
    say(console, variant.title)
    _layers(console, variant.geometry)
    line(console)
    say(console, f"{summary(variant.geometry)}.")
    sentences = list(findings(variant.geometry).values())
    print_list(console, "What stands out (`explain.py rules` lists the rules):", sentences)


def show_diff(console: Console, first: Variant, second: Variant) -> None:
    print_table(diff.table(first, second), console)
    say(console, diff.LEGEND)
    for variant in (first, second):
        if variant.impossible is not None:
            print_list(console, "Impossible:", [f"{variant.label}: {variant.impossible}"])
    for heading, sentences in diff.sentences(first, second).items():
        print_list(console, heading, sentences)


def show_grid(console: Console, grid: Grid) -> None:
    say(console, f"{grid.summary}.")
    if grid.possible:
        line(console)
        print_table(grid_table(grid), console)
        say(
            console,
            f"{GRID_LEGEND}.",
        )
    print_list(
        console,
        "Impossible, with the smallest change that makes each possible:",
        impossible_sentences(grid),
    )


def show_tutorial(console: Console) -> None:
    """The tutorial's sample, and its three constructor examples by preset name."""
    samples = tutorial()
    _numbers(console, samples[0])
    for one in samples:
        _sample(console, one)
    image = [1, 1, *PRESET_INPUT]
    line(console)
    say(console, f"The tutorial's three constructors are presets; 10 filters on {image}:")
    for name in PRESETS:
        (conv,) = parse_conv(vars(compose_config([f"conv={name}"]).conv), 1)
        constructor, shape = preset_shapes(conv)
        line(console, f"  conv={name}  {constructor:<31} {list(shape)}")
    say(console, f"Train one with: python scripts/train.py experiment=tutorial conv={PRESETS[1]}")


def show_sample(console: Console, input_size: Pair, conv: ConvSpec) -> None:
    one = sample(input_size, conv)
    _numbers(console, one)
    _sample(console, one, "conv1 = ")


def show_rules(console: Console) -> None:
    say(console, "What explain.py says of a network, and from which threshold on:")
    for rule in RULES:
        line(console)
        line(console, f"{rule.title}: {rule.threshold}")
        meaning = " ".join((inspect.getdoc(rule.find) or "").split())
        say(console, meaning, first="  ", rest="  ")


def _layers(console: Console, geometry: NetworkGeometry) -> None:
    for table, legend in (
        (sizes_table(geometry), SIZES_LEGEND),
        (costs_table(geometry), COSTS_LEGEND),
    ):
        line(console)
        print_table(table, console)
        say(console, legend)


def _numbers(console: Console, one: Sample) -> None:
    _, _, height, width = one.input_shape
    line(console, f"Input {list(one.input_shape)}, the numbers 0 to {height * width - 1}:")
    matrix(console, input_numbers((height, width))[0, 0].long().tolist())


def _sample(console: Console, one: Sample, name: str = "") -> None:
    line(console)
    line(
        console,
        f"{name}{one.constructor}: {size(one.input_shape[2:])} to {size(one.output_shape[2:])},"
        f" output {list(one.output_shape)}:",
    )
    matrix(console, one.output)
    for sentence in one.sentences:
        say(console, sentence, first="- ", rest="  ")
    if one.first_sum:
        say(console, f"First output: {one.first_sum}", first="- ", rest="  ")
