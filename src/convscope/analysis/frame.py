"""Records as one table with a row per run, from which all comparisons start.

| columns | |
| --- | --- |
| `study, run, path, id, status, reason, command` | of the record |
| `started_at, ended_at, duration_s` | of the record |
| `group` | 8 digits of the identity without the seed: runs of a group differ in their seed only |
| `variant, padding_policy` | the geometry's label and policy |
| `kernel_size, stride, …` | each of `geometry.FACTORS` in the first layer, height axis, pixels |
| `kernel_size_level, …` | each factor's level in an analysis, as text: `3`, `5.3.3`, `half` |
| `setting` | other keys that differ between the rows, not the seed: `lr 0.01, max_epochs 3` |
| `also_in` | another setting that a run is compared in too: see `by_setting`; only where one is |
| `label` | variant and setting, for people |
| `dataset, fingerprint` | which images |
| `train_images, val_images, test_images` | number used per epoch, per validation, in the test |
| `train_steps, most_frequent` | optimizer steps; test images of the most frequent class |
| `diagnostic_images` | test images of the diagnostics |
| `test_accuracy, macs, …` | the metrics of `convscope.metrics` |
| `val_accuracy_rise, val_loss_fall` | last epoch compared with the best one before it |
| `device, threads, torch` | hardware and version; threads of the speed measurement |
| `shared` | whether other runs may have used the machine during the speed measurement |
| `seed, optim.lr, model.channels, …` | the other config keys that can change a result, dotted |
| `tuning, family, family_key` | what tuning chose: see `tuned`; only if there are trials |
| `record` | the `RunRecord` itself |

Unknown values are NaN or None.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from convscope.analysis.tuned import OWN_IS_BEST, title, with_tunings
from convscope.config.schema import format_value
from convscope.errors import UserError, on_one_line
from convscope.geometry import (
    FACTORS,
    KEEP,
    Pair,
    convs_from_config,
    label_tokens,
    levels,
    padding_policy,
    variant_label,
)
from convscope.metrics import METRICS, Network, geometric, of_network
from convscope.networks.matching import are_equal, reference_macs
from convscope.runs.contradiction import find_contradiction
from convscope.runs.directory import RunDirectory, UnreadableRun
from convscope.runs.identity import EXCLUDED, config_values, group_of, identity
from convscope.runs.pack import on_disk
from convscope.runs.record import RunRecord, current_record, record_errors
from convscope.runs.study import runs_below
from convscope.runs.usage import data_usage
from convscope.text import MISSING

_NUMBERS = (
    *("train_images", "val_images", "test_images", "train_steps", "most_frequent"),
    *("val_accuracy_rise", "val_loss_fall", "diagnostic_images"),
)
"""Numeric columns that every table has besides the metrics; NaN where a record lacks them."""

Row = dict[str, Any]

CONV = ("variant", *(factor.key for factor in FACTORS), "padding_policy")
"""Columns that describe a run's convolutions."""
TOP_LEVEL = "config."
"""Prefix of a column for a top-level config key, which may have the name of another column."""
_NO_SETTING = {
    *(f"conv.{factor.key}" for factor in FACTORS),
    *("data.name", "data.fingerprint", "seed"),
    *EXCLUDED,
}
"""Config keys that cannot change a result, or whose column has another name."""
_PLAIN = ("compile", "match", "vary")
"""Top-level config keys that no other column has the name of."""
_MATCHED_FROM, _SPLIT = "model.matched_from", "data.split_seed"
_NETWORK = "model.fingerprint"
"""Column with a hash of a traced network's layers and of the file that it is from."""
_OTHER = "also_in"
_LAST = (_OTHER, "command", "path", "fingerprint", "group", "record", "id")
"""Columns that serve programs more than people."""
_ALWAYS = ("study", "run", "path", "id", "group", "status", "reason", "variant", "dataset")


