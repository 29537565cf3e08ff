"""What run.json must hold: schema 1, key by key.

Keys that a later version adds below `config`, `dataset`, `metrics`, `environment` or in a layer of
`geometry` are kept as they are.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from convscope.config.schema import ConvConfig, Range, TrainConfig, dotted
from convscope.geometry.conv import LARGEST
from convscope.geometry.factors import FACTORS

SCHEMA = 1
Status = Literal["running", "finished", "interrupted", "failed", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)
REASONED = ("interrupted", "failed", "skipped")

_CONV_KEYS = tuple(factor.key for factor in FACTORS if factor.default is None)
DATASET_KEYS = ("name", "train", "val", "test", "input_shape", "fingerprint")
LAYER_KEYS = (
    *("name", "in_shape", "out_shape", "kernel_size", "stride", "padding", "receptive_field"),
    *("macs", "params", "unread_border", "padding_share"),
)
ENVIRONMENT_KEYS = ("git", "versions", "device", "threads", "precision")

_SHOWN = 60
_LARGEST = 10**100
"""Of any number: sums of its squares are floats still."""
_LARGEST_COUNT = 2**53
"""Up to it a float, and so JavaScript and pandas, has every whole number."""
_LEVELS = 12
"""Of values within values."""
_MOST = 1_000
"""Of the metrics, of the config's keys, and of the entries of a key: each is a column or a text."""


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
    return (
        isinstance(value, int)
        and value is not True
        and value is not False
        and (-_LARGEST <= value <= _LARGEST)
    )


def _is_count(value: object) -> bool:
    return _is_whole(value) and 0 <= value <= _LARGEST_COUNT  # type: ignore[operator]


def _is_size(value: object) -> bool:
    return _is_count(value) and value != 0


def _is_pixels(value: object) -> bool:
    return _is_count(value) and value <= LARGEST  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return _is_whole(value) or (
        isinstance(value, float) and (math.isnan(value) or abs(value) <= _LARGEST)
    )


def _is_amount(value: object) -> bool:
    return _is_metric(value) and not value < 0  # type: ignore[operator]


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def _is_metric(value: object) -> bool:
    """Also a float that is not finite, which reads as None; its bounds are asked later."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_single(value: object) -> bool:
    return value is None or isinstance(value, (str, bool)) or _is_number(value)


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


def _or_null(test: Test) -> Test:
    return _one_of(lambda value: value is None, test)


def _one_of(first: Test, *others: Test) -> Test:
    if not others:
        return first
    rest = _one_of(*others)
    return lambda value: first(value) or rest(value)


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
    if not _has(_CONV_KEYS)(value):
        return False
    kernels, strides, paddings = (value[key] for key in _CONV_KEYS)  # type: ignore[index]
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
    "duration_s": Rule(
        _or_null(lambda value: _is_number(value) and not value < 0),  # type: ignore[operator]
        "be a number from 0 or null",
    ),
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
    "dataset.used": Rule(_object_of(_or_null(_is_count)), "be an object of whole numbers"),
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


_METRICS = dict.fromkeys(
    ("test_accuracy", "best_val_accuracy"), Rule(_is_share, "be a share, 0 to 1")
) | dict.fromkeys(
    ("test_loss", "train_samples_per_sec", "step_ms", "peak_mb"),
    Rule(_is_amount, "be a number from 0"),
)
_FEW_KEYS = Rule(lambda value: False, f"have at most {_MOST:,} keys")
_SHORT = Rule(lambda value: False, f"have at most {_MOST:,} entries")
_SHALLOW = Rule(lambda value: False, f"have at most {_LEVELS} levels")
_BOUNDED = Rule(_is_number, "be a number up to 1e100")
_BOUNDED_METRIC = Rule(
    lambda value: _is_number(value) or (isinstance(value, float) and math.isinf(value)),
    _BOUNDED.words,
)


def _typed(kind: Any, prefix: str) -> Iterator[tuple[str, Rule]]:
    """The types and ranges of the config's keys, from its dataclasses."""
    for name, annotated in get_type_hints(kind, include_extras=True).items():
        key = f"{prefix}.{name}"
        hint, *marks = get_args(annotated) if get_origin(annotated) is Annotated else (annotated,)
        bounds = [mark for mark in marks if isinstance(mark, Range)]
        if is_dataclass(hint):
            yield key, Rule(_is_object, "be an object")
            yield from _typed(hint, key)
        elif hint is Any:
            if kind is not ConvConfig:
                one = _within(_is_single, bounds)
                yield key, Rule(_one_of(one, _list_of(one)), "be a value or a list, in its range")
        else:
            tests = [_TYPES[one] for one in _alternatives(hint)]
            words = " or ".join(words for _, words in tests)
            test = _within(_one_of(*(test for test, _ in tests)), bounds)
            yield key, Rule(test, f"be {words}{', in its range' if bounds else ''}")


