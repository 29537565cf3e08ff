"""Schema 1 of run.json, as types that `msgspec` checks, and further rules as functions.

Unknown keys of a later version in `config`, `dataset`, `metrics`, `environment` or a layer of
`geometry` are kept.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert, defstruct

from convscope.config.schema import ConvConfig, TrainConfig, dotted, field_types
from convscope.geometry.conv import LARGEST
from convscope.text import either

SCHEMA = 1
Status = Literal["running", "finished", "interrupted", "failed", "skipped", "pruned"]
STATUSES: tuple[Status, ...] = get_args(Status)
REASON_STATUSES = ("interrupted", "failed", "skipped", "pruned")

_SHOWN = 60
"""Most characters of a value in a message."""
_LARGEST = 10**100
"""Largest number: sums of squares of such numbers do not overflow a float."""
_LARGEST_COUNT = 2**53
"""Largest count: up to it a float, as in JavaScript and pandas, represents every integer."""
_LEVELS = 13
"""Levels of nested lists and objects, plus one."""
_MAX_ENTRIES = 1_000
"""Most metrics, keys of the config, and entries of a key: tables show each in a column or cell."""

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0, le=_LARGEST_COUNT)]
Size = Annotated[int, Meta(ge=1, le=_LARGEST_COUNT)]
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Time = Annotated[datetime, Meta(tz=True)]
Pair = tuple[Count, Count]
Shape = tuple[Size, Size, Size]
Single = str | bool | int | float | None


class Border(Struct):
    """Unused border of a layer on one axis, in pixels of the image and of the padding."""

    image: Count
    padding: Count


class Layer(Struct):
    """Geometry of a layer, from `NetworkGeometry.as_records`; pairs are (height, width)."""

    name: Text
    in_shape: Shape
    out_shape: Shape
    kernel_size: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    receptive_field: Pair
    macs: Count
    params: Count
    unread_border: tuple[Border, Border]
    padding_share: Share
    kind: Text | UnsetType = UNSET
    jump: Pair | UnsetType = UNSET
    start: tuple[float, float] | UnsetType = UNSET
    activation_bytes: Count | UnsetType = UNSET
    skipped: Pair | UnsetType = UNSET
    groups: Annotated[int, Meta(ge=2)] | UnsetType = UNSET
    is_varied: bool | UnsetType = UNSET
    is_unproductive: bool | UnsetType = UNSET


class Dataset(Struct):
    """The data set of a run; see `RunRecord.dataset`."""

    name: Text | None
    train: Count | None
    val: Count | None
    test: Count | None
    input_shape: Shape | None
    fingerprint: Text | None
    classes: list[Text] | UnsetType = UNSET
    mean: list[float] | UnsetType = UNSET
    std: list[float] | UnsetType = UNSET
    used: dict[str, Count | None] | UnsetType = UNSET


class Metrics(Struct):
    """Metrics with a range of their own; any other metric is a number or null."""

    test_accuracy: Share | None = None
    best_val_accuracy: Share | None = None
    test_loss: Amount | None = None
    train_samples_per_sec: Amount | None = None
    step_ms: Amount | None = None
    peak_mb: Amount | None = None
    latency_b1_p50_ms: Amount | None = None
    latency_b1_p95_ms: Amount | None = None
    latency_b256_p50_ms: Amount | None = None
    latency_b256_p95_ms: Amount | None = None
    shift_change: Share | None = None
    shift_similarity: float | None = None
    shift_consistency: Share | None = None
    circular_consistency: Share | None = None
    equivariance_error: Amount | None = None
    padding_error: Amount | None = None
    aliasing: Share | None = None
    erf_side: Amount | None = None
    erf_share: Share | None = None
    position_bias: Amount | None = None
    position_r2: float | None = None
    filter_asymmetry: Amount | None = None
    ece: Share | None = None
    brier: Amount | None = None


class Remeasured(Struct):
    """How samples/s were measured again while no other run used the machine."""

    threads: Count


class Latency(Struct):
    """How latencies were measured, which may be elsewhere than the run was trained.

    Runs whose networks were measured in turns with each other share `measured_at`. `calls` are the
    forward passes by batch size.
    """

    device: Text
    accelerator: Text
    precision: Text
    threads: Count
    torch: Text
    calls: dict[str, Count]
    measured_at: Time


class Diagnostics(Struct):
    """How diagnostics were measured, which may be elsewhere than the run was trained.

    `images` is their number, evenly spaced in the test.
    """

    level: Literal["standard", "full"]
    images: Count
    seconds: Amount
    device: Text
    torch: Text
    measured_at: Time


class Tuning(Struct):
    """What a trial of tuning is for; see `runs.tuning.note`."""

    key: Annotated[str, Meta(pattern=r"\A[a-z]+\.[a-z_]+\Z")]
    values: Annotated[list[float | None], Meta(min_length=1)]
    own: float | None


class Environment(Struct):
    """Software and hardware of a run."""

    git: dict[str, Any] | None
    versions: dict[str, Text] | None
    device: Text | None
    threads: Count | None
    precision: Text | None
    accelerator: Text | UnsetType = UNSET
    devices: Count | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    alone: Remeasured | UnsetType = UNSET
    latency: Latency | UnsetType = UNSET
    diagnostics: Diagnostics | UnsetType = UNSET
    tuning: Tuning | UnsetType = UNSET


def _bounded(hint: Any, bounds: tuple[Any, ...]) -> Any:
    """Return a config field's type with its bounds applied to each number in it."""
    if hint is Any:
        hint = Single | list[Single]
    if hint in (int, float):
        return Annotated[(hint, *bounds)] if bounds else hint
    if get_origin(hint) is list:
        return list[_bounded(get_args(hint)[0], bounds)]  # type: ignore[misc]
    kinds = [_bounded(one, bounds) for one in get_args(hint)]
    return functools.reduce(operator.or_, kinds) if kinds else hint