class Reader:
    """Reads the same folders repeatedly; reads only records that have changed on disk.

    Args:
        paths: studies, folders of studies, packed studies, or single runs.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._known: dict[Path, tuple[tuple[int, ...], Row]] = {}

    def read(self) -> tuple[DataFrame, list[UnreadableRun]]:
        """Return the table of all runs, and the unreadable runs with their reasons.

        Raises:
            UserError: a folder does not exist or cannot be listed.
        """
        rows: dict[tuple[str, str], Row] = {}
        unreadable: list[UnreadableRun] = []
        real = cache(os.path.realpath)
        for path in self._paths:
            runs, skipped = runs_below(path)
            unreadable += skipped
            for run in runs:
                # A run may be reached twice, by a link or by overlapping paths.
                key = real(run.path.parent), run.name
                if key not in rows:
                    try:
                        rows[key] = self._row(run)
                    except UserError as error:
                        unreadable.append(UnreadableRun(run.path, str(error)))
        table, copies = tabulate(rows.values())
        return table, unreadable + copies

    def _row(self, run: RunDirectory) -> Row:
        try:
            # Before reading: a record that is replaced meanwhile is then read again next time.
            found = on_disk(run.record).lstat()
        except OSError as error:
            raise UserError(f"{run.record} cannot be read: {error.strerror or error}") from error
        stamp = found.st_ino, found.st_mtime_ns, found.st_size
        known = self._known.get(run.path)
        # `running` is believed only while a process has the run's lock.
        if known and known[0] == stamp and known[1]["status"] != "running":
            return known[1]
        fresh = row(current_record(run.path))
        self._known[run.path] = stamp, fresh
        return fresh


def tabulate(rows: Iterable[Row]) -> tuple[DataFrame, list[UnreadableRun]]:
    """Return the rows as a table, sorted by study and run, and the omitted copies of runs."""
    by_id: dict[str, Row] = {}
    copies: list[UnreadableRun] = []
    rows = list(rows)
    count = Counter(one["id"] for one in rows)
    for one in (one for one in rows if count[one["id"]] == 1):
        by_id[one["id"]] = one
    # The key needs an identity, too much work for thousands of runs that have no copy.
    for one in sorted((one for one in rows if count[one["id"]] > 1), key=_copies_last):
        first = by_id.setdefault(one["id"], one)
        if first["path"] != one["path"]:
            same = one["group"] == first["group"] and one["seed"] == first["seed"]
            what = "is the same run as" if same else "has another config, and the id of"
            reason = f"{one['path']} {what} {first['path']}, which counts"
            copies.append(UnreadableRun(Path(one["path"]), reason))
    ordered = sorted(with_tunings(by_id.values()), key=lambda row: (row["study"], row["run"]))
    table = DataFrame(ordered, columns=None if ordered else list(_ALWAYS))
    for name in (*METRICS, *_NUMBERS):
        table[name] = table[name].astype(float) if name in table else float("nan")
    return with_settings(table), copies


def _copies_last(one: Row) -> tuple[object, ...]:
    """Return a sort key that puts originals before copies of the same id.

    Preferred are rows whose config has that id, then finished ones, then ones in a folder of the
    run's name.
    """
    is_other = identity(one["record"].config) != one["id"]
    is_moved = Path(one["path"]).name != one["run"]
    return is_other, one["status"] != "finished", is_moved, one["ended_at"] or ""


def with_settings(table: DataFrame) -> DataFrame:
    """Return the table with the columns `setting` and `label`; they depend on all its rows."""
    compared = _as_compared(table)
    varied = _varied(compared)

    def settings_of(rows: DataFrame) -> list[str]:
        columns = [_setting_texts(rows, key, varied) for key in varied]
        return [", ".join(texts) for texts in zip(*columns, strict=True)] or [""] * len(rows)

    settings = settings_of(compared)
    labels = [
        f"{variant} ({setting})" if setting else variant
        for variant, setting in zip(table["variant"], settings, strict=True)
    ]
    table = table.assign(setting=settings, label=labels).drop(columns=_OTHER, errors="ignore")
    if "match" in varied:
        return table.assign(
            **{_OTHER: _equal_macs(table, settings_of(compared.assign(match="macs")))}
        )
    if "family" in table:
        own, titles = compared["family"] == OWN_IS_BEST, compared["family_key"].map(title)
        others = settings_of(compared.assign(family=compared["family"].mask(own, titles)))
        return table.assign(**{_OTHER: Series(others, table.index).where(own)})
    return table


def _equal_macs(table: DataFrame, settings: Sequence[str]) -> list[str | None]:
    """Return the setting of equal MACs of each run that has these without scaling, else None.

    Args:
        table: with the column `setting`.
        settings: the setting that each run would have with `match=macs`.
    """
    matched = table["match"].notna()
    wanted = {name: _reference(runs) for name, runs in table[matched].groupby("setting")}
    return [
        name if not scaled and name in wanted and are_equal(macs, wanted[name]) else None
        for name, scaled, macs in zip(settings, matched, table["macs"], strict=True)
    ]


def by_setting(runs: DataFrame) -> Iterator[tuple[str, DataFrame]]:
    """Yield each setting with the runs that are compared in it.

    These are also the runs whose `also_in` is that setting: where runs were matched by
    `match=macs`, those that had the MACs of the reference without scaling; where variants were
    tuned, those of variants whose own value is the chosen one.

    Args:
        runs: table from `frame`, or groups of it.
    """
    if _OTHER in runs:
        also = runs[runs[_OTHER].notna() & (runs[_OTHER] != runs["setting"])]
        own = runs.assign(**{_OTHER: runs[_OTHER].where(runs[_OTHER] == runs["setting"])})
        runs = pd.concat([own, also.assign(setting=also[_OTHER])])
    for setting, members in runs.groupby("setting", sort=False):
        yield str(setting), members


def groups_of_other_settings(runs: DataFrame) -> list[str]:
    """Return the groups that are compared in this setting too, besides their own.

    Args:
        runs: of one setting, from `by_setting`.
    """
    return list(runs["group"][runs[_OTHER].notna()].unique()) if _OTHER in runs else []


def _as_compared(table: DataFrame) -> DataFrame:
    """Return the table with what runs are compared by.

    The channels are those before `match=macs` scaled them; the split is none of its own where it
    varies with the seed.
    """
    if not {"match", "vary", _SPLIT, _MATCHED_FROM, "model.channels"} <= {*table.columns}:
        return table
    matched = table["match"].notna()
    return table.assign(
        **{
            **{key: table[key].astype(object).fillna("null") for key in ("match", "vary")},
            "model.channels": table["model.channels"].where(~matched, table[_MATCHED_FROM]),
            _SPLIT: table[_SPLIT].where(table["vary"].isna()).astype(object).fillna("null"),
        }
    )


def _reference(runs: DataFrame) -> int:
    """Return the MACs that the matched runs of a setting have within 5 %; 0 where not known."""
    for record in runs["record"]:
        model, shape = record.config["model"], record.dataset["input_shape"]
        if shape is not None and "classes" in record.dataset:
            return reference_macs(model, len(record.dataset["classes"]), tuple(shape)) or 0
    return 0


def _setting_texts(table: DataFrame, key: str, varied: Sequence[str]) -> Series:
    """Return a part of each run's setting: `lr 0.01`, or `tuned lr`."""
    texts = table[key].map(_text).radd(f"{short(key, varied)} ")
    if "family" not in table:
        return texts
    is_tuned = (table["family_key"] == key) & (table["family"] != OWN_IS_BEST)
    return texts.mask(is_tuned, table["family"])


