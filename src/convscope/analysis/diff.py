"""Two variants or runs side by side: results, config, geometry and environment."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pandas import DataFrame, Series

from convscope.analysis.answers import ACCURACY
from convscope.analysis.equivalence import MARGIN, judge
from convscope.analysis.frame import by_setting
from convscope.analysis.mcnemar import McNemar, mcnemar
from convscope.analysis.pairwise import differences_from
from convscope.config.schema import dotted, format_value
from convscope.geometry import (
    conv_config,
    conv_from_layer,
    conv_text,
    convs_from_config,
    pair_token,
)
from convscope.metrics import geometric, latencies, per_run
from convscope.runs.identity import EXCLUDED, config_values
from convscope.runs.record import RunRecord
from convscope.tables import final_map_text
from convscope.text import MISSING, size

Part = Literal["result", "config", "geometry", "environment"]
Plain = str | int | float | bool | None
_MOST_VALUES = 3
_SEED = re.compile(r" seed=\d+(?= |$)")
_TIMES = (
    *("latency.measured_at", "latency.calls."),
    *("diagnostics.measured_at", "diagnostics.seconds"),
)
"""Keys of the environment that say when something was measured and how long it took; the number of
calls depends on how fast the first ones were."""


@dataclass(frozen=True)
class DiffRow:
    """One value of both sides; None where a side has none.

    Args:
        part: the section of the comparison.
        key: the metric, the config key, the layer and quantity, or the environment's key.
        first, second: the sides' values; of a metric, the means over seeds.
        first_std, second_std: standard deviations of a metric over seeds.
        difference: second mean minus first, if both sides have two finished runs or more.
        low, high: simultaneous 95 % confidence interval of the difference.
        p_value: of the difference, adjusted for all pairs of variants.
        error: standard error of the difference.
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
    error: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the sides' values are unequal."""
        return self.first != self.second


@dataclass(frozen=True)
class Comparison:
    """Two sides, each a run or the runs of a variant in one setting.

    Args:
        first, second: the sides' runs, rows of the table from `frame`.
        rows: all values, including equal ones, in the order result, config, geometry, environment.
        pairs: number of pairs of variants for which the intervals hold simultaneously; 0 without
            intervals.
        judged: of two variants with tested accuracies, their row of `equivalence.judge`, the second
            variant first; else None.
        answers: of two single runs that answered the same images; else None.
    """

    first: DataFrame
    second: DataFrame
    rows: list[DiffRow]
    pairs: int
    judged: Series | None = None
    answers: McNemar | None = None


def compare(
    runs: DataFrame, first: DataFrame, second: DataFrame, margin: float = MARGIN
) -> Comparison:
    """Compare two sides, each of one group.

    Config keys that cannot change a result and times of day are omitted.

    Args:
        runs: table from `frame`. All pairs of its variants in the sides' setting share the
            family-wise error of 5 %.
        first: rows of the first side.
        second: rows of the second side.
        margin: largest difference in test accuracy that is called equivalent, as a share.
    """
    tested, pairs, judged = _test_differences(runs, first, second, margin)
    rows = _metrics(first["record"], second["record"], tested)
    for part, values_of in _PARTS:
        left, right = (_shared_values(values_of, side["record"]) for side in (first, second))
        rows += [DiffRow(part, key, left.get(key), right.get(key)) for key in left | right]
    return Comparison(first, second, rows, pairs, judged, mcnemar(first, second))


def _test_differences(
    runs: DataFrame, first: DataFrame, second: DataFrame, margin: float
) -> tuple[dict[str, dict[str, float]], int, Series | None]:
    """Return tested differences of the two groups by metric, the number of pairs, and `judged`."""
    one, other = first["group"].iloc[0], second["group"].iloc[0]
    if len(first) < 2 or len(second) < 2 or one == other:
        return {}, 0, None
    families = (members for _, members in by_setting(runs))
    family = next((some for some in families if {one, other} <= {*some["group"]}), None)
    if family is None:
        # Two settings: the only pair is that of the two sides.
        family = runs[runs["group"].isin([one, other])].assign(setting="")
    tested: dict[str, dict[str, float]] = {}
    pairs, judged = 0, None
    for metric in per_run():
        found = differences_from(family, one, [other], metric)
        if len(found):
            pairs = max(pairs, math.comb(int(found["groups"].iloc[0]), 2))
            values = found[["difference", "low", "high", "p_value", "error"]].iloc[0]
            tested[metric] = values.astype(float).to_dict()
            if metric == ACCURACY:
                judged = judge(found.rename_axis("first").reset_index(), family, margin).iloc[0]
    return tested, pairs, judged