def _within(test: Test, bounds: Sequence[Range]) -> Test:
    """The test, and for numbers, also those of a list, that they keep the bounds."""

    def is_within(value: object) -> bool:
        numbers = value if isinstance(value, list) else [value]
        return test(value) and not any(
            _is_number(number) and bound.broken_rule(number)
            for number in numbers
            for bound in bounds
        )

    return is_within


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
    for key in ("config", "dataset", "geometry", "environment"):
        problem = _problem_within(document[key], _tree().keys[key], key, _LEVELS)
        if problem is not None:
            return problem
    problem = _problem_of_length(document["config"], document["metrics"])
    if problem is not None:
        return problem
    for name, value in document["metrics"].items():
        for rule in (_BOUNDED_METRIC, _METRICS.get(name, _BOUNDED_METRIC)):
            if value is not None and not rule.test(value):
                return _broken(f"metrics.{name}", rule, value)
    return None


def _problem_of_length(config: dict[str, object], metrics: dict[str, object]) -> str | None:
    """What would fill tables without end, or None."""
    flat = dotted(config)
    for name, keys in (("config", flat), ("metrics", metrics)):
        if len(keys) > _MOST:
            return _broken(name, _FEW_KEYS, keys)
    for key, value in flat.items():
        if isinstance(value, list) and len(value) > _MOST:
            return _broken(f"config.{key}", _SHORT, value)
    return None


@dataclass
class _Node:
    """The rule for a value, and those for what is within it: by key, or `every` item of a list."""

    rule: Rule | None = None
    keys: dict[str, _Node] = field(default_factory=dict)
    every: _Node | None = None


_FREE = _Node()
"""No rule, as for what a later version adds."""


@cache
def _tree() -> _Node:
    """All rules for what is within a record: one pass holds them against it."""
    root = _Node()
    for path, rule in {**dict(_typed(TrainConfig, "config")), **_NESTED}.items():
        node = root
        for part in path.split("."):
            node = node.keys.setdefault(part.removesuffix("[]"), _Node())
            if part.endswith("[]"):
                node.every = node.every or _Node()
                node = node.every
        node.rule = rule
    return root


def _problem_within(value: object, node: _Node, place: str, levels: int) -> str | None:
    """Which value breaks its rule or is more than its readers can count with, or None."""
    if node.rule is not None and not node.rule.test(value):
        return _broken(place, node.rule, value)
    if isinstance(value, (dict, list)):
        if levels == 0:
            return _broken(place, _SHALLOW, value)
        of_list = node.every or _FREE
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            child = node.keys.get(key, _FREE) if isinstance(key, str) else of_list
            within = f"{place}.{key}" if isinstance(key, str) else f"{place}[{key}]"
            problem = _problem_within(item, child, within, levels - 1)
            if problem is not None:
                return problem
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and not _is_number(value):
        return _broken(place, _BOUNDED, value)
    return None


def _broken(place: str, rule: Rule, value: object) -> str:
    # A key that somebody else wrote may be of any length and hold line breaks.
    shown = place if place.isprintable() and len(place) <= _SHOWN else _brief(place)
    return f"{shown} must {rule.words}, got {_brief(value)}"


def _brief(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        # Nested without end, or a whole number of more digits than Python prints.
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