def _optional_keys(kind: Any) -> type[Struct]:
    """Return a type for a config in a record: each key is optional, with its bounds."""
    fields = []
    for name, (hint, rules) in field_types(kind).items():
        bounds = tuple(rule for rule in rules if isinstance(rule, Meta) and rule.pattern is None)
        if hint is ConvConfig:
            hint = dict[str, Any]
        else:
            hint = _optional_keys(hint) if is_dataclass(hint) else _bounded(hint, bounds)
        fields.append((name, hint | UnsetType, UNSET))
    return defstruct(kind.__name__, fields)


Config: Any = _optional_keys(TrainConfig)


class Record(Struct, forbid_unknown_fields=True):
    """The whole document; see `RunRecord`."""

    schema: int
    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    study: Text
    name: Text
    status: Status
    reason: Text | None
    variant: Text
    command: Text
    config: Config
    dataset: Dataset
    geometry: list[Layer]
    params: Count | None
    macs: Count | None
    metrics: Metrics
    resumed_from_epoch: Count
    environment: Environment
    started_at: Time
    ended_at: Time | None
    duration_s: Amount | None


class PixelConv(Struct):
    """`conv` in pixels per layer, as from `geometry.convs_to_config`."""

    kernel_size: list[tuple[Side, Side]]
    stride: list[tuple[Side, Side]]
    padding: list[tuple[Sides, Sides]]


class TypedConv(Struct):
    """`conv` as typed, if it has no value in pixels: `same` with a stride above 1."""

    kernel_size: Typed | list[Typed]
    stride: Typed | list[Typed]
    padding: Typed | list[Typed]


Side = Annotated[int, Meta(ge=1, le=LARGEST)]
Pixels = Annotated[int, Meta(ge=0, le=LARGEST)]
Sides = tuple[Pixels, Pixels]
Typed = Pixels | Text


def problem_of(document: object) -> str | None:
    """Return why a JSON value is not a record of this schema; None if it is one."""
    if not isinstance(document, dict) or "schema" not in document:
        return "it has no schema"
    schema = document["schema"]
    if schema != SCHEMA or isinstance(schema, bool):
        return f"schema must be {SCHEMA}, got {_brief(schema)}; is convscope too old?"
    problem = _problem_of_size(document, "", _LEVELS)
    if problem is not None:
        return problem
    try:
        record = convert(document, Record)
    except ValidationError as error:
        return _reworded(str(error), document)
    except UnicodeEncodeError:
        return "it has a key that is not valid Unicode"
    for key in ("started_at", "ended_at"):
        time = getattr(record, key)
        if time is not None and time.utcoffset() != timedelta(0):
            return _must(key, "be a time in UTC", document[key])
    if (record.status in REASON_STATUSES) != (record.reason is not None):
        return f"reason must say why a run is {either(REASON_STATUSES)}, and be null otherwise"
    conv = document["config"].get("conv")
    if conv is not None and not _is_conv(conv):
        return _must("config.conv", "be kernel_size, stride and padding, in pixels per layer", conv)
    for key, value in document["metrics"].items():
        if value is not None and type(value) not in (int, float):
            return _must(f"metrics.{key}", "be a number or null", value)
    return _problem_of_length(dotted(document["config"]), document["metrics"])


