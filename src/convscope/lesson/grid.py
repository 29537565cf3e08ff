"""The preview of a grid of variants: equal ones are merged, impossible ones listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from convscope.config.errors import check_overrides
from convscope.config.expand import expand
from convscope.errors import UserError
from convscope.geometry import pair_token
from convscope.layer_table import MACS
from convscope.tables import Table
from convscope.text import counted, listed, share, size
from convscope.variant import Variant, VariantComposer

GRID_LEGEND = (
    f"RF: receptive field of the final map's units, in pixels; {MACS.full_legend}; padding: touches"
    " padding, share of outputs in the conv layer where it is largest; equal: other ways to type"
    " the same variant"
)
"""Legend of the columns of `grid_table`."""


@dataclass(frozen=True)
class Row:
    """One distinct variant of a grid.

    Attributes:
        variant: the variant.
        forms: every combination of typed values that selects it: a value per key of the grid.
    """

    variant: Variant
    forms: tuple[dict[str, str], ...]

    def typed(self, key: str) -> str:
        """Return the values of a key that select this variant: `0 = half`."""
        return " = ".join(dict.fromkeys(form[key] for form in self.forms))

    @property
    def equal(self) -> str:
        """Equivalent values of `conv`: `padding 0 = half`; "" if there are none."""
        names = {
            key: key.removeprefix("conv.")
            for key in self.forms[0]
            if _is_conv(key) and len({form[key] for form in self.forms}) > 1
        }
        if len(names) == 1:
            return "".join(f"{name} {self.typed(key)}" for key, name in names.items())
        forms = dict.fromkeys(
            ", ".join(f"{name} {form[key]}" for key, name in names.items()) for form in self.forms
        )
        return " = ".join(forms)


@dataclass(frozen=True)
class Grid:
    """All combinations of the typed values.

    Attributes:
        values: the typed values of each key that has several.
        variants: the variants by their combination of values, one per key.
    """

    values: dict[str, tuple[str, ...]]
    variants: dict[tuple[str, ...], Variant]

    @cached_property
    def rows(self) -> list[Row]:
        """The distinct variants, in the order of the grid."""
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
        """The impossible variants."""
        return [row for row in self.rows if row.variant.geometry is None]

    @property
    def other_keys(self) -> list[str]:
        """Keys of the grid outside `conv`."""
        return [key for key in self.values if not _is_conv(key)]

    @property
    def title(self) -> str:
        """Data and networks: `cifar10 3x32x32, resnet20`, the distinct ones of several."""
        titles = [
            variant.title.removesuffix(f": {variant.label}") for variant in self.variants.values()
        ]
        return listed(list(dict.fromkeys(titles)), comma="; ")

    @property
    def summary(self) -> str:
        """The numbers: `36 combinations make 30 variants, 4 of them impossible`."""
        combinations, variants = len(self.variants), len(self.rows)
        return (
            f"{counted(combinations, 'combination')} {'make' if combinations > 1 else 'makes'}"
            f" {counted(variants, 'variant')}, {len(self.impossible) or 'none'} of them impossible"
        )


def examine_grid(overrides: Sequence[str]) -> Grid:
    """Compute the variants of all combinations of values, expanded as in a sweep.

    Raises:
        UserError: an unknown key or group, an invalid value, or too many combinations.
    """
    choices = expand(overrides)
    several = [len(choice.overrides) > 1 for choice in choices]
    composer = VariantComposer()
    variants = {}
    for job in product(*(choice.overrides for choice in choices)):
        form = tuple(override.partition("=")[2] for override in compress(job, several))
        variants[form] = composer.compose(job)
    if not variants:
        raise UserError("the grid has no variants: nothing matches its glob")
    values = {choice.key: tuple(choice.values) for choice in compress(choices, several)}
    return Grid(values, variants)


def require_single(overrides: Sequence[str]) -> None:
    """Check that the overrides select a single variant.

    Raises:
        UserError: a key with several values, as in a sweep, or text that is not an override.
    """
    check_overrides(overrides)
    for override in overrides:
        try:
            several = OverridesParser.create().parse_override(override).is_sweep_override()
        except HydraException:
            # Composing the config raises a better message.
            continue
        if several:
            raise UserError(
                f"{override} is more than one variant\n"
                f"write explain.py grid {override}, or a list as [1,2,3]"
            )


def grid_table(grid: Grid) -> Table:
    """Return a table of the possible variants, with a column for each key outside `conv`."""
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
                pair_token(geometry.receptive_field),
                f"{geometry.macs:,}",
                f"{geometry.params:,}",
                share(max(shares)),
                row.equal,
            )
        )
    return Table((*heads, "padding", "<equal"), tuple(rows))


def impossible_sentences(grid: Grid) -> list[str]:
    """Return a sentence per impossible variant: its name, the reason and the smallest fix."""
    sentences = []
    for row in grid.impossible:
        others = [f"{key} {row.typed(key)}" for key in grid.other_keys]
        names = ", ".join(filter(None, (row.variant.label, *others, row.equal)))
        sentences.append(f"{names}: {row.variant.impossible}")
    return sentences


def _is_conv(key: str) -> bool:
    return key == "conv" or key.startswith("conv.")


def _pixels(variant: Variant) -> object:
    """Return a key that is equal for all ways to type the same variant and network."""
    graph = variant.geometry.graph.nodes if variant.geometry else variant.graph
    return variant.facts.input_shape, graph, variant.convs, variant.label