def results_first(table: DataFrame) -> DataFrame:
    """Return the table with varying columns and results first, columns for programs last."""
    first = dict.fromkeys(("variant", *_varied(table), "seed", "status", *METRICS))
    others = [name for name in table if name not in first and name not in _LAST]
    last = [name for name in _LAST if name not in first]
    return table[[name for name in (*first, *others, *last) if name in table]]


def setting_keys(table: DataFrame) -> list[str]:
    """Return the columns that make two runs of one variant and seed different runs."""
    config = [key for key in table.columns if "." in key or key in _PLAIN]
    keys = [key for key in ("dataset", "fingerprint", *config) if key in table]
    if _MATCHED_FROM in keys:
        keys.remove(_MATCHED_FROM)
    if _SPLIT in keys and (table["vary"] == "split").all():
        keys.remove(_SPLIT)
    if _NETWORK in keys:
        model = [key for key in keys if key.startswith("model.") and key != _NETWORK]
        networks = table.groupby([*keys[:2], *model], dropna=False)[_NETWORK].nunique(dropna=False)
        # What was dropped, say, shows in the layers. Else the user's file was edited.
        if networks.max() == 1:
            keys.remove(_NETWORK)
    return keys


def _varied(table: DataFrame) -> list[str]:
    return [key for key in setting_keys(table) if table[key].nunique(dropna=False) > 1]


