"""Records as one table: a row per run. What else compares runs reads this table.

| columns | |
| --- | --- |
| `study, run, path, id, status, reason, command` | of the record |
| `started_at, ended_at, duration_s` | of the record |
| `group` | 8 digits of the config without its seed: rows that share it differ in nothing else |
| `variant, padding_policy` | the geometry's label and policy |
| `kernel_size, stride, …` | each of `geometry.FACTORS` in the first layer, height axis, pixels |
| `kernel_size_level, …` | each factor's level in an analysis, as text: `3`, `5.3.3`, `half` |
| `setting` | what differs between the rows beside variant and seed, `lr 0.01, max_epochs 3` |
| `label` | variant and setting, for people |
| `dataset, fingerprint` | which images |
| `test_images, val_images` | how many of them are behind `test_accuracy` and `best_val_accuracy` |
| `train_images, train_steps` | images of a training epoch, optimizer steps; NaN where not known |
| `most_frequent` | test images of the most frequent class; NaN where not known |
| `test_accuracy, macs, …` | the metrics of `convscope.metrics`; NaN where there is none |
| `val_accuracy_rise, val_loss_fall` | of the last epoch, on the best one before it |
| `device, threads, torch` | what it ran on; threads where its speed was measured |
| `shared` | whether its speed was measured while other runs may have had the machine too |
| `seed, optim.lr, model.channels, …` | the other config keys that can change a result, dotted |
| `record` | the `RunRecord` itself |
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from convscope.config.schema import brief, dotted
from convscope.errors import UserError, on_one_line
from convscope.geometry import (
    FACTORS,
    convs_from,
    label_tokens,
    levels,
    padding_policy,
    variant_label,
)
from convscope.metrics import METRICS, Network, geometric, of_network
from convscope.runs.contradiction import contradiction
from convscope.runs.directory import RunDirectory, UnreadableRun
from convscope.runs.identity import EXCLUDED, identity
from convscope.runs.record import RunRecord, current_record, reading
from convscope.runs.study import runs_below
from convscope.runs.used import used

_MAY_BE_UNKNOWN = (
    *("train_images", "val_images", "test_images", "train_steps", "most_frequent"),
    *("val_accuracy_rise", "val_loss_fall"),
)
"""Columns that older records leave open, NaN there."""

Row = dict[str, Any]

WINDOW = ("variant", *(factor.key for factor in FACTORS), "padding_policy")
"""Columns that say what a run's convolutions are."""
_CONV = [f"conv.{factor.key}" for factor in FACTORS]
_DATASET = ("data.name", "data.fingerprint")
OF_NO_GROUP = "config."
_HIDDEN = {*_CONV, *_DATASET, *EXCLUDED}
_LAST = ("command", "path", "fingerprint", "group", "record", "id")
"""Columns that serve programs more than people."""
_ALWAYS = ("study", "run", "path", "id", "group", "status", "reason", "variant", "dataset")


class Reader:
    """Reads the same folders again and again; of the records only what changed on disk.

    Args:
        paths: studies, folders of studies, or single runs.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._known: dict[Path, tuple[tuple[int, ...], Row]] = {}

    def read(self) -> tuple[DataFrame, list[UnreadableRun]]:
        """The table of all runs, and what could not be read, by path and reason.

        Raises:
            UserError: one of the folders is not there, or may not be listed.
        """
        rows: list[Row] = []
        unreadable: list[UnreadableRun] = []
        places: set[tuple[str, str]] = set()
        real = cache(os.path.realpath)
        for path in self._paths:
            runs, skipped = runs_below(path)
            unreadable += skipped
            for run in runs:
                place = real(run.path.parent), run.name
                if place in places:
                    continue  # By a link, or named twice.
                places.add(place)
                try:
                    rows.append(self._row(run))
                except UserError as error:
                    unreadable.append(UnreadableRun(run.path, str(error)))
        table, copies = tabulate(rows)
        return table, unreadable + copies

    def _row(self, run: RunDirectory) -> Row:
        # The stamp first: a record replaced in between is read again next time.
        stamp = _stamp(run.record)
        known = self._known.get(run.path)
        # A running one is believed only while somebody holds its lock.
        if known and known[0] == stamp and known[1]["status"] != "running":
            return known[1]
        fresh = row(current_record(run.path))
        self._known[run.path] = stamp, fresh
        return fresh


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.lstat()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def tabulate(rows: Sequence[Row]) -> tuple[DataFrame, list[UnreadableRun]]:
    """Rows as a table, by study and run; copies of a run are listed beside it."""
    by_id: dict[str, Row] = {}
    unreadable: list[UnreadableRun] = []
    for one in sorted(rows, key=_copies_last):
        first = by_id.setdefault(one["id"], one)
        if first["path"] != one["path"]:
            same = one["group"] == first["group"] and one["seed"] == first["seed"]
            what = "is the same run as" if same else "has another config, and the id of"
            reason = f"{one['path']} {what} {first['path']}, which counts"
            unreadable.append(UnreadableRun(Path(one["path"]), reason))
    ordered = sorted(by_id.values(), key=lambda r: (r["study"], r["run"]))
    table = DataFrame(ordered, columns=None if ordered else list(_ALWAYS))
    for name in (*METRICS, *_MAY_BE_UNKNOWN):
        table[name] = table[name].astype(float) if name in table else float("nan")
    return with_settings(table), unreadable


def _copies_last(one: Row) -> tuple[object, ...]:
    """Sort key for runs of one id: its own config's, finished, in the folder of its name, first."""
    is_other = identity(one["record"].config) != one["id"]
    is_moved = Path(one["path"]).name != one["run"]
    return is_other, one["status"] != "finished", is_moved, one["ended_at"] or ""


