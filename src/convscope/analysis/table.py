"""Runs or groups as records of plain JSON values, and as a table that fits a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from pandas import DataFrame, Series
from rich.cells import cell_len

from convscope.analysis.frame import CONV, TOP_LEVEL, setting_keys
from convscope.analysis.groups import grouped, rounding_std
from convscope.config.schema import as_typed, format_value
from convscope.metrics import METRICS, Metric, geometric, latencies, metrics_of, per_run
from convscope.tables import Table, final_map_text
from convscope.text import MISSING, count, percent, percent_range

Record = dict[str, Any]

_MACHINE = ("device", "threads", "torch")
_WHOLE = {"padding", "threads", "val_images", "test_images", "diagnostic_images"}
"""Integer columns, like those of the geometry; pandas stores them as floats if a value is missing.
"""
_ENDS = ("", "_std", "_low", "_high", "_min", "_max")
_COSTS = ("receptive_field", "macs", "params")
_GAP = 2


def to_records(runs: DataFrame, *, single: bool = False) -> list[Record]:
    """Return one record per group, or per run if `single`, in the table's order.

    The keys, in order: `label`; the columns of the convolutions; config keys and machine columns
    that differ between the runs (different values within a group are joined by commas); of a group
    `runs, seeds, unfinished, reason, val_images, test_images` and per metric of which each run has
    a value its mean under its own name and with `_std, _low, _high, _min, _max`; of a run `seed,
    status, reason` and its own metrics; `diagnostic_images`; the latencies; `map` (height x width
    as text); the metrics of the geometry; the study, run and group. Missing values are None;
    diagnostics that no run has are left out.

    Args:
        runs: table from `frame`.
        single: one record per run.
    """
    keys = varied(runs)
    measured = [
        name for name in per_run() if not METRICS[name].is_diagnostic or runs[name].notna().any()
    ]
    images = ["diagnostic_images"] if runs["diagnostic_images"].notna().any() else []
    members: dict[str, DataFrame] = {}
    own: tuple[str, ...]
    last: tuple[str, ...]
    if single:
        lines = runs.to_dict("records")
        own = ("seed", "status", "reason", *measured)
        last = ("study", "run", "started_at", "duration_s", "command", "path", "group")
    else:
        lines = grouped(runs).reset_index().to_dict("records")
        members = dict(iter(runs.groupby("group", sort=False)))
        counts = ("runs", "seeds", "unfinished", "reason", "val_images", "test_images")
        own = (*counts, *(f"{name}{end}" for name in measured for end in _ENDS))
        last = ("study", "group")
    records = []
    for line in lines:
        group = members.get(line["group"])
        run = line if group is None else group.iloc[0]
        records.append(
            {
                **_plain_values(line, ("label", *CONV)),
                **{
                    key: _config_value(run, key) if group is None else _shared_or_joined(group, key)
                    for key in keys
                },
                **_plain_values(line, (*own, *images, *latencies())),
                "map": final_map_text(run["record"].geometry),
                **_plain_values(line, (*geometric(), *last)),
            }
        )
    return records


def shared(runs: DataFrame) -> Record:
    """Return the values that all runs (at least one) share, except variant and seed."""
    first = runs.iloc[0]
    keys = ("study", *_candidates(runs), "test_images")
    return {key: _config_value(first, key) for key in keys if _is_one(runs[key])}


def varied(runs: DataFrame) -> list[str]:
    """Return the config keys and machine columns that differ between the runs, without the seed."""
    return [key for key in _candidates(runs) if not _is_one(runs[key])]


def _candidates(runs: DataFrame) -> list[str]:
    family = [name for name in ("family",) if name in runs]
    return [*(key for key in setting_keys(runs) if key != "seed"), *family, *_MACHINE]


def _is_one(values: Series) -> bool:
    return bool(values.nunique(dropna=False) == 1)


def _plain_values(line: Record, keys: Iterable[str]) -> Record:
    return {key: _plain(key, line.get(key)) for key in keys}


def _shared_or_joined(runs: DataFrame, key: str) -> Any:
    """Return the value that all runs of a group share, or the different ones as text."""
    if _is_one(runs[key]):
        return _config_value(runs.iloc[0], key)
    return ", ".join(str(_plain(key, value)) for value in runs[key].unique())


def _config_value(run: Record | Series, key: str) -> Any:
    """Return a run's value of a column; of a config key from the record, where 1 is not 1.0."""
    if "." not in key:
        return _plain(key, run[key])
    value: Any = run["record"].config
    for part in key.removeprefix(TOP_LEVEL).split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        # Other runs have a value here; the keys of this mapping have their own columns.
        return None
    return format_value(value) if isinstance(value, list) else value


def _plain(key: str, value: Any) -> Any:
    if pd.isna(value):
        return None
    if key in _WHOLE or (key in METRICS and METRICS[key].of_network is not None):
        return int(value)
    return value.item() if hasattr(value, "item") else value


class Column(NamedTuple):
    """A column of a table in the terminal.

    Args:
        heading: a leading `<` aligns the column to the left.
        text: a record's cell.
        spare: columns with the largest number are dropped first if the table is too wide; 0 never.
    """

    heading: str
    text: Callable[[Record], str]
    spare: float = 0


