"""What run.json must hold: schema 1, key by key.

Keys that a later version adds below `config`, `dataset`, `metrics`, `environment` or in a layer of
`geometry` are kept as they are, within the bounds of `_is_bounded`.
"""

import math
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from convscope.config import ConvConfig, TrainConfig
from convscope.geometry.shapes import LARGEST

SCHEMA = 1
Status = Literal["running", "finished", "interrupted", "failed", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)
REASONED = ("interrupted", "failed", "skipped")

DATASET_KEYS = ("name", "train", "val", "test", "input_shape", "fingerprint")
LAYER_KEYS = (
    *("name", "in_shape", "out_shape", "kernel_size", "stride", "padding", "receptive_field"),
    *("macs", "params", "unread_border", "padding_share"),
)
ENVIRONMENT_KEYS = ("git", "versions", "device", "threads", "precision")

_SHOWN = 60
_LARGEST = 10**300
"""Of any number: what reads records may turn it into a float."""
_LARGEST_COUNT = 2**53
"""Up to it a float, and so JavaScript and pandas, has every whole number."""
_DEEPEST = 12


Test = Callable[[object], bool]


@dataclass(frozen=True)
class Rule:
    """What a value must pass, and the words for it: `it must <words>`."""

    test: Test
    words: str


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_count(value: object) -> bool:
    return _is_whole(value) and 0 <= value <= _LARGEST_COUNT  # type: ignore[operator]


def _is_size(value: object) -> bool:
    return _is_count(value) and value != 0


def _is_pixels(value: object) -> bool:
    return _is_count(value) and value <= LARGEST  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float) and not math.isinf(value))


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_metric(value: object) -> bool:
    """Also a float that is not finite, which reads as None."""
    return _is_number(value) or isinstance(value, float)


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return datetime.fromisoformat(value).utcoffset() == timedelta(0)
    except ValueError:
        return False


