"""What run.json must hold: schema 1, key by key."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, get_args

SCHEMA = 1
Status = Literal["running", "finished", "interrupted", "failed", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)
REASONED = ("interrupted", "failed", "skipped")

DATASET_KEYS = ("name", "train", "val", "test", "input_shape", "fingerprint")
ENVIRONMENT_KEYS = ("git", "versions", "device", "threads", "precision")

_SHOWN = 60


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return datetime.fromisoformat(value).utcoffset() == timedelta(0)
    except ValueError:
        return False


def _is_identity(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _or_null(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _are_metrics(value: object) -> bool:
    return isinstance(value, dict) and all(map(_or_null(_is_number), value.values()))


def _are_layers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(layer, dict) and _is_text(layer.get("name")) for layer in value
    )


def _has(keys: tuple[str, ...]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and value.keys() >= set(keys)


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "id": (_is_identity, "be 64 hex digits"),
    "study": (_is_text, "be text"),
    "name": (_is_text, "be text"),
    "status": (lambda value: value in STATUSES, f"be one of {', '.join(STATUSES)}"),
    "reason": (_or_null(_is_text), "be text or null"),
    "variant": (_is_text, "be text"),
    "command": (_is_text, "be text"),
    "config": (lambda value: isinstance(value, dict), "be an object"),
    "dataset": (_has(DATASET_KEYS), f"be an object with {', '.join(DATASET_KEYS)}"),
    "geometry": (_are_layers, "be a list of objects with a name"),
    "params": (_or_null(_is_count), "be a whole number or null"),
    "macs": (_or_null(_is_count), "be a whole number or null"),
    "metrics": (_are_metrics, "be an object of numbers"),
    "resumed_from_epoch": (_is_count, "be a whole number"),
    "environment": (_has(ENVIRONMENT_KEYS), f"be an object with {', '.join(ENVIRONMENT_KEYS)}"),
    "started_at": (_is_time, "be a time in UTC"),
    "ended_at": (_or_null(_is_time), "be a time in UTC or null"),
    "duration_s": (_or_null(_is_number), "be a number or null"),
}


def problem_of(document: object) -> str | None:
    """Why this JSON value is no record, or None."""
    if not isinstance(document, dict) or "schema" not in document:
        return "it has no schema"
    schema = document["schema"]
    if schema != SCHEMA or isinstance(schema, bool):
        return f"schema must be {SCHEMA}, got {_brief(schema)}; is convscope too old?"
    for key, (rule, words) in _RULES.items():
        if key not in document:
            return f"{key} is missing"
        if not rule(document[key]):
            return f"{key} must {words}, got {_brief(document[key])}"
    unknown = sorted(document.keys() - _RULES.keys() - {"schema"})
    if unknown:
        return f"{unknown[0]} is not a key of schema {SCHEMA}"
    if (document["status"] in REASONED) != (document["reason"] is not None):
        return f"reason must say why a run is {' or '.join(REASONED)}, and be null otherwise"
    return None


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