def terminal_table(
    records: Sequence[Record],
    *,
    single: bool,
    headings: Mapping[str, str],
    marks: Mapping[str, str],
    width: int,
) -> Table:
    """Return a table with a line per record, at most `width` characters wide where possible.

    Args:
        records: from `to_records`.
        single: as for `to_records`.
        headings: headings of the keys that differ between the records, by key.
        marks: text in front of a group's line, by group.
        width: in characters; optional columns are dropped to fit.
    """
    # Validation accuracy first: lines are sorted, and variants chosen, by it.
    accuracies = [METRICS["best_val_accuracy"], METRICS["test_accuracy"]]
    others = [metric for metric in table_metrics(records) if metric not in accuracies]
    settings = [Column(f"<{heading}", _value_of(key)) for key, heading in headings.items()]
    if single:
        columns = [
            Column("<run", lambda record: record["run"]),
            *settings,
            *map(_metric_column, accuracies),
            # Runs have long names: drop the costs of the network before the map.
            *(_metric_column(one, 3 if one.name in _COSTS else one.spare) for one in others),
            Column("seconds", _seconds, spare=4),
        ]
    else:
        columns = [
            Column("<", lambda record: marks.get(record["group"], "")),
            Column("<variant", lambda record: record["variant"]),
            *settings,
            *map(_metric_column, accuracies),
            Column("seeds", lambda record: count(record["runs"])),
            Column("95 % interval", _interval, spare=3),
            *map(_metric_column, others),
        ]
    return fitted(records, columns, width)


def table_metrics(records: Sequence[Record]) -> list[Metric]:
    """Return the metrics of a table: latencies and diagnostics only if a record has one."""
    return [
        metric
        for metric in metrics_of("table")
        if not metric.is_optional or any(one.get(metric.name) is not None for one in records)
    ]


def _metric_column(metric: Metric, spare: float | None = None) -> Column:
    drop = metric.spare if spare is None else spare
    return Column(metric.head, lambda record: _cell(record, metric), drop)


def cells(record: Record) -> dict[str, str]:
    """Return a record's metrics and the interval of its test accuracy as text, by key."""
    metrics = {one.name: _cell(record, one) for one in metrics_of("table") if one.name in record}
    return metrics | {"test_accuracy_low": _interval(record)}


def _cell(record: Record, metric: Metric) -> str:
    value = record.get(metric.name)
    if metric.name == "final_map":
        return record["map"] or MISSING
    if metric.name == "test_accuracy":
        return spread_text(value, record.get("test_accuracy_std"), record.get("test_images"))
    return metric.number(value)


def _interval(record: Record) -> str:
    low, high = record.get("test_accuracy_low"), record.get("test_accuracy_high")
    return MISSING if low is None or high is None else percent_range(low, high)


def _seconds(record: Record) -> str:
    seconds = record["duration_s"]
    return MISSING if seconds is None else f"{seconds:,.1f}"


def _value_of(key: str) -> Callable[[Record], str]:
    return lambda record: value_text(record[key])


def value_text(value: Any) -> str:
    """Return a config value as a user types it; a dash for None."""
    return MISSING if value is None else as_typed(value)


def spread_text(mean: float | None, std: float | None, images: int | None) -> str:
    """Return an accuracy's mean and standard deviation over seeds: `98.75 ± 0.12 %`.

    `98.33 ± <0.08 %` where the standard deviation is below the resolution of so many images.
    """
    if mean is None or std is None:
        return percent(mean)
    hidden = percent(rounding_std(images) if images else 0.0)
    is_hidden = images and std < rounding_std(images) and hidden != percent(0.0)
    return f"{100 * mean:.2f} ± {f'<{hidden}' if is_hidden else percent(std)}"


def with_std(mean: float, std: float) -> str:
    """Return mean and standard deviation with equal decimals: `10,297 ± 1,801`, `0.40 ± 0.03`.

    The deviation has two significant digits, except that the mean has at most five. A deviation
    that would be rounded to 0 is shown as an upper bound: `98,765 ± <1`.
    """
    decimals = _decimals(mean, 5)
    if std:
        decimals = min(decimals, _decimals(std, 2))
    else:
        decimals = len(f"{mean:.{decimals}f}".partition(".")[2].rstrip("0"))
    least = f"<{10**-decimals:,.{decimals}f}" if std and round(std, decimals) == 0 else ""
    return f"{mean:,.{decimals}f} ± {least or f'{std:,.{decimals}f}'}"


def _decimals(value: float, digits: int) -> int:
    """Return the decimals that show so many significant digits; at least 0."""
    _, _, exponent = f"{value:e}".partition("e")
    return max(digits - 1 - int(exponent), 0)


def fitted(records: Sequence[Record], columns: Sequence[Column], width: int) -> Table:
    """Return a table with a line per record, without the spare columns that are too wide."""
    texts = {column: [column.text(record) for record in records] for column in columns}
    for spare in sorted({column.spare for column in columns} - {0}, reverse=True):
        if _width(texts) <= width:
            break
        texts = {column: text for column, text in texts.items() if column.spare != spare}
    headings = tuple(column.heading for column in texts)
    return Table(headings, tuple(zip(*texts.values(), strict=True)))


def _width(texts: Mapping[Column, Sequence[str]]) -> int:
    widths = [
        max(map(cell_len, (column.heading.removeprefix("<"), *of_it)))
        for column, of_it in texts.items()
    ]
    return sum(widths) + _GAP * (len(widths) - 1)