def _metrics(
    first: Iterable[RunRecord],
    second: Iterable[RunRecord],
    tested: Mapping[str, Mapping[str, float]],
) -> list[DiffRow]:
    """Return the rows of the metrics that are measured."""
    left, right = _measured(first), _measured(second)
    rows = []
    # What the comparison is about comes first.
    for key in sorted(dict.fromkeys([*left, *right]), key=lambda key: key != ACCURACY):
        sides = [side[key].dropna().tolist() if key in side else [] for side in (left, right)]
        # `statistics` is exact: the mean of equal values is that value.
        means = [statistics.mean(side) if side else None for side in sides]
        has_spread = key not in latencies()
        stds = [statistics.stdev(side) if has_spread and len(side) > 1 else None for side in sides]
        rows.append(DiffRow("result", key, *means, *stds, **tested.get(key, {})))
    return rows


def _measured(records: Iterable[RunRecord]) -> DataFrame:
    """Return the metrics as columns, a row per finished run; per run if none is finished."""
    used = [record for record in records if record.status == "finished"] or list(records)
    table = DataFrame([{**record.metrics, "duration_s": record.duration_s} for record in used])
    table = table.astype(float).replace([math.inf, -math.inf], math.nan)
    return table.drop(columns=geometric(), errors="ignore").dropna(axis="columns", how="all")


def _shared_values(
    values_of: Callable[[RunRecord], dict[str, Plain]], records: Iterable[RunRecord]
) -> dict[str, Plain]:
    """Return a side's values: shared by all its runs, or as text the first different ones."""
    per_run = [values_of(record) for record in records]
    keys = dict.fromkeys(key for values in per_run for key in values)
    return {key: _shared_or_joined([values.get(key) for values in per_run]) for key in keys}


def _shared_or_joined(values: Sequence[Plain]) -> Plain:
    different = list(dict.fromkeys(values))
    if len(different) == 1:
        return different[0]
    first, more = different[:_MOST_VALUES], len(different) - _MOST_VALUES
    shown = ", ".join(MISSING if value is None else str(value) for value in first)
    return f"{shown} and {more} more" if more > 0 else shown


def _config(record: RunRecord) -> dict[str, Plain]:
    """Return the config keys that can change a result; those of `conv` as they are typed."""
    conv = record.config["conv"]
    if "same" in conv["padding"]:
        # A recorded `same` comes with a stride above 1: PyTorch refuses it, and it has no pixels.
        typed = {key: _plain(value) for key, value in conv.items()}
    else:
        typed = {
            key: f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
            for key, value in conv_config(convs_from_config(conv)).items()
        }
    return {f"conv.{key}": value for key, value in typed.items()} | {
        key: _plain(value)
        for key, value in config_values(record.config).items()
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
        quantities = {
            "window": conv_text(conv_from_layer(layer)),
            "output": size(layer["out_shape"]),
            "receptive_field": pair_token(layer["receptive_field"]),
            "params": layer["params"],
            "macs": layer["macs"],
        }
        values |= {f"{layer['name']} {key}": value for key, value in quantities.items()}
    return values


def _environment(record: RunRecord) -> dict[str, Plain]:
    values = {
        key: _plain(value)
        for key, value in dotted(record.environment).items()
        if not key.startswith(_TIMES)
    }
    # With its seed, each run would have a different command.
    return values | {"command": _SEED.sub("", record.command)}


_PARTS: tuple[tuple[Part, Callable[[RunRecord], dict[str, Plain]]], ...] = (
    ("result", lambda record: {"status": record.status, "reason": record.reason}),
    ("config", _config),
    ("geometry", _geometry),
    ("environment", _environment),
)


def _plain(value: Any) -> Plain:
    return format_value(value) if isinstance(value, list) else value
