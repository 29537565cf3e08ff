"""Write docs/claims.md: public claims about convolutions, each with the number that answers it.

    python docs/claims.py

Arithmetic is that of `convscope.geometry`. Measurements are those of the packed study
docs/claims.zip, tested by `convscope.analysis.pairwise`.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from convscope.analysis import findings, load
from convscope.analysis.pairwise import (
    differences_from,
    sampling_error,
    simultaneous_intervals,
)
from convscope.analysis.select import where
from convscope.geometry import ConvSpec, NetworkGeometry, read_counts
from convscope.geometry.conv import ConvAxis
from convscope.geometry.factors import named_padding
from convscope.geometry.layers import Window
from convscope.metrics import METRICS
from convscope.tables import Table, markdown
from convscope.text import (
    counted,
    escape_markdown,
    listed,
    percent,
    percent_range,
    percentage_points,
    share,
)
from convscope.variant import VariantComposer

HERE = Path(__file__).parent
PACK, PAGE = HERE / "claims.zip", HERE / "claims.md"
BASE = 'model.channels == "16-32-64" and model.pool_after == "1"'
PLAIN = f'{BASE} and padding_mode == "zeros" and padding_policy in ["valid", "half"]'
GRID, ONES = f"{PLAIN} and kernel_size > 1", f"{PLAIN} and kernel_size == 1"
"""Networks of 1x1 convolutions hardly learn, and differ so much between seeds that their variance
would hide the differences of all others. They are a family of their own."""
Run = Mapping[str, Any]
"""A row of the table of runs."""
EVERYWHERE = "every network and data set: it is arithmetic"


@dataclass(frozen=True)
class Answer:
    """What ConvScope says about a claim; texts are Markdown.

    Args:
        verdict: true, false or depends, in a few words.
        number: the number that decides it, for the overview.
        text: the answer in full sentences.
        commands: what a reader types to see it.
        scope: what it holds for.
        tables: measurements, each with a line above it, which may be empty.
    """

    verdict: str
    number: str
    text: str
    commands: Sequence[str]
    scope: str
    tables: Sequence[tuple[str, Table]] = ()


@dataclass(frozen=True)
class Claim:
    """A claim in our own words, where it is made, and the function that answers it."""

    text: str
    sources: Sequence[tuple[str, str]]
    answer: Callable[[DataFrame], Answer]


@dataclass(frozen=True)
class Difference:
    """A metric's mean of one variant minus that of another, with its simultaneous interval."""

    first: str
    second: str
    metric: str
    means: tuple[float, float]
    value: float
    low: float
    high: float

    @property
    def direction(self) -> int:
        """1 or -1 where the interval excludes 0, else 0."""
        return (self.low > 0) - (self.high < 0)

    @property
    def text(self) -> str:
        """`1.20 points (95 % interval 1.02 to 1.38)`, without a sign."""
        low, high = (self.low, self.high) if self.value > 0 else (-self.high, -self.low)
        ends = f"{_signed(low)} to {_signed(high)}".replace("+", "")
        return f"{percentage_points(abs(self.value))} (95 % interval {ends})"


# Tools


@cache
def _composer() -> VariantComposer:
    return VariantComposer()


def network(*overrides: str) -> NetworkGeometry:
    """Return the geometry of the default network on MNIST with these overrides."""
    geometry = _composer().compose(["data=mnist", *overrides]).geometry
    assert geometry is not None, overrides
    return geometry


def axis(kernel: int, stride: int, before: int, after: int | None = None) -> ConvAxis:
    """Return a convolution along one axis; `after` is `before` if not given."""
    return ConvAxis(kernel, stride, before, before if after is None else after, 1, "zeros")


def same_tf(kernel: int, stride: int, size: int) -> tuple[int, int]:
    """Return TensorFlow's padding before and after an axis of this size."""
    spec = ConvSpec((kernel, kernel), (stride, stride), ((0, 0), (0, 0)))
    return named_padding("same_tf", spec, (size, size))[0]


def reads(*overrides: str) -> list[int]:
    """Return how often windows of the first layer read each row of the image."""
    geometry = network(*overrides)
    layer = geometry.layers[0]
    window = geometry.graph.by_name[layer.name].layer
    assert isinstance(window, Window)
    return read_counts(window, layer.size, layer.out_shape[1:])[0]


def family(runs: DataFrame, expression: str) -> DataFrame:
    """Return the runs that are compared with each other, whatever their settings."""
    return where(runs, f"({expression}) and status == 'finished'").assign(setting="")


def difference(
    runs: DataFrame, first: str, second: str, metric: str = "test_accuracy"
) -> Difference:
    """Compare two variants of a family, given by their labels or expressions."""
    one, other = (_group(runs, name) for name in (first, second))
    found = differences_from(runs, other, [one], metric).loc[one]
    means = runs.groupby("group")[metric].mean()
    values = (found["difference"], found["low"], found["high"])
    return Difference(first, second, metric, (means[one], means[other]), *map(float, values))


