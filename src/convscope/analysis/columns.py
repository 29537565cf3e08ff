"""Rows as a table of text that fits a terminal: what matters least is left out first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from convscope.analysis.groups import hidden_std
from convscope.config.schema import as_typed
from convscope.metrics import METRICS, Metric, metrics_of
from convscope.tables import Table
from convscope.text import count, percent, percent_range

Row = Mapping[str, Any]

_GAP = 2


@dataclass(frozen=True)
class _Column:
    """A column by its heading; `<` sets it left.

    Args:
        spare: 0 stays always; of the others the largest goes first where the table is too wide.
    """

    heading: str
    text: Callable[[Row], str]
    spare: int = 0


def group_table(
    rows: Sequence[Row], varied: Mapping[str, str], marks: Mapping[str, str], width: int
) -> Table:
    """One line per group, as wide as `width` characters where that can be had.

    Args:
        varied: headings of what else differs, by column.
        marks: by group, put in front of its line.
    """
    columns = [
        _Column("<", lambda row: marks.get(row["group"], "")),
        _Column("<variant", lambda row: row["variant"]),
        *_keys(varied),
        *map(_metric_column, _accuracies()),
        _Column("seeds", lambda row: count(row["runs"])),
        _Column("95 % interval", lambda row: _interval(row, "test_accuracy"), spare=3),
        *map(_metric_column, _others()),
    ]
    return _fitted(rows, columns, width)


def run_table(rows: Sequence[Row], varied: Mapping[str, str], width: int) -> Table:
    """One line per run."""
    columns = [
        _Column("<run", lambda row: row["run"]),
        *_keys(varied),
        *map(_metric_column, _accuracies()),
        *(
            # The run's name is long: the costs of its network go before the map.
            _metric_column(metric, spare=3 if metric.name in _COSTS else None)
            for metric in _others()
        ),
        _Column("seconds", lambda row: _decimal(row["duration_s"]), spare=4),
    ]
    return _fitted(rows, columns, width)


_COSTS = ("receptive_field", "macs", "params")


def _accuracies() -> list[Metric]:
    """The validation accuracy first: the lines are in its order, and the choice is made by it."""
    return [METRICS["best_val_accuracy"], METRICS["test_accuracy"]]


def _others() -> list[Metric]:
    return [metric for metric in metrics_of("table") if metric not in _accuracies()]


def _metric_column(metric: Metric, spare: int | None = None) -> _Column:
    return _Column(
        metric.head, lambda row: cell_text(row, metric), metric.spare if spare is None else spare
    )


def cell_text(row: Row, metric: Metric) -> str:
    """A group's or run's value as every table shows it."""
    if metric.name == "final_map":
        return row["map"] or "–"
    if metric.name == "test_accuracy":
        return _mean_text(row, metric)
    return metric.number(row[metric.name])


def _keys(varied: Mapping[str, str]) -> list[_Column]:
    return [_Column(f"<{heading}", _of_key(key)) for key, heading in varied.items()]


def _of_key(key: str) -> Callable[[Row], str]:
    return lambda row: value_text(row[key])


def value_text(value: Any) -> str:
    return "–" if value is None else as_typed(value)


def spread_text(mean: float | None, std: float | None, images: int | None) -> str:
    """`98.75 ± 0.12 %`: mean and standard deviation over seeds, of an accuracy.

    `98.33 ± <0.08 %` where the seeds differ by less than so many images can show.
    """
    if mean is None or std is None:
        return percent(mean)
    hidden = percent(hidden_std(images) if images else 0.0)
    is_hidden = images and std < hidden_std(images) and hidden != percent(0.0)
    return f"{100 * mean:.2f} ± {f'<{hidden}' if is_hidden else percent(std)}"


def with_std(mean: float, std: float) -> str:
    """`10,297 ± 1,801`, `0.000400 ± 0.000030`: both with as many decimals.

    So many that the deviation has two significant digits, unless the mean has five before; then
    `98,765 ± <1`, where nothing would be left of the deviation.
    """
    decimals = _decimals(mean, 5)
    if std:
        decimals = min(decimals, _decimals(std, 2))
    else:
        decimals = len(f"{mean:.{decimals}f}".partition(".")[2].rstrip("0"))
    least = f"<{10**-decimals:,.{decimals}f}" if std and round(std, decimals) == 0 else ""
    return f"{mean:,.{decimals}f} ± {least or f'{std:,.{decimals}f}'}"


def _decimals(value: float, digits: int) -> int:
    """With which a value has so many significant digits, whole numbers being written out."""
    _, _, exponent = f"{value:e}".partition("e")
    return max(digits - 1 - int(exponent), 0)


def measured_texts(row: Row) -> dict[str, str]:
    """By column what a group or run measured, as every table shows it."""
    measured = {metric.name: cell_text(row, metric) for metric in metrics_of("table")}
    return measured | {"test_accuracy_low": _interval(row, "test_accuracy")}


def _mean_text(row: Row, metric: Metric) -> str:
    """A run has no spread."""
    images = row.get(metric.images) if metric.images else None
    return spread_text(row[metric.name], row.get(f"{metric.name}_std"), images)


def _interval(row: Row, metric: str) -> str:
    low, high = row.get(f"{metric}_low"), row.get(f"{metric}_high")
    # Student's interval knows of no bounds; an accuracy has them.
    if low is None or high is None:
        return "–"
    return percent_range(low, high)


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _fitted(rows: Sequence[Row], columns: Sequence[_Column], width: int) -> Table:
    cells = [(column, [column.text(row) for row in rows]) for column in columns]
    for spare in sorted({column.spare for column in columns} - {0}, reverse=True):
        if _width(cells) <= width:
            break
        cells = [(column, texts) for column, texts in cells if column.spare != spare]
    return Table(
        tuple(column.heading for column, _ in cells),
        tuple(zip(*(texts for _, texts in cells), strict=True)),
    )


def _width(cells: Sequence[tuple[_Column, Sequence[str]]]) -> int:
    widths = [
        max(map(cell_len, (column.heading.removeprefix("<"), *texts))) for column, texts in cells
    ]
    return sum(widths) + _GAP * (len(widths) - 1)