def _problem_of_size(value: object, path: str, levels: int) -> str | None:
    """Return which number is too large or value nested too deeply to process; None if none is."""
    if isinstance(value, dict | list):
        if levels == 0:
            return _must(path, f"have at most {_LEVELS - 1} levels", value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            within = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
            problem = _problem_of_size(item, within, levels - 1)
            if problem is not None:
                return problem
    elif isinstance(value, int | float) and abs(value) > _LARGEST:
        is_metric = path.startswith("metrics.") and isinstance(value, float)
        if not (is_metric and math.isinf(value)):  # Such a metric reads as None.
            return _must(path, "be a number up to 1e100", value)
    return None


def _problem_of_length(config: dict[str, object], metrics: dict[str, object]) -> str | None:
    """Return which part has too many entries for tables; None if none has."""
    for name, keys in (("config", config), ("metrics", metrics)):
        if len(keys) > _MAX_ENTRIES:
            return _must(name, f"have at most {_MAX_ENTRIES:,} keys", keys)
    for key, value in config.items():
        if isinstance(value, list) and len(value) > _MAX_ENTRIES:
            return _must(f"config.{key}", f"have at most {_MAX_ENTRIES:,} entries", value)
    return None


_REFUSED = (ValidationError, UnicodeEncodeError)
"""Errors of `convert`; UnicodeEncodeError is for a key with an unpaired surrogate."""


def _is_conv(conv: object) -> bool:
    try:
        pixels = convert(conv, PixelConv)
        return len(pixels.kernel_size) == len(pixels.stride) == len(pixels.padding) > 0
    except _REFUSED:
        pass  # It may be a `TypedConv`.
    try:
        padding = convert(conv, TypedConv).padding
        return "same" in (padding if isinstance(padding, list) else [padding])
    except _REFUSED:
        return False


_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "datetime": "a time in UTC",
}
_OTHERS = {
    "Invalid enum value": f"one of {', '.join(STATUSES)}",
    "Invalid RFC3339": "a time in UTC",
    "Expected `datetime`": "a time in UTC",
    "Expected `str` matching": "64 hex digits",
}
"""By the start of msgspec's message: only `status` is an enum, and only `id` has a pattern."""


def _reworded(error: str, document: dict[str, Any]) -> str:
    """Rephrase msgspec's message, such as "Expected `int`, got `str` - at `$.geometry[0].macs`"."""
    found, _, path = error.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    field = re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", found, re.S)
    if field is not None:
        key = f"{path}.{field[2]}".lstrip(".")
        if field[1] == "missing required":
            return f"{key} is missing"
        return f"{_key(key)} is not a key of schema {SCHEMA}"
    value: Any = document
    for key, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        value = value[int(index)] if index else value[key]
    rule = next((rule for start, rule in _OTHERS.items() if found.startswith(start)), "")
    types = re.match(r"Expected `(.*?)`(.*?)(, got |$)", found)
    if types and not rule:
        rule = " or ".join(_TYPES.get(one, one) for one in types[1].split(" | ")) + types[2]
    if path.endswith("[...]"):
        return _must(path.removesuffix("[...]"), f"have values that each are {rule}", value)
    return _must(path, f"be {rule}", value)


def _must(path: str, rule: str, value: object) -> str:
    return f"{_key(path)} must {rule}, got {_brief(value)}"


def _key(path: str) -> str:
    # A key in a damaged or foreign file may have any length, and line breaks.
    return path if path.isprintable() and len(path) <= _SHOWN else _brief(path)


def _brief(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        # Nested too deeply, or an integer with more digits than Python prints.
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