def _group(runs: DataFrame, name: str) -> str:
    (group,) = runs.loc[runs["name"] == name, "group"].unique()
    return str(group)


def named(
    runs: DataFrame, name: Callable[[Run], str] = lambda run: str(run["variant"])
) -> DataFrame:
    """Return the runs with a column `name`, which names their variant in the tables."""
    return runs.assign(name=[name(run) for run in runs.to_dict("records")])


def table(differences: Iterable[Difference]) -> Table:
    """Return the differences as a table, in percentage points; significant ones are bold."""
    differences = list(differences)
    title = METRICS[differences[0].metric].title
    return Table(
        ("<variant", "<compared with", title, "of the other", "difference", "95 % interval"),
        tuple(
            (
                f"`{one.first}`",
                f"`{one.second}`",
                percent(one.means[0]),
                percent(one.means[1]),
                f"**{_signed(one.value)}**" if one.direction else _signed(one.value),
                f"{_signed(one.low)} to {_signed(one.high)}",
            )
            for one in differences
        ),
    )


def verdict(differences: Sequence[Difference], better: int = 1) -> str:
    """Return what the differences say of "the first is better than the second"."""
    directions = {better * one.direction for one in differences}
    if {1, -1} <= directions:
        return "depends"
    parts = ["true here"] * (1 in directions) + ["false here"] * (-1 in directions)
    return ", or ".join([*parts, *["not significantly different"] * (0 in directions)])


def tally(differences: Sequence[Difference], better: str, worse: str) -> str:
    """Return how many pairs went which way: `better in 3, worse in 1 of 4 pairs`."""
    words = {1: better, -1: worse, 0: "not significantly different"}
    counts = Counter(one.direction for one in differences)
    parts = [f"{text} in {counts[sign]}" for sign, text in words.items() if counts[sign]]
    return f"{', '.join(parts)} of {counted(len(differences), 'pair')}"


def _signed(difference: float) -> str:
    return f"{100 * difference:+.2f}".replace("-", "−")


def scope(runs: DataFrame) -> str:
    """Return data, network, length of training and seeds of a family."""
    first, seeds = runs.iloc[0], sorted(runs.groupby("group")["seed"].nunique().unique())
    epochs, images = int(first["trainer.max_epochs"]), int(first["train_images"])
    channels = runs["model.channels"].unique()
    widths = f"channels {channels[0]}" if len(channels) == 1 else "channels as stated"
    return (
        f"{first['dataset']}, {widths}, {counted(epochs, 'epoch')} of {images:,} images,"
        f" {_either(seeds)} seeds a variant"
    )


def shifted(runs: DataFrame) -> str:
    """Return how many test images were shifted, and the error that comes of so few."""
    (images,) = {record.environment["diagnostics"]["images"] for record in runs["record"]}
    error = sampling_error(runs.groupby("group")["shift_change"].mean().max(), images)
    return (
        f"shifts of {images} test images, a sample that adds a standard error of up to"
        f" {percentage_points(error)} to each share"
    )


def training(runs: DataFrame, *overrides: str) -> str:
    """Return the command that trains a study like this one."""
    first = runs.iloc[0]
    seeds = runs["seed"].nunique()
    batches = first["record"].config["trainer"]["limit_train_batches"]
    words = ["python", "scripts/train.py", "-m", *overrides, f"data={first['dataset']}"]
    words += [f"repeat={seeds}", f"trainer.max_epochs={int(first['trainer.max_epochs'])}"]
    return shlex.join([*words, f"trainer.limit_train_batches={batches}", "study=claims"])


def comparison(expression: str) -> str:
    """Return the command that shows the runs of a family."""
    return shlex.join(["python", "scripts/compare.py", "docs/claims.zip", "--where", expression])


# Arithmetic


def stride_and_parameters(_: DataFrame) -> Answer:
    strides = {stride: network(f"conv.stride={stride}") for stride in (1, 2)}
    one, two = strides.values()
    conv = one.layers[2].params
    weights = [one.layers[-1].out_shape[0] * h * w * 10 for h, w in (one.final_map, two.final_map)]
    assert (one.params, conv) == (two.params, two.layers[2].params)
    return Answer(
        "false for a convolution",
        f"{one.params:,} parameters at stride 1 and at stride 2",
        "A convolution has one weight per kernel position, input channel and output channel. A 3x3"
        f" one from 16 to 32 channels has {conv:,} weights at any stride. The default network has"
        f" {one.params:,} parameters at stride 1 and at stride 2. What shrinks"
        f" is the final map, from {_size(one.final_map)} to {_size(two.final_map)}, and the number"
        f" of multiply-accumulates, from {one.macs:,} to {two.macs:,}. There are fewer parameters"
        " only where the map is flattened in front of a linear layer: for 10 classes that layer"
        f" would have {weights[0]:,} weights here at stride 1 and {weights[1]:,} at stride 2. With"
        " global average pooling, as here and in ResNets, its size does not depend on the map.",
        ["python scripts/explain.py diff data=mnist conv.stride=1 vs data=mnist conv.stride=2"],
        EVERYWHERE,
    )