def with_settings(table: DataFrame) -> DataFrame:
    """The table with `setting` and `label` as its rows are now: set them anew after a selection."""
    varied = [key for key in setting_keys(table) if table[key].nunique(dropna=False) > 1]
    settings = [
        ", ".join(
            f"{short(key, varied)} {_text(value)}"
            for key, value in zip(varied, values, strict=True)
        )
        for values in zip(*(table[key] for key in varied), strict=True)
    ] or [""] * len(table)
    labels = [
        f"{variant} ({setting})" if setting else variant
        for variant, setting in zip(table["variant"], settings, strict=True)
    ]
    return table.assign(setting=settings, label=labels)


def results_first(table: DataFrame) -> DataFrame:
    """The table with what differs and the results as its first columns, hashes as its last."""
    varied = [key for key in setting_keys(table) if table[key].nunique(dropna=False) > 1]
    first = dict.fromkeys(("variant", *varied, "seed", "status", *METRICS))
    others = [name for name in table if name not in first and name not in _LAST]
    last = [name for name in _LAST if name not in first]
    return table[[name for name in (*first, *others, *last) if name in table]]


def setting_keys(table: DataFrame) -> list[str]:
    """Columns that make two runs of one variant and seed different runs."""
    config = [key for key in table.columns if "." in key or key == "compile"]
    return [key for key in ("dataset", "fingerprint", *config) if key in table]


def short(key: str, among: Sequence[str]) -> str:
    """The last part of a dotted key, where it is of a group and no other key ends so."""
    if key.startswith(OF_NO_GROUP):
        return key
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in among) == 1 else key


def _text(value: object) -> str:
    return "–" if pd.isna(value) else f"{value:g}" if isinstance(value, float) else str(value)


def row(record: RunRecord) -> Row:
    """A record's columns, all but those that depend on the other rows.

    Raises:
        UserError: the record does not say what was trained.
    """
    with reading(record):
        if label_tokens(record.variant) is None:
            raise ValueError(f"variant {record.variant}")
        problem = contradiction(record)
        if problem is None:
            return _row(record)
    raise UserError(on_one_line(f"{record.path or record.name} contradicts itself: {problem}"))


def _row(record: RunRecord) -> Row:
    own = _own_columns(record)
    config = {
        _column(key): brief(value) if isinstance(value, list) else value
        for key, value in dotted(record.config).items()
        if key not in _HIDDEN and key != "seed"
    }
    # A metric of another version may bear the name of a column, which keeps its meaning.
    others = {**record.metrics, **config}
    return own | {name: value for name, value in others.items() if name not in own}


def _column(key: str) -> str:
    """A config key as a column; one of no group, of another version, is not taken for another."""
    return key if "." in key or key == "compile" else f"{OF_NO_GROUP}{key}"


def _own_columns(record: RunRecord) -> Row:
    environment = record.environment
    return {
        "study": record.study,
        "run": record.name,
        "path": str(record.path or Path(record.study, record.name)),
        "id": record.id,
        "group": group_of(record.config),
        "status": record.status,
        "reason": record.reason,
        "variant": _variant(record),
        **_window(record),
        "dataset": record.dataset["name"] or "unknown",
        "fingerprint": str(record.dataset["fingerprint"])[:8],
        **_used(record),
        **_known_before(record),
        "device": environment["device"],
        "threads": environment.get("alone", environment)["threads"],
        "shared": record.speed_is_shared,
        "torch": environment["versions"].get("torch"),
        "command": record.command,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "duration_s": record.duration_s,
        "seed": record.config["seed"],
        "record": record,
    }


def _variant(record: RunRecord) -> str:
    """The variant by its pixels, which older records name `psame` where sides differ."""
    conv = record.config["conv"]
    if "same" not in record.variant or "same" in conv["padding"]:
        return record.variant
    return variant_label(convs_from(conv))


def _window(record: RunRecord) -> Row:
    """The first layer's window, and the level of each factor."""
    conv = record.config["conv"]
    if "same" in conv["padding"]:
        # With a stride above 1, which PyTorch refuses: what was typed has no pixels.
        tokens = label_tokens(record.variant) or {}
        typed = {
            factor: (factor.letter if factor.key == "padding" else "", tokens[factor.key])
            for factor in FACTORS
            if factor.key in tokens
        }
        first = {
            factor.key: factor.first(factor.read(factor.key, of[0]))
            for factor, (_, of) in typed.items()
        }
        policy, first["padding"] = "same", None
        of_factor = {factor.key: letter + ".".join(of) for factor, (letter, of) in typed.items()}
    else:
        convs = convs_from(conv)
        sizes = [layer["in_shape"][1:] for layer in record.geometry if layer["name"][:4] == "conv"]
        policy = padding_policy(convs, sizes if len(sizes) == len(convs) else None)
        first = {factor.key: factor.first(getattr(convs[0], factor.key)) for factor in FACTORS}
        of_factor = levels(convs, policy)
    return {
        "padding_policy": policy,
        **first,
        **{f"{key}_level": level for key, level in of_factor.items()},
    }


def _used(record: RunRecord) -> Row:
    of = used(record)
    images = {f"{part}_images": of[part] for part in ("train", "val", "test")}
    return images | {"train_steps": of["steps"], "most_frequent": of["most_frequent"]}


def _known_before(record: RunRecord) -> Row:
    if record.params is None or record.macs is None or not record.geometry:
        return dict.fromkeys(geometric())
    return of_network(Network(record.params, record.macs, record.geometry))


def group_of(config: Mapping[str, Any]) -> str:
    """8 digits of the identity of a config without its seed."""
    return identity({key: value for key, value in config.items() if key != "seed"})[:8]
