"""Two variants or runs side by side: what came of them, how they were set, what that makes."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pandas import DataFrame

from convscope.analysis.pairwise import differences_from
from convscope.config.schema import dotted, format_value
from convscope.geometry import conv_from_layer, conv_text, convs_from_config, pair_token, typed_conv
from convscope.metrics import geometric, measured
from convscope.runs.identity import EXCLUDED
from convscope.runs.record import RunRecord
from convscope.tables import final_map_text
from convscope.text import MISSING, size

Part = Literal["result", "config", "geometry", "environment"]
Plain = str | int | float | bool | None
_MOST_VALUES = 3
_SEED = re.compile(r" seed=\d+(?= |$)")


@dataclass(frozen=True)
class DiffRow:
    """One value of both sides; None where a side has none.

    Args:
        first_std, second_std: standard deviation over the seeds of a metric.
        difference: of the mean metrics, second minus first, where both sides are variants with
            two finished runs or more.
        low, high: its simultaneous 95 % interval.
        p_value: adjusted for all pairs of variants, as the interval is.
    """

    part: Part
    key: str
    first: Plain
    second: Plain
    first_std: float | None = None
    second_std: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None

    @property
    def differs(self) -> bool:
        return self.first != self.second


@dataclass(frozen=True)
class Comparison:
    """Two sides, each a run or the runs of a variant in one setting.

    Args:
        first, second: their runs, rows of `frame`'s table.
        rows: all values, equal ones too, in the order result, config, geometry, environment.
        pairs: pairs of variants for which the intervals hold at once; 0 where there are none.
    """

    first: DataFrame
    second: DataFrame
    rows: list[DiffRow]
    pairs: int


def compare(runs: DataFrame, first: DataFrame, second: DataFrame) -> Comparison:
    """Compare two sides, each of one group.

    Left out are config keys that cannot change a result, and times of day.

    Args:
        runs: `frame`'s table of all runs among which the sides are compared: as many variants as
            it has in the sides' setting, so many pairs share the 5 % error.
        first, second: rows of such a table.
    """
    tested, pairs = _tested(runs, first, second)
    rows = _metrics(first["record"], second["record"], tested)
    for part, values_of in _PARTS:
        ours, theirs = (_together(values_of, side["record"]) for side in (first, second))
        rows += [DiffRow(part, key, ours.get(key), theirs.get(key)) for key in ours | theirs]
    return Comparison(first, second, rows, pairs)


def _tested(
    runs: DataFrame, first: DataFrame, second: DataFrame
) -> tuple[dict[str, dict[str, float]], int]:
    """The difference between the two groups by metric, and the number of pairs tested at once."""
    one, other = first["group"].iloc[0], second["group"].iloc[0]
    if len(first) < 2 or len(second) < 2 or one == other:
        return {}, 0
    both = runs["group"].isin([one, other])
    settings = runs["setting"][both].unique()
    # Of two settings, no third variant is in question.
    is_one = len(settings) == 1
    family = runs[runs["setting"] == settings[0]] if is_one else runs[both].assign(setting="")
    tested: dict[str, dict[str, float]] = {}
    pairs = 0
    for metric in measured():
        found = differences_from(family, one, [other], metric)
        if len(found):
            ended = family[(family["status"] == "finished") & family[metric].notna()]
            pairs = max(pairs, math.comb((ended["group"].value_counts() > 1).sum(), 2))
            values = found[["difference", "low", "high", "p_value"]].iloc[0]
            tested[metric] = values.astype(float).to_dict()
    return tested, pairs


def _metrics(
    first: Iterable[RunRecord],
    second: Iterable[RunRecord],
    tested: Mapping[str, Mapping[str, float]],
) -> list[DiffRow]:
    """The metrics that vary from seed to seed."""
    ours, theirs = _measured(first), _measured(second)
    rows = []
    for key in dict.fromkeys([*ours, *theirs]):
        sides = [side[key].dropna().tolist() if key in side else [] for side in (ours, theirs)]
        # Exact: the mean of equal values is that value, however many they are.
        means = [statistics.mean(side) if side else None for side in sides]
        stds = [statistics.stdev(side) if len(side) > 1 else None for side in sides]
        rows.append(DiffRow("result", key, *means, *stds, **tested.get(key, {})))
    return rows


def _measured(records: Iterable[RunRecord]) -> DataFrame:
    """A row per finished run, or per run where none is finished, and a column per metric."""
    counted = [record for record in records if record.status == "finished"] or list(records)
    table = DataFrame([{**record.metrics, "duration_s": record.duration_s} for record in counted])
    table = table.astype(float).replace([math.inf, -math.inf], math.nan)
    known_before = [name for name in geometric() if name in table]
    return table.drop(columns=known_before).dropna(axis="columns", how="all")


def _together(
    values_of: Callable[[RunRecord], dict[str, Plain]], records: Iterable[RunRecord]
) -> dict[str, Plain]:
    """The values that all runs of a side share; where they differ, the first of them as text."""
    of_each = [values_of(record) for record in records]
    keys = dict.fromkeys(key for values in of_each for key in values)
    return {key: _one([values.get(key) for values in of_each]) for key in keys}


def _one(values: Sequence[Plain]) -> Plain:
    different = list(dict.fromkeys(values))
    if len(different) == 1:
        return different[0]
    first, more = different[:_MOST_VALUES], len(different) - _MOST_VALUES
    shown = ", ".join(MISSING if value is None else str(value) for value in first)
    return f"{shown} and {more} more" if more > 0 else shown


def _config(record: RunRecord) -> dict[str, Plain]:
    """Config keys that can change a result; of `conv`, what one would type."""
    conv = record.config["conv"]
    if "same" in conv["padding"]:
        # With a stride above 1, which PyTorch refuses: what was typed has no pixels.
        typed = {key: _plain(value) for key, value in conv.items()}
    else:
        typed = {
            key: f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
            for key, value in typed_conv(convs_from_config(conv)).items()
        }
    return {f"conv.{key}": value for key, value in typed.items()} | {
        key: _plain(value)
        for key, value in dotted(record.config).items()
        if key not in EXCLUDED and not key.startswith("conv.")
    }


def _geometry(record: RunRecord) -> dict[str, Plain]:
    values: dict[str, Plain] = {
        "variant": record.variant,
        "final_map": final_map_text(record.geometry),
        "params": record.params,
        "macs": record.macs,
    }
    for layer in record.geometry:
        of_layer = {
            "window": conv_text(conv_from_layer(layer)),
            "output": size(layer["out_shape"]),
            "receptive_field": pair_token(layer["receptive_field"]),
            "params": layer["params"],
            "macs": layer["macs"],
        }
        values |= {f"{layer['name']} {key}": value for key, value in of_layer.items()}
    return values


def _environment(record: RunRecord) -> dict[str, Plain]:
    values = {key: _plain(value) for key, value in dotted(record.environment).items()}
    # The seed is a value of its own: it would make as many commands as there are seeds.
    return values | {"command": _SEED.sub("", record.command)}


_PARTS: tuple[tuple[Part, Callable[[RunRecord], dict[str, Plain]]], ...] = (
    ("result", lambda record: {"status": record.status, "reason": record.reason}),
    ("config", _config),
    ("geometry", _geometry),
    ("environment", _environment),
)


def _plain(value: Any) -> Plain:
    return format_value(value) if isinstance(value, list) else value