def same_at_stride_2(_: DataFrame) -> Answer:
    refused = _composer().compose(["data=mnist", "conv.stride=2", "conv.padding=same"]).impossible
    assert refused is not None
    before, after = same_tf(3, 2, 28)
    return Answer(
        "PyTorch refuses it, TensorFlow has a rule",
        f"{before} pixels before and {after} after, of 28 pixels at kernel size 3 and stride 2",
        "`torch.nn.Conv2d` takes `padding='same'` at stride 1 only. TensorFlow pads"
        " max(0, d(k - 1) - (n - 1) mod s) pixels in all for n pixels, kernel size k, stride s and"
        " dilation d; if that is odd, the extra pixel comes after. So the padding depends on n:"
        f" at kernel size 3 and stride 2, 28 pixels get {before} before and {after} after, 29"
        f" pixels {_sides(same_tf(3, 2, 29))}; at kernel size 7, 224 pixels get"
        f" {_sides(same_tf(7, 2, 224))}. ConvScope names it `same_tf`.",
        [
            "python scripts/explain.py data=mnist conv.stride=2 conv.padding=same",
            "python scripts/explain.py data=mnist conv.stride=2 conv.padding=same_tf",
        ],
        EVERYWHERE,
    )


def same_and_half(_: DataFrame) -> Answer:
    half, tensorflow = axis(3, 2, 1), axis(3, 2, *same_tf(3, 2, 28))
    assert half.outputs(28) == tensorflow.outputs(28)
    assert same_tf(3, 2, 29) == (1, 1)
    first = [one.window(0) for one in (half, tensorflow)]
    return Answer(
        "same size, other pixels",
        f"the first window covers pixels {_range(first[1])} with SAME and {_range(first[0])} with"
        " padding 1",
        f"Of 28 pixels, kernel size 3 and stride 2 make {half.outputs(28)} outputs with either. But"
        f" TensorFlow's first window covers pixels {_range(first[1])}, and with a padding of"
        f" k // 2 = 1 on both sides it covers pixels {_range(first[0])}: all of TensorFlow's"
        " windows lie one pixel further right and down. Weights that were trained with one padding"
        " are applied to other pixels with the other. The two agree for an odd kernel size where"
        " the stride divides n - 1, such as for 29 pixels here.",
        [
            "python scripts/explain.py diff data=mnist conv.stride=2 conv.padding=half vs"
            " data=mnist conv.stride=2 conv.padding=same_tf"
        ],
        EVERYWHERE,
    )


def fractional_sizes(_: DataFrame) -> Answer:
    cases = {
        "ResNet's first layer": (224, axis(7, 2, 3)),
        "AlexNet's, as published": (224, axis(11, 4, 0)),
        "AlexNet's in torchvision": (224, axis(11, 4, 2)),
        "AlexNet's in the course notes": (227, axis(11, 4, 0)),
    }
    rows = [
        (
            name,
            f"{size}",
            f"k{one.kernel}, s{one.stride}, p{one.before}",
            f"{(size + one.before + one.after - one.extent) / one.stride + 1:g}",
            f"{one.outputs(size)}",
            f"{sum(vars(one.unused_border(size)).values())}",
        )
        for name, (size, one) in cases.items()
    ]
    columns = ("<layer", "input", "<convolution", "formula", "PyTorch", "unused pixels")
    return Answer(
        "false: it is rounded down",
        f"ResNet: {rows[0][3]} becomes {rows[0][4]}, which works",
        "PyTorch rounds the size of a convolution's output down, and so does TensorFlow with VALID."
        " The remainder of the division is a number of pixels at the end of the padded input that"
        " no window covers. They are lost only if they are not padding. ConvScope shows the formula"
        " and the unused border of each layer.",
        ["python scripts/explain.py data=mnist conv.stride=2"],
        EVERYWHERE,
        [("", Table(columns, tuple(rows)))],
    )


def equal_use(_: DataFrame) -> Answer:
    rows = []
    for name, padding in (("valid", 0), ("half", 1), ("full", 2)):
        counts = reads(f"conv.padding={name}")
        corner, middle = counts[0], counts[14]
        rows.append(
            (name, f"{padding}", f"{corner**2}", f"{corner * middle}", f"{middle**2}"),
        )
    half = rows[1]
    return Answer(
        "false for half padding, true for full padding",
        f"half padding: a corner pixel is read {half[2]} times, a central one {half[4]} times",
        "Counted for a 3x3 convolution with stride 1 on 28x28 pixels: padding by half the kernel,"
        " as is usual, keeps the size of the map, and still reads a corner pixel less often than a"
        " central one. With k - 1 pixels of padding at stride 1 all pixels are read equally often,"
        " but the map grows. In the table of `explain.py`, `reads` gives the smallest and the"
        " largest number of each layer.",
        [f"python scripts/explain.py data=mnist conv.padding={name}" for name in ("half", "full")],
        EVERYWHERE,
        [
            (
                "Number of windows that read a pixel:",
                Table(("<padding", "pixels", "corner", "edge", "centre"), tuple(rows)),
            )
        ],
    )