def _is_identity(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_bounded(value: object, deepest: int = _DEEPEST) -> bool:
    """Whether no number is beyond what its readers can count with, and no value nested too deep."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return deepest > 0 and all(_is_bounded(item, deepest - 1) for item in items)
    return not isinstance(value, int | float) or isinstance(value, bool) or _is_number(value)


def _or_null(test: Test) -> Test:
    return _one_of(lambda value: value is None, test)


def _one_of(*tests: Test) -> Test:
    return lambda value: any(test(value) for test in tests)


def _list_of(test: Test, length: int | None = None) -> Test:
    return lambda value: (
        isinstance(value, list) and length in (None, len(value)) and all(map(test, value))
    )


def _object_of(test: Test) -> Test:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _has(keys: tuple[str, ...]) -> Test:
    return lambda value: isinstance(value, dict) and value.keys() >= set(keys)


def _are_layers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(layer, dict) and _is_text(layer.get("name")) for layer in value
    )


def _is_border(value: object) -> bool:
    return _has(("image", "padding"))(value) and _object_of(_is_count)(value)


def _is_conv(value: object) -> bool:
    """Pixels per layer, as `geometry.conv_config` writes them; or what was typed, with a `same`."""
    if not isinstance(value, dict) or not value.keys() >= {
        field.name for field in fields(ConvConfig)
    }:
        return False
    kernels, strides, paddings = (value[field.name] for field in fields(ConvConfig))
    entry = _list_of(_is_pixels, 2)
    if (
        all(map(_list_of(entry), (kernels, strides)))
        and _list_of(_list_of(entry, 2))(paddings)
        and len(kernels) == len(strides) == len(paddings) > 0
    ):
        return not any(0 in pair for pair in (*kernels, *strides))
    typed = [one if isinstance(one, list) else [one] for one in (kernels, strides, paddings)]
    entries = [entry for one in typed for entry in one]
    return "same" in typed[2] and all(_is_text(one) or _is_pixels(one) for one in entries)


_COUNT = Rule(_is_count, "be a whole number")
_PAIR = Rule(_list_of(_is_count, 2), "be two whole numbers")
_SHAPE = Rule(_list_of(_is_size, 3), "be three whole numbers above 0")
_TEXT_OR_NULL = Rule(_or_null(_is_text), "be text or null")
_COUNT_OR_NULL = Rule(_or_null(_is_count), "be a whole number or null")
_NUMBERS = Rule(_list_of(_is_number), "be a list of numbers")

_RULES: dict[str, Rule] = {
    "id": Rule(_is_identity, "be 64 hex digits"),
    "study": Rule(_is_text, "be text"),
    "name": Rule(_is_text, "be text"),
    "status": Rule(lambda value: value in STATUSES, f"be one of {', '.join(STATUSES)}"),
    "reason": _TEXT_OR_NULL,
    "variant": Rule(_is_text, "be text"),
    "command": Rule(_is_text, "be text"),
    "config": Rule(_is_object, "be an object"),
    "dataset": Rule(_has(DATASET_KEYS), f"be an object with {', '.join(DATASET_KEYS)}"),
    "geometry": Rule(_are_layers, "be a list of objects with a name"),
    "params": _COUNT_OR_NULL,
    "macs": _COUNT_OR_NULL,
    "metrics": Rule(_object_of(_or_null(_is_metric)), "be an object of numbers"),
    "resumed_from_epoch": _COUNT,
    "environment": Rule(_has(ENVIRONMENT_KEYS), f"be an object with {', '.join(ENVIRONMENT_KEYS)}"),
    "started_at": Rule(_is_time, "be a time in UTC"),
    "ended_at": Rule(_or_null(_is_time), "be a time in UTC or null"),
    "duration_s": Rule(_or_null(_is_number), "be a number or null"),
}
"""Of the keys that every record has."""

_NESTED: dict[str, Rule] = {
    "config.conv": Rule(_is_conv, "be kernel_size, stride and padding, in pixels per layer"),
    "dataset.name": _TEXT_OR_NULL,
    "dataset.train": _COUNT_OR_NULL,
    "dataset.val": _COUNT_OR_NULL,
    "dataset.test": _COUNT_OR_NULL,
    "dataset.input_shape": Rule(_or_null(_SHAPE.test), f"{_SHAPE.words} or null"),
    "dataset.classes": Rule(_list_of(_is_text), "be a list of text"),
    "dataset.mean": _NUMBERS,
    "dataset.std": _NUMBERS,
    "dataset.fingerprint": _TEXT_OR_NULL,
    "geometry[]": Rule(_has(LAYER_KEYS), f"be an object with {', '.join(LAYER_KEYS)}"),
    "geometry[].kind": Rule(_is_text, "be text"),
    "geometry[].in_shape": _SHAPE,
    "geometry[].out_shape": _SHAPE,
    "geometry[].kernel_size": _PAIR,
    "geometry[].stride": _PAIR,
    "geometry[].padding": Rule(_list_of(_PAIR.test, 2), "be two pairs of whole numbers"),
    "geometry[].receptive_field": _PAIR,
    "geometry[].jump": _PAIR,
    "geometry[].start": Rule(_list_of(_is_number, 2), "be two numbers"),
    "geometry[].macs": _COUNT,
    "geometry[].params": _COUNT,
    "geometry[].activation_bytes": _COUNT,
    "geometry[].unread_border": Rule(
        _list_of(_is_border, 2), "be two objects with image and padding"
    ),
    "geometry[].skipped": _PAIR,
    "geometry[].padding_share": Rule(_is_share, "be a share, 0 to 1"),
    "metrics.test_accuracy": Rule(_or_null(_is_share), "be a share, 0 to 1, or null"),
    "metrics.best_val_accuracy": Rule(_or_null(_is_share), "be a share, 0 to 1, or null"),
    "environment.git": Rule(_or_null(_is_object), "be an object or null"),
    "environment.versions": Rule(_or_null(_object_of(_is_text)), "be an object of text or null"),
    "environment.device": _TEXT_OR_NULL,
    "environment.accelerator": Rule(_is_text, "be text"),
    "environment.devices": _COUNT,
    "environment.threads": _COUNT_OR_NULL,
    "environment.precision": _TEXT_OR_NULL,
    "environment.shared": Rule(_is_switch, "be true or false"),
    "environment.alone": Rule(_has(("threads",)), "be an object with threads"),
    "environment.alone.threads": _COUNT,
}
"""Of keys further in, where a record has them."""


@cache
def _config_rules() -> dict[str, Rule]:
    """The types of the config's keys, from its dataclasses; where a record has the key."""
    return dict(_typed(TrainConfig, "config"))


def _typed(kind: Any, prefix: str) -> Iterator[tuple[str, Rule]]:
    for name, hint in get_type_hints(kind).items():
        key = f"{prefix}.{name}"
        if is_dataclass(hint):
            yield key, Rule(_is_object, "be an object")
            if hint is not ConvConfig:
                yield from _typed(hint, key)
        elif hint is not Any:
            tests = [_TYPES[one] for one in _alternatives(hint)]
            words = " or ".join(words for _, words in tests)
            yield key, Rule(_one_of(*(test for test, _ in tests)), f"be {words}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


_TYPES: dict[Any, tuple[Test, str]] = {
    str: (lambda value: isinstance(value, str), "text"),
    bool: (_is_switch, "true or false"),
    int: (_is_whole, "a whole number"),
    float: (_is_number, "a number"),
    list[int]: (_list_of(_is_whole), "a list of whole numbers"),
    type(None): (lambda value: value is None, "null"),
}


def problem_of(document: object) -> str | None:
    """Why this JSON value is no record, or None."""
    if not isinstance(document, dict) or "schema" not in document:
        return "it has no schema"
    schema = document["schema"]
    if schema != SCHEMA or isinstance(schema, bool):
        return f"schema must be {SCHEMA}, got {_brief(schema)}; is convscope too old?"
    for key, rule in _RULES.items():
        if key not in document:
            return f"{key} is missing"
        if not rule.test(document[key]):
            return _broken(key, rule, document[key])
    unknown = sorted(document.keys() - _RULES.keys() - {"schema"})
    if unknown:
        return f"{unknown[0]} is not a key of schema {SCHEMA}"
    if (document["status"] in REASONED) != (document["reason"] is not None):
        return f"reason must say why a run is {' or '.join(REASONED)}, and be null otherwise"
    return _problem_within(document)


def _problem_within(document: dict[str, Any]) -> str | None:
    for key, rule in (_config_rules() | _NESTED).items():
        for place, value in _values(document, key.split("."), ""):
            if not rule.test(value):
                return _broken(place, rule, value)
    for key in ("config", "dataset", "geometry", "environment"):
        if not _is_bounded(document[key]):
            return (
                f"{key} must have numbers up to 1e300 and at most {_DEEPEST} levels,"
                f" got {_brief(document[key])}"
            )
    return None


def _values(node: Any, path: list[str], place: str) -> Iterator[tuple[str, Any]]:
    """The values at a path, which may be missing; `geometry[]` is each of a list."""
    if not path:
        yield place, node
        return
    name = path[0].removesuffix("[]")
    if not isinstance(node, dict) or name not in node:
        return
    place = f"{place}.{name}" if place else name
    if name == path[0]:
        yield from _values(node[name], path[1:], place)
        return
    for number, item in enumerate(node[name]):
        yield from _values(item, path[1:], f"{place}[{number}]")


def _broken(key: str, rule: Rule, value: object) -> str:
    return f"{key} must {rule.words}, got {_brief(value)}"


def _brief(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        # Nested without end, or a whole number of more digits than Python prints.
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
