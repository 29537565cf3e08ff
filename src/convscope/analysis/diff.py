"""Two variants or runs side by side: what came of them, how they were set, what that makes."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pandas import DataFrame

from convscope.analysis.pairwise import differences
from convscope.config.schema import brief, dotted
from convscope.geometry import conv_from, conv_text, convs_from, pair_token, typed_conv
from convscope.metrics import METRICS, measured
from convscope.runs.identity import EXCLUDED
from convscope.runs.record import RunRecord
from convscope.tables import map_text
from convscope.text import size

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
    rows: list[DiffRow] = []
    for part, values_of in _PARTS.items():
        ours, theirs = (_together(values_of, side["record"]) for side in (first, second))
        keys = [*ours, *(key for key in theirs if key not in ours)]
        rows += [DiffRow(part, key, ours.get(key), theirs.get(key)) for key in keys]
    results = _results(first["record"], second["record"], tested)
    return Comparison(first, second, [*results, *rows], pairs)


def _tested(
    runs: DataFrame, first: DataFrame, second: DataFrame
) -> tuple[dict[str, Mapping[str, float]], int]:
    """By metric, what `differences` says of the two groups; and the number of pairs behind it."""
    groups = [first["group"].iloc[0], second["group"].iloc[0]]
    several = len(first) > 1 and len(second) > 1 and groups[0] != groups[1]
    if not several:
        return {}, 0
    settings = runs["setting"][runs["group"].isin(groups)].unique()
    # Of two settings, no third variant is in question.
    family = (
        runs[runs["setting"] == settings[0]]
        if len(settings) == 1
        else runs[runs["group"].isin(groups)].assign(setting="")
    )
    tested: dict[str, Mapping[str, float]] = {}
    pairs = 0
    for metric in measured():
        table = differences(family, metric)
        of_both = table[table["first"].isin(groups) & table["second"].isin(groups)]
        if len(of_both):
            pairs = max(pairs, len(table))
            tested[metric] = _second_minus_first(of_both.iloc[0].to_dict(), groups[0])
    return tested, pairs


def _second_minus_first(pair: Mapping[str, Any], first: str) -> dict[str, float]:
    difference, low, high = (float(pair[name]) for name in ("difference", "low", "high"))
    if pair["first"] == first:
        difference, low, high = -difference, -high, -low
    return {"difference": difference, "low": low, "high": high, "p_value": float(pair["p_value"])}


def _results(
    first: Iterable[RunRecord],
    second: Iterable[RunRecord],
    tested: Mapping[str, Mapping[str, float]],
) -> list[DiffRow]:
    """The metrics, then how the runs ended."""
    ours, theirs = (_measured(records) for records in (first, second))
    keys = [*ours, *(key for key in theirs if key not in ours)]
    metrics = [
        _metric(key, ours.get(key, []), theirs.get(key, []), tested.get(key, {})) for key in keys
    ]
    our_end, their_end = (_together(_end, records) for records in (first, second))
    return metrics + [DiffRow("result", key, our_end[key], their_end[key]) for key in our_end]


def _metric(
    key: str, first: Sequence[float], second: Sequence[float], tested: Mapping[str, float]
) -> DiffRow:
    means, spreads = [[of(side) for side in (first, second)] for of in (_mean, _std)]
    return DiffRow("result", key, *means, *spreads, **tested)


def _measured(records: Iterable[RunRecord]) -> dict[str, list[float]]:
    """Each metric's values of the finished runs, of all where none is finished."""
    counted = [record for record in records if record.status == "finished"] or list(records)
    values: dict[str, list[float]] = {}
    for record in counted:
        for key, value in [*record.metrics.items(), ("duration_s", record.duration_s)]:
            if _varies(key) and value is not None and math.isfinite(value):
                values.setdefault(key, []).append(value)
    return values


def _varies(key: str) -> bool:
    """Whether a value may differ between seeds: geometry has its own part."""
    return key not in METRICS or METRICS[key].is_measured


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _std(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


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
    shown = ", ".join("–" if value is None else str(value) for value in different[:_MOST_VALUES])
    more = len(different) - _MOST_VALUES
    return f"{shown} and {more} more" if more > 0 else shown


def _config(record: RunRecord) -> dict[str, Plain]:
    plain = {
        key: _plain(value)
        for key, value in dotted(record.config).items()
        if key not in EXCLUDED and not key.startswith("conv.")
    }
    return _conv(record.config["conv"]) | plain


def _conv(conv: Mapping[str, Any]) -> dict[str, Plain]:
    """As one would type it: one value where all layers share it, else a list."""
    if "same" in conv["padding"]:
        # With a stride above 1, which PyTorch refuses: what was typed has no pixels.
        return {f"conv.{key}": _plain(value) for key, value in conv.items()}
    typed = typed_conv(convs_from(conv))
    return {
        f"conv.{key}": f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
        for key, value in typed.items()
    }


def _geometry(record: RunRecord) -> dict[str, Plain]:
    values: dict[str, Plain] = {
        "variant": record.variant,
        "final_map": map_text(record.geometry),
        "params": record.params,
        "macs": record.macs,
    }
    for layer in record.geometry:
        values |= {f"{layer['name']} {key}": value for key, value in _layer(layer)}
    return values


def _layer(layer: Mapping[str, Any]) -> Iterator[tuple[str, Plain]]:
    yield "window", conv_text(conv_from(layer))
    yield "output", size(layer["out_shape"])
    yield "receptive_field", pair_token(layer["receptive_field"])
    yield "params", layer["params"]
    yield "macs", layer["macs"]


def _end(record: RunRecord) -> dict[str, Plain]:
    return {"status": record.status, "reason": record.reason}


def _environment(record: RunRecord) -> dict[str, Plain]:
    values = {key: _plain(value) for key, value in dotted(record.environment).items()}
    # The seed is a value of its own: it would make as many commands as there are seeds.
    return values | {"command": _SEED.sub("", record.command)}


_PARTS: dict[Part, Callable[[RunRecord], dict[str, Plain]]] = {
    "config": _config,
    "geometry": _geometry,
    "environment": _environment,
}


def _plain(value: Any) -> Plain:
    return brief(value) if isinstance(value, list) else value