def wider_steps(_: DataFrame) -> Answer:
    first = {stride: network(f"conv.stride={stride}") for stride in (1, 2)}
    fields = {geometry.layers[0].receptive_field for geometry in first.values()}
    assert fields == {(3, 3)}
    overlaps = {
        stride: len(set(axis(3, stride, 0).window(0)) & set(axis(3, stride, 0).window(1)))
        for stride in (1, 2, 3)
    }
    last = [geometry.receptive_field[0] for geometry in first.values()]
    return Answer(
        "both false",
        f"3x3 windows cover 9 pixels at any stride, and overlap by {overlaps[2]} pixel at stride 2",
        "The kernel size sets the size of a window: 3x3 pixels at any stride. Neighbouring"
        f" windows overlap by k - s pixels: {overlaps[1]} at stride 1, {overlaps[2]} at stride 2,"
        f" and {overlaps[3]} only at stride 3. A larger stride does widen the receptive fields of"
        f" later layers: that of a unit of the final map is {last[0]} pixels wide at stride 1 and"
        f" {last[1]} at stride 2.",
        ["python scripts/explain.py diff data=mnist conv.stride=1 vs data=mnist conv.stride=2"],
        EVERYWHERE,
    )


def _pixels(length: float) -> str:
    return f"{length:+.1f}".replace("-", "−")


