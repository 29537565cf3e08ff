"""A grid of variants before hours are spent on it: equal ones folded, impossible ones listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from convscope.config.errors import check_typed
from convscope.config.expand import expand
from convscope.errors import UserError
from convscope.geometry import pair_token
from convscope.layer_table import MACS
from convscope.tables import Table
from convscope.text import counted, share, size
from convscope.variant import Variant, VariantComposer

GRID_LEGEND = (
    f"RF: receptive field of the last layer, in pixels; {MACS.full_legend}; padding: touches"
    " padding, share of outputs in the conv layer where it is largest; equal: other ways to type"
    " the same variant"
)
"""What the columns of `grid_table` mean."""
_CONV = "conv."


@dataclass(frozen=True)
class Row:
    """One distinct variant.

    Attributes:
        forms: each way in which the grid types it, one value per key of the grid.
    """

    variant: Variant
    forms: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Grid:
    """Every combination of the values given.

    Attributes:
        values: each key with several values, and these as typed.
        variants: by their values, one per key.
    """

    values: dict[str, tuple[str, ...]]
    variants: dict[tuple[str, ...], Variant]

    @cached_property
    def rows(self) -> list[Row]:
        """Distinct variants in the order of the grid."""
        forms: dict[object, list[tuple[str, ...]]] = {}
        for form, variant in self.variants.items():
            forms.setdefault(_pixels(variant), []).append(form)
        return [Row(self.variants[same[0]], tuple(same)) for same in forms.values()]

    @property
    def possible(self) -> list[Row]:
        return [row for row in self.rows if row.variant.geometry is not None]

    @property
    def impossible(self) -> list[Row]:
        return [row for row in self.rows if row.variant.geometry is None]

    @property
    def summary(self) -> str:
        """`36 combinations make 30 variants, 4 of them impossible`."""
        combinations, variants = len(self.variants), len(self.rows)
        return (
            f"{counted(combinations, 'combination')} {'make' if combinations > 1 else 'makes'}"
            f" {counted(variants, 'variant')}, {len(self.impossible) or 'none'} of them impossible"
        )


def examine_grid(overrides: Sequence[str]) -> Grid:
    """Every combination of comma-separated values, split as a sweep splits them.

    Raises:
        UserError: a key, group or value that no run could have, or too many combinations.
    """
    choices = expand(overrides)
    several = [len(one.overrides) > 1 for one in choices]
    composer = VariantComposer()
    variants = {}
    for words in product(*(one.overrides for one in choices)):
        form = tuple(word.partition("=")[2] for word in compress(words, several))
        variants[form] = composer.compose(words)
    if not variants:
        raise UserError("the grid has no variants: nothing matches its glob")
    return Grid({one.key: tuple(one.values) for one in compress(choices, several)}, variants)


def require_single(overrides: Sequence[str]) -> None:
    """Check that overrides name one variant.

    Raises:
        UserError: several values, as for a sweep, or text that is no override.
    """
    check_typed(overrides)
    for override in overrides:
        try:
            several = OverridesParser.create().parse_override(override).is_sweep_override()
        except HydraException:
            # What cannot be read is told when it is composed.
            continue
        if several:
            raise UserError(
                f"{override} is more than one variant\n"
                f"write explain.py grid {override}, or a list as [1,2,3]"
            )


def grid_table(grid: Grid) -> Table:
    """The possible variants; keys besides conv have a column of their own."""
    keys = list(grid.values)
    others = [index for index, key in enumerate(keys) if not _is_conv(key)]
    columns = (
        "<variant",
        *(f"<{keys[index]}" for index in others),
        "final map",
        "RF",
        "MACs",
        "params",
        "padding",
        "<equal",
    )
    return Table(columns, tuple(_table_row(row, keys, others) for row in grid.possible))


def impossible_sentences(grid: Grid) -> list[str]:
    """Which variant, what is wrong with it, and what would make it possible."""
    keys = list(grid.values)
    sentences = []
    for row in grid.impossible:
        others = [
            f"{key} {' = '.join(dict.fromkeys(form[index] for form in row.forms))}"
            for index, key in enumerate(keys)
            if not _is_conv(key)
        ]
        words = [row.variant.label, *others, typed_as(row, keys)]
        sentences.append(f"{', '.join(filter(None, words))}: {row.variant.impossible}")
    return sentences


def typed_as(row: Row, keys: Sequence[str]) -> str:
    """`padding 0 = half`: the forms that fold into one variant; "" where there is one form."""
    unlike = [
        index
        for index, key in enumerate(keys)
        if _is_conv(key) and len({form[index] for form in row.forms}) > 1
    ]
    names = [keys[index].removeprefix(_CONV) for index in unlike]
    forms = list(dict.fromkeys(tuple(form[index] for index in unlike) for form in row.forms))
    if len(unlike) == 1:
        return f"{names[0]} {' = '.join(form[0] for form in forms)}"
    return " = ".join(
        ", ".join(f"{name} {value}" for name, value in zip(names, form, strict=True))
        for form in forms
        if form
    )


def _table_row(row: Row, keys: Sequence[str], others: Sequence[int]) -> tuple[str, ...]:
    geometry = row.variant.geometry
    assert geometry is not None
    shares = [layer.padding_share for layer in geometry.layers if layer.kind == "conv"]
    return (
        row.variant.label,
        *(" = ".join(dict.fromkeys(form[index] for form in row.forms)) for index in others),
        size(geometry.final_map),
        pair_token(geometry.layers[-1].receptive_field),
        f"{geometry.macs:,}",
        f"{geometry.params:,}",
        share(max(shares)),
        typed_as(row, keys),
    )


def _is_conv(key: str) -> bool:
    return key == "conv" or key.startswith(_CONV)


def _pixels(variant: Variant) -> object:
    """What makes a variant: equal for all ways to type it."""
    model, facts = variant.config.model, variant.facts
    network = facts.input_shape, facts.classes, *map(tuple, (model.channels, model.pool_after))
    return network, variant.geometry and variant.geometry.convs, variant.label
