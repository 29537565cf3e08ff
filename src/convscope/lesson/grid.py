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


@dataclass(frozen=True)
class Row:
    """One distinct variant.

    Attributes:
        forms: each way in which the grid types it: a value by key of the grid.
    """

    variant: Variant
    forms: tuple[dict[str, str], ...]

    def typed(self, key: str) -> str:
        """Every value of a key that makes this variant: `0 = half`."""
        return " = ".join(dict.fromkeys(form[key] for form in self.forms))

    @property
    def equal(self) -> str:
        """`padding 0 = half`: values of `conv` that make one variant; "" where only one does."""
        unlike = {
            key: key.removeprefix("conv.")
            for key in self.forms[0]
            if _is_conv(key) and len({form[key] for form in self.forms}) > 1
        }
        if len(unlike) == 1:
            return "".join(f"{name} {self.typed(key)}" for key, name in unlike.items())
        forms = dict.fromkeys(
            ", ".join(f"{name} {form[key]}" for key, name in unlike.items()) for form in self.forms
        )
        return " = ".join(forms)


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
        return [
            Row(
                self.variants[same[0]],
                tuple(dict(zip(self.values, form, strict=True)) for form in same),
            )
            for same in forms.values()
        ]

    @property
    def impossible(self) -> list[Row]:
        """The rows of impossible variants."""
        return [row for row in self.rows if row.variant.geometry is None]

    @property
    def other_keys(self) -> list[str]:
        """Keys besides `conv`."""
        return [key for key in self.values if not _is_conv(key)]

    @property
    def summary(self) -> str:
        """`36 combinations make 30 variants, 4 of them impossible`."""
        combinations, variants = len(self.variants), len(self.rows)
        return (
            f"{counted(combinations, 'combination')} {'make' if combinations > 1 else 'makes'}"
            f" {counted(variants, 'variant')}, {len(self.impossible) or 'none'} of them impossible"
        )


def examine_grid(overrides: Sequence[str]) -> Grid:
    """Work out every combination of comma-separated values, expanded as a sweep expands them.

    Raises:
        UserError: a key, group or value that no run could have, or too many combinations.
    """
    choices = expand(overrides)
    several = [len(one.overrides) > 1 for one in choices]
    composer = VariantComposer()
    variants = {}
    for job in product(*(one.overrides for one in choices)):
        form = tuple(override.partition("=")[2] for override in compress(job, several))
        variants[form] = composer.compose(job)
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
            # Composing tells what is wrong with it.
            continue
        if several:
            raise UserError(
                f"{override} is more than one variant\n"
                f"write explain.py grid {override}, or a list as [1,2,3]"
            )


def grid_table(grid: Grid) -> Table:
    """Return the possible variants; keys besides conv have a column of their own."""
    others = grid.other_keys
    heads = ("<variant", *(f"<{key}" for key in others), "final map", "RF", "MACs", "params")
    rows = []
    for row in grid.rows:
        if (geometry := row.variant.geometry) is None:
            continue
        shares = [layer.padding_share for layer in geometry.layers if layer.kind == "conv"]
        rows.append(
            (
                row.variant.label,
                *map(row.typed, others),
                size(geometry.final_map),
                pair_token(geometry.layers[-1].receptive_field),
                f"{geometry.macs:,}",
                f"{geometry.params:,}",
                share(max(shares)),
                row.equal,
            )
        )
    return Table((*heads, "padding", "<equal"), tuple(rows))


def impossible_sentences(grid: Grid) -> list[str]:
    """Which variant, what is wrong with it, and what would make it possible."""
    sentences = []
    for row in grid.impossible:
        others = [f"{key} {row.typed(key)}" for key in grid.other_keys]
        names = ", ".join(filter(None, (row.variant.label, *others, row.equal)))
        sentences.append(f"{names}: {row.variant.impossible}")
    return sentences


def _is_conv(key: str) -> bool:
    return key == "conv" or key.startswith("conv.")


def _pixels(variant: Variant) -> object:
    """What makes a variant: equal for all ways to type it."""
    model, facts = variant.config.model, variant.facts
    network = facts.input_shape, facts.classes, *map(tuple, (model.channels, model.pool_after))
    return network, variant.geometry and variant.geometry.convs, variant.label