def _either(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


def _size(pair: tuple[int, int]) -> str:
    return "x".join(map(str, pair))


def _sides(sides: tuple[int, int]) -> str:
    return f"{sides[0]} and {sides[1]}"


def _range(window: range) -> str:
    return f"{window[0]} to {window[-1]}".replace("-", "−")


# Measurements


def smaller_strides(runs: DataFrame) -> Answer:
    grids, equal = [named(family(runs, one)) for one in (ONES, GRID)], equal_macs(runs)
    steps = [
        difference(grid, one, other)
        for grid in grids
        for one, other in _neighbours(grid, "stride", ["kernel_size", "padding_policy"])
    ]
    same_cost = [
        difference(equal, one, other)
        for one, other in (("k3-s1-p1", "k3-s2-p1"), ("k5-s1-p2", "k5-s2-p2"))
    ]
    return Answer(
        verdict([*steps, *same_cost]),
        f"equal channels: {tally(steps, 'better', 'worse')};"
        f" equal MACs: {tally(same_cost, 'better', 'worse')}",
        "At equal channels a smaller stride also costs more: it computes more positions. At equal"
        " MACs the network with stride 2 has so many more channels that both networks need"
        f" {network().macs:,} multiply-accumulates, within 5 %. In each row, the variant on the"
        " left has the smaller stride.",
        [
            training(
                runs, "conv.kernel_size=1,3,5,7", "conv.stride=1,2,3", "conv.padding=valid,half"
            ),
            comparison(PLAIN),
            *(
                training(runs, f"conv={one}", f"model.channels={equal_channels(equal, one)}")
                for one in ("k3-s2-p1", "k5-s1-p2", "k5-s2-p2")
            ),
        ],
        scope(pd.concat([*grids, equal])),
        [("At equal channels:", table(steps)), ("At equal MACs:", table(same_cost))],
    )


def padding_helps(runs: DataFrame) -> Answer:
    grid = named(family(runs, GRID))
    pairs = [
        difference(grid, one, other)
        for other, one in _neighbours(grid, "padding", ["kernel_size", "stride"])
    ]
    return Answer(
        verdict(pairs),
        tally(pairs, "better with half padding", "worse"),
        "Half padding is compared with none, at equal kernel size and stride. MNIST's digits have"
        " a black border, so padding preserves little information here. What it changes is the size"
        " of the maps, and with it the cost.",
        [comparison(GRID)],
        scope(grid),
        [("", table(pairs))],
    )


def zeros_or_repeat(runs: DataFrame) -> Answer:
    expression = f'{BASE} and kernel_size == 3 and stride == 1 and padding_policy == "half"'
    modes = named(family(runs, expression), lambda run: str(run["padding_mode"]))
    pairs = [difference(modes, mode, "zeros") for mode in ("replicate", "reflect", "circular")]
    modes_typed = "conv.padding_mode=zeros,replicate,reflect,circular"
    return Answer(
        verdict(pairs),
        "; ".join(f"{one.first} against zeros: {_signed(one.value)} points" for one in pairs),
        "Zeros are compared with padding from the map itself: its border repeated, its pixels"
        " reflected, or those of the opposite side (circular). On MNIST the border is black in"
        " nearly every image, so that these three are almost the same in the first layer; with"
        " photographs the result may differ.",
        [
            training(runs, "conv.kernel_size=3", "conv.padding=half", modes_typed),
            comparison(expression),
        ],
        scope(modes),
        [("", table(pairs))],
    )


def translation_invariance(runs: DataFrame) -> Answer:
    grid = named(family(runs, GRID))
    half = grid[grid["padding_policy"] == "half"]
    intervals = simultaneous_intervals(grid, "shift_change")
    means = grid.groupby("group")["shift_change"].mean()
    rows = []
    for name in sorted(half["name"].unique()):
        group = _group(grid, name)
        low, high = intervals.loc[group, ["low", "high"]]
        rows.append((f"`{name}`", percent(means[group]), percent_range(low, high)))
    of_half = means[half["group"].unique()]
    changes = [
        difference(grid, one, other, "shift_change")
        for one, other in _neighbours(half, "stride", ["kernel_size"])
    ]
    return Answer(
        "false",
        f"a shift by one pixel changes {percent(of_half.min())} to {percent(of_half.max())} of the"
        " answers",
        "If the input of a convolution with stride 1 moves, its output moves as far, except at the"
        " border: that is equivariance, not invariance. Strides, pools and padding break it."
        " Measured for half padding: the share of test images whose predicted class changes when"
        " the image moves by one pixel, mean over the four directions. The network has one"
        " max-pool with stride 2, so that stride 1 is not free of subsampling either.",
        [comparison(GRID)],
        f"{scope(half)}, {shifted(half)}",
        [
            (
                "Answers that change, with simultaneous 95 % intervals:",
                Table(("<variant", METRICS["shift_change"].title, "95 % interval"), tuple(rows)),
            ),
            ("Each stride compared with the next larger one:", table(changes)),
        ],
    )


def odd_kernels(runs: DataFrame) -> Answer:
    half, same = network("conv.kernel_size=4", "conv.padding=half"), axis(4, 1, 1, 2)
    expression = (
        f'{BASE} and padding_mode == "zeros" and stride == 1 and kernel_size in [2, 3, 4, 5]'
        ' and padding_policy in ["half", "same_tf"]'
    )
    kernels = named(family(runs, expression), lambda run: f"k{run['kernel_size']:g}")
    pairs = [difference(kernels, f"k{k + 1}", f"k{k}") for k in (2, 3, 4)]
    shifted = network("conv.kernel_size=4", "conv.padding=same").layers[0].start[0]
    return Answer(
        "an even kernel has no central pixel",
        f"kernel size 4: padding 2 makes {half.layers[0].out_shape[1]} pixels of 28; `same` pads"
        f" {same.before} and {same.after} and shifts by {shifted:g} pixels",
        "An odd kernel has a pixel in its centre, and equal padding on both sides can keep the size"
        f" of the map. Kernel size 4 makes {axis(4, 1, 1).outputs(28)} pixels of 28 with padding 1"
        f" and {half.layers[0].out_shape[1]} with padding 2; to keep 28, `same` pads {same.before}"
        f" pixel before and {same.after} after, and each output lies {shifted:g} pixels off its"
        " input pixel. That is a matter of alignment; the table has the accuracies.",
        [
            "python scripts/explain.py data=mnist conv.kernel_size=4 conv.padding=same",
            training(runs, "conv.kernel_size=2,4", "conv.padding=same"),
            comparison(expression),
        ],
        f"sizes: {EVERYWHERE}; accuracy: {scope(kernels)}",
        [("Each size compared with the next smaller one, at equal map sizes:", table(pairs))],
    )


def bigger_kernels(runs: DataFrame) -> Answer:
    names = ("k1-s1-p0", "k3-s1-p1", "k5-s1-p2", "k7-s1-p3")
    equal = equal_macs(runs, "kernel_size > 0")
    channels, macs = (
        [difference(_without_ones(rows, one), two, one) for one, two in pairwise(names)]
        for rows in (named(family(runs, PLAIN)), equal)
    )
    widths = listed([f"{equal_channels(equal, name)} at {name[:2]}" for name in names])
    return Answer(
        verdict([*channels, *macs]),
        f"equal channels: {tally(channels, 'better', 'worse')};"
        f" equal MACs: {tally(macs, 'better', 'worse')}",
        "Each kernel size is compared with the next smaller one, at stride 1 with half padding. At"
        " equal channels a bigger kernel has more weights and more multiply-accumulates; at equal"
        f" MACs the channels are {widths}. A 1x1 convolution does not combine neighbouring pixels:"
        " in that network only the max-pool and the global average do, so it can hardly learn"
        " shapes.",
        [
            comparison(PLAIN),
            *(
                training(runs, f"conv={one}", f"model.channels={equal_channels(equal, one)}")
                for one in names
            ),
        ],
        scope(pd.concat([family(runs, PLAIN), equal])),
        [("At equal channels:", table(channels)), ("At equal MACs:", table(macs))],
    )


def _without_ones(rows: DataFrame, smaller: str) -> DataFrame:
    """Return the family of a pair: kernel sizes 1 and 3, or those above 1."""
    sizes = rows["kernel_size"]
    return rows[sizes <= 3] if smaller.startswith("k1") else rows[sizes > 1]


def how_to_choose(runs: DataFrame) -> Answer:
    # The machine was busy with other work, so that speeds say little.
    grid = family(runs, GRID).assign(train_samples_per_sec=math.nan)
    sentences = findings.sentences(findings.summarize(grid))
    means = grid.groupby("variant")[["test_accuracy", "macs"]].mean()
    best = means.sort_values("test_accuracy", ascending=False).head(5)
    rows = tuple(
        (f"`{name}`", percent(row["test_accuracy"]), f"{row['macs']:,.0f}")
        for name, row in best.iterrows()
    )
    return Answer(
        "measure it: this is the study",
        f"`{best.index[0]}` has the highest test accuracy of {len(means)} variants,"
        f" {percent(best['test_accuracy'].iloc[0])}",
        "Train a grid on your own data, rank by validation accuracy, and look at the cost. Kernel"
        " size 1 is left out, as its networks hardly learn. ConvScope's findings on the others:\n\n"
        + "\n".join(f"- {escape_markdown(sentence)}" for sentence in sentences),
        [comparison(GRID)],
        scope(grid),
        [("The five highest test accuracies:", Table(("<variant", "mean", "MACs"), rows))],
    )


def two_small_or_one_large(runs: DataFrame) -> Answer:
    small = network("model.channels=[16,16]", "model.pool_after=[]", "conv.padding=half")
    large = network("model.channels=[16]", "model.pool_after=[]", "conv=k5-s1-p2")
    assert small.receptive_field == large.receptive_field
    stacks = {"16-16-32-32": "3x3 twice", "16-32": "5x5 once"}
    expression = f"model.channels in {[*stacks]}".replace("'", '"')
    pair = named(family(runs, expression), lambda run: stacks[run["model.channels"]])
    sides = difference(pair, *stacks.values(), "erf_side")
    accuracy = difference(pair, *stacks.values())
    fields = pair["receptive_field"].unique()
    assert len(fields) == 1
    return Answer(
        "true for the theoretical receptive field"
        + (" only" if sides.direction else "; effective ones not significantly different"),
        f"of a theoretical receptive field {fields[0]:g} pixels wide, half of the effective one is"
        f" in a square of {sides.means[0]:.1f} pixels with 3x3 kernels, {sides.means[1]:.1f} with"
        " 5x5",
        f"The theoretical receptive field is {_size(small.receptive_field)} pixels with either, and"
        " two 3x3 layers have fewer weights if the channels are equal. The effective receptive"
        " field weights each pixel by its influence on a trained unit; it can differ where the"
        " theoretical one is equal. Measured on two networks with equal maps and an equal"
        f" theoretical receptive field of {fields[0]:g} pixels: two 3x3 layers, a max-pool, two 3x3"
        " layers; and a 5x5 layer, a max-pool, a 5x5 layer. The side of the smallest centred square"
        f" that has half of the influence is {sides.means[0]:.1f} pixels with 3x3 and"
        f" {sides.means[1]:.1f} with 5x5, a difference of {_pixels(sides.value)} pixels (95 %"
        f" interval {_pixels(sides.low)} to {_pixels(sides.high)}).",
        [
            "python scripts/explain.py data=mnist 'model.channels=[16,16]' 'model.pool_after=[]'",
            training(
                runs,
                *("conv.kernel_size=3", "conv.padding=half"),
                *("model.channels=[16,16,32,32]", "model.pool_after=[2]"),
            ),
            training(runs, "conv.kernel_size=5", "conv.padding=half", "model.channels=[16,32]"),
        ],
        f"theory: {EVERYWHERE}; effective receptive field and accuracy: {scope(pair)}",
        [("Test accuracy:", table([accuracy]))],
    )


def stride_or_pool(runs: DataFrame) -> Answer:
    expression = 'model.channels == "16-32-64" and model.pool_after in ["none", "1-2"]'
    ways = named(family(runs, expression), _downsampling)
    others = [name for name in DOWNSAMPLING if name != "max-pool"]
    accuracy = [difference(ways, name, "max-pool") for name in others]
    changes = [difference(ways, name, "max-pool", "shift_change") for name in others]
    counts = sorted({row * col for row, col in product(reads("conv.stride=2"), repeat=2)})
    read = sum(row > 0 for row in reads("conv=k1-s2-p0")) / 28
    return Answer(
        verdict(accuracy[:1]),
        f"stride 2 against max-pool: {_signed(accuracy[0].value)} points of accuracy,"
        f" {_signed(changes[0].value)} points of answers changed by a shift of one pixel",
        f"A 3x3 convolution with stride 2 reads a pixel {_either(counts)}"
        f" times; a 1x1 convolution with stride 2 ignores {share(1 - read**2)} of the pixels."
        " Compared at equal map sizes, 14x14 and 7x7, with 3x3 convolutions: stride 2; stride 1 and"
        " a 2x2 max-pool; stride 1 and a 2x2 average pool; a max-pool with stride 1, then blurred"
        " and subsampled (Zhang's MaxBlurPool); a convolution with stride 1, then blurred and"
        " subsampled.",
        [
            training(runs, *("conv.kernel_size=3", "conv.padding=half"), *overrides)
            for overrides in DOWNSAMPLING.values()
        ],
        f"{scope(ways)}, {shifted(ways)}",
        [
            ("Test accuracy:", table(accuracy)),
            ("Answers changed by a shift of one pixel; fewer are better:", table(changes)),
        ],
    )


DOWNSAMPLING = {
    "stride 2": ("conv.stride=[2,2,1]", "model.pool_after=[]"),
    "stride 2, blurred": ("conv.stride=[2,2,1]", "model.pool_after=[]", "model.downsample=blur"),
    "max-pool": ("model.pool_after=[1,2]",),
    "average pool": ("model.pool_after=[1,2]", "model.pool=avg"),
    "max-pool, blurred": ("model.pool_after=[1,2]", "model.pool=blur"),
}
"""Ways from 28x28 to 7x7, with what a reader types."""


def _downsampling(run: Run) -> str:
    if run["stride"] == 2:
        return "stride 2, blurred" if run.get("model.downsample") == "blur" else "stride 2"
    pool = run.get("model.pool")
    return {"avg": "average pool", "blur": "max-pool, blurred"}.get(str(pool), "max-pool")


def equal_macs(runs: DataFrame, sizes: str = "kernel_size > 1") -> DataFrame:
    """Return the variants that need as many MACs as the default network, within 5 %."""
    macs = network().macs
    close = f"macs > {0.95 * macs:.0f} and macs < {1.05 * macs:.0f}"
    plain = 'model.pool_after == "1" and padding_mode == "zeros"'
    return named(
        family(runs, f'{sizes} and {close} and {plain} and padding_policy in ["valid", "half"]')
    )


def equal_channels(runs: DataFrame, name: str) -> str:
    """Return the channels of a variant as they are typed, `[16,32,64]`."""
    (channels,) = runs.loc[runs["name"] == name, "model.channels"].unique()
    return f"[{channels.replace('-', ',')}]"


def _neighbours(runs: DataFrame, by: str, same: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the names of variants that follow each other in one column, equal in others."""
    for _, members in runs.drop_duplicates("name").groupby([*same], sort=True):
        names = members.sort_values(by)["name"].tolist()
        yield from pairwise(names)


CS231N = ("CS231n, course notes", "https://cs231n.github.io/convolutional-networks/")
CNN_EXPLAINER = ("CNN Explainer", "https://poloclub.github.io/cnn-explainer/")
PYTORCH = "https://github.com/pytorch/pytorch/issues/"
DATA_SCIENCE = "https://datascience.stackexchange.com/questions/"
DEEPLEARNING_AI = "https://community.deeplearning.ai/t/"

CLAIMS = (
    Claim(
        "A stride lowers the number of parameters",
        [
            (
                "Packt, Python Deep Learning Cookbook",
                "https://packtpub.com/en-mt/product/python-deep-learning-cookbook-9781787125193"
                "/chapter/convolutional-neural-networks-3"
                "/section/applying-pooling-layers-ch03lvl1sec29",
            )
        ],
        stride_and_parameters,
    ),
    Claim(
        "`padding='same'` works with stride 2",
        [("pytorch#67551", f"{PYTORCH}67551"), ("pytorch#3867", f"{PYTORCH}3867")],
        same_at_stride_2,
    ),
    Claim(
        "TensorFlow's SAME is a padding of k // 2, also at stride 2",
        [
            ("keras#16363", "https://github.com/keras-team/keras/pull/16363"),
            ("tensornets#25", "https://github.com/taehoonlee/tensornets/issues/25"),
            ("MMdnn#660", "https://github.com/microsoft/MMdnn/issues/660"),
        ],
        same_and_half,
    ),
    Claim(
        "An output size that is not whole is invalid",
        [
            CS231N,
            ("Cross Validated 223630", "https://stats.stackexchange.com/questions/223630/"),
        ],
        fractional_sizes,
    ),
    Claim("Smaller strides work better", [CS231N, CNN_EXPLAINER], smaller_strides),
    Claim("Padding improves performance", [CS231N, CNN_EXPLAINER], padding_helps),
    Claim(
        "With padding, all pixels are used equally often",
        [
            (
                "Dive into Deep Learning",
                "https://d2l.ai/chapter_convolutional-neural-networks/padding-and-strides.html",
            )
        ],
        equal_use,
    ),
    Claim(
        "Repeat the border instead of padding with zeros",
        [
            (
                "deeplearning.ai forum",
                f"{DEEPLEARNING_AI}convolutions-why-pad-with-0s-instead-of-repeat/310970",
            )
        ],
        zeros_or_repeat,
    ),
    Claim(
        "CNNs are translation invariant",
        [
            ("asked on Data Science", f"{DATA_SCIENCE}61308/are-cnns-indeed-translation-invariant"),
            ("refuted by Azulay and Weiss (2019)", "https://arxiv.org/abs/1805.12177"),
        ],
        translation_invariance,
    ),
    Claim(
        "Kernels should be odd",
        [
            (
                "asked on Data Science",
                f"{DATA_SCIENCE}23183/why-convolutions-always-use-odd-numbers-as-filter-size",
            )
        ],
        odd_kernels,
    ),
    Claim(
        "A bigger kernel is better",
        [
            (
                "asked on Data Science",
                f"{DATA_SCIENCE}52889/"
                "does-increasing-kernel-size-in-a-cnn-result-in-higher-accuracy-on-the-training",
            ),
            ("deeplearning.ai forum", f"{DEEPLEARNING_AI}effect-of-selecting-kernel-size/145800"),
        ],
        bigger_kernels,
    ),
    Claim(
        "How to choose kernel size and stride?",
        [
            (
                "Cross Validated 296027",
                "https://stats.stackexchange.com/questions/296027/"
                "choosing-filter-size-strides-etc-in-a-cnn",
            )
        ],
        how_to_choose,
    ),
    Claim(
        "Two 3x3 convolutions have the effective receptive field of one 5x5",
        [
            (
                "M. Lafalce, The Impact of Kernel Size on CNN Training (2026)",
                "https://mateolafalce.github.io/2026/The%20Impact%20of%20Kernel%20Size%20on%20CNN"
                "%20Training/TheImpactofKernelSizeonCNNTraining.html",
            )
        ],
        two_small_or_one_large,
    ),
    Claim(
        "A stride of 2 is better than a max-pool",
        [
            (
                "fast.ai forum",
                "https://forums.fast.ai/t/"
                "difference-between-maxpooling-and-convolutional-layers-with-stride-2/81765",
            )
        ],
        stride_or_pool,
    ),
    Claim(
        "At a higher stride each step covers a wider area; 3x3 windows at stride 2 do not overlap",
        [
            ("DeepAI glossary", "https://deepai.org/machine-learning-glossary-and-terms/stride"),
            ("book-ai, chapter 13", "https://www.book-ai.org/books/neural-networks/chapter-13"),
        ],
        wider_steps,
    ),
)


# Page


def page(runs: DataFrame) -> str:
    """Return docs/claims.md for the runs of a packed study."""
    answers = [claim.answer(runs) for claim in CLAIMS]
    titles = [f"{number}. {claim.text}" for number, claim in enumerate(CLAIMS, start=1)]
    overview = Table(
        ("<claim", "<verdict", "<number"),
        tuple(
            (f"[{title}](#{_anchor(title)})", answer.verdict, answer.number)
            for title, answer in zip(titles, answers, strict=True)
        ),
    )
    sections = [
        _section(title, claim, answer)
        for title, claim, answer in zip(titles, CLAIMS, answers, strict=True)
    ]
    return "\n\n".join([_introduction(runs), markdown(overview), *sections]) + "\n"


def _introduction(runs: DataFrame) -> str:
    finished = runs[runs["status"] == "finished"]
    first = finished.iloc[0]
    epochs = counted(int(first["trainer.max_epochs"]), "epoch")
    images = f"{int(first['train_images']):,} images"
    torch = ", ".join(sorted(finished["torch"].unique()))
    return f"""# Claims, tested

What people ask and claim in public about kernel size, stride and padding, each with a command and a
number that answer it. `python docs/claims.py` writes this page: arithmetic is computed by
ConvScope's geometry, measurements come from {len(finished)} trained runs. Their records are in
[claims.zip](claims.zip), which is compared like any study:
`python scripts/compare.py docs/claims.zip`.

Limits of the measurements: the networks are small (at most four convolutions, 28x28 pixels) and
trained briefly, {epochs} of {images}, so that one CPU core could train them all. They are far from
converged: accuracies, and which variant is better, may change with more training, other data and
deeper networks. Other programs ran on the same machine ({first["device"]},
torch {torch}), so the samples/s in these records are not reliable.

Differences are in percentage points, with 95 % intervals that hold for all pairs of a section's
variants at once (Tukey's HSD, or Games-Howell where variances differ); a difference in bold is
significant. "Not significantly different" does not mean equal. The intervals cover the variation
between seeds, not that between possible samples of test images."""


def _section(title: str, claim: Claim, answer: Answer) -> str:
    sources = ", ".join(f"[{name}]({url})" for name, url in claim.sources)
    commands = "\n".join(answer.commands)
    parts = [
        f"## {title}",
        f"Where: {sources}.",
        f"**{answer.verdict[0].upper()}{answer.verdict[1:]}.** {answer.text}",
        *(part for line, rows in answer.tables for part in (line, markdown(rows)) if part),
        f"```sh\n{commands}\n```",
        f"Holds for: {answer.scope}.",
    ]
    return "\n\n".join(parts)


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page(load(PACK)), "utf-8")