def short(key: str, among: Sequence[str]) -> str:
    """Return a dotted key's last part if no other key of `among` ends in it, else the key."""
    if key.startswith(TOP_LEVEL):
        return key
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in among) == 1 else key


def _text(value: object) -> str:
    return MISSING if pd.isna(value) else f"{value:g}" if isinstance(value, float) else str(value)


def row(record: RunRecord) -> Row:
    """Return a record's columns, except those that depend on other rows.

    Raises:
        UserError: the record is incomplete or contradicts itself.
    """
    with record_errors(record):
        if label_tokens(record.variant) is None:
            raise ValueError(f"variant {record.variant}")
        problem = find_contradiction(record)
        if problem is None:
            own = _own_columns(record)
            others = {**record.metrics, **_config_columns(record)}
            # Another version's metric or key must not replace a column of the same name.
            return own | {name: value for name, value in others.items() if name not in own}
    raise UserError(on_one_line(f"{record.path or record.name} contradicts itself: {problem}"))


def _config_columns(record: RunRecord) -> Row:
    columns: Row = {}
    for key, value in config_values(record.config).items():
        if key not in _NO_SETTING:
            # A top-level key of another version must not replace a column of the same name.
            name = key if "." in key or key in _PLAIN else f"{TOP_LEVEL}{key}"
            columns[name] = format_value(value) if isinstance(value, list) else value
    return columns


def _own_columns(record: RunRecord) -> Row:
    environment, uses = record.environment, data_usage(record)
    return {
        "study": record.study,
        "run": record.name,
        "path": str(record.path or Path(record.study, record.name)),
        "id": record.id,
        "group": group_of(record.config),
        "status": record.status,
        "reason": record.reason,
        **_conv_columns(record),
        "dataset": record.dataset["name"] or "unknown",
        "fingerprint": str(record.dataset["fingerprint"])[:8],
        **{f"{part}_images": uses[part] for part in ("train", "val", "test")},
        "train_steps": uses["steps"],
        "most_frequent": uses["most_frequent"],
        "diagnostic_images": environment.get("diagnostics", {}).get("images"),
        **_network_columns(record),
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


def _conv_columns(record: RunRecord) -> Row:
    """Return the variant's label, the first layer's values, and the level of each factor."""
    conv = record.config["conv"]
    variant = record.variant
    if "same" in conv["padding"]:
        # A recorded `same` comes with a stride above 1: PyTorch refuses it, and it has no pixels.
        tokens = label_tokens(variant) or {}
        typed = {factor: tokens[factor.key] for factor in FACTORS if factor.key in tokens}
        first = {one.key: one.first(one.read(one.key, texts[0])) for one, texts in typed.items()}
        policy, first["padding"] = "same", None
        factor_levels = {
            factor.key: (factor.letter if factor.key == "padding" else "") + ".".join(texts)
            for factor, texts in typed.items()
        }
    else:
        convs = convs_from_config(conv)
        if "same" in variant:
            # Older records write `psame` where the sides differ.
            variant = variant_label(convs)
        policy = padding_policy(convs, _varied_sizes(record, len(convs)))
        first = {factor.key: factor.first(getattr(convs[0], factor.key)) for factor in FACTORS}
        kept = [key for key, tokens in (label_tokens(variant) or {}).items() if tokens == [KEEP]]
        factor_levels = levels(convs, policy) | dict.fromkeys(kept, KEEP)
    return {
        "variant": variant,
        "padding_policy": policy,
        **first,
        **{f"{key}_level": level for key, level in factor_levels.items()},
    }


def _varied_sizes(record: RunRecord, layers: int) -> list[Pair] | None:
    """Return height and width of each varied layer's input; None where they are not recorded."""
    marked = [layer for layer in record.geometry if layer.get("is_varied")]
    varied = marked or [
        layer
        for layer in record.geometry
        if layer["name"][:4] == "conv" and layer.get("kind") != "blur"
    ]
    return [layer["in_shape"][1:] for layer in varied] if len(varied) == layers else None


def _network_columns(record: RunRecord) -> Row:
    if record.params is None or record.macs is None or not record.geometry:
        return dict.fromkeys(geometric())
    return of_network(Network(record.params, record.macs, record.geometry))
