"""The identity of a run: a hash of its config that is equal for equal results."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from convscope.config.schema import AddedLater, TrainConfig, dotted, dotted_types

EXCLUDED = {
    "study": "selects which runs are compared, not what a run does",
    "output_dir": "folder of the results",
    "rerun": "whether an old result is reused",
    "repeat": "how many seeds; each run has its own",
    "max_repeat": "how many seeds at most; each run has its own",
    "settle": "which variants get more seeds",
    "margin": "which variants get more seeds",
    "budget": "when a sweep ends",
    "plan": "nothing is trained",
    "tune": "which key is tuned; each run has its own value",
    "tune_values": "which values are tried; each run has its own",
    "fail_fast": "whether a sweep goes on",
    "prune": "whether a run is ended early; one that finishes is the same",
    "latency": "whether more is measured once a run is finished",
    "diagnostics": "how much is measured once a run is finished",
    "throughput": "how speed is measured once a run is finished",
    "objective": "which variants a search tries, not what a run does",
    "trials": "how many variants a search tries",
    "data.root": "folder of the images, which the data set's fingerprint identifies",
    "data.cache": "folder of the decoded images",
    "trainer.enable_progress_bar": "display",
    "logger": "where metrics are logged",
}
"""Dotted keys that cannot change a result, with the reason; a group's key excludes all its keys."""


def identity(config: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of a resolved config without `EXCLUDED` and `AddedLater` keys.

    Configs of the same network have the same, however it was typed: see `one_spelling`.

    Args:
        config: Nested dicts of plain values: the conv in pixels (`geometry.convs_to_config`), the
            data set by name and fingerprint, precision and devices as actually used.

    Raises:
        TypeError: A value is not a dict, list, tuple, str, int, float, bool or None. Subclasses are
            refused too: an enum or a NumPy float may be printed differently by another version.
        ValueError: A float is not finite.
    """
    text = json.dumps(
        _plain(one_spelling(config), ""),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def one_spelling(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved config in which networks that are equal have the same values.

    A network has `pool_after=[]` where it has no pools, and then no kind of pools; where all
    strides are 1, there is no way to downsample.
    """
    if not isinstance(model := config.get("model"), Mapping):
        return dict(config)
    same: dict[str, Any] = {}
    if model.get("network", "stack") in ("stack", "resnet20") and (
        model.get("pool") == "none" or model.get("pool_after") == []
    ):
        same = {"pool_after": [], "pool": "max"}
    strides = config.get("conv", {}).get("stride")
    # Typed values, of variants without pixels, are numbers.
    if isinstance(strides, list | tuple) and all(one in ([1, 1], (1, 1)) for one in strides):
        same["downsample"] = "conv"
    return {**config, "model": {**model, **same}}


def _plain(value: object, key: str) -> object:
    if isinstance(value, Mapping):
        return _plain_group(value, key)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}[{index}]") for index, item in enumerate(value)]
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise TypeError(f"{key} must be a plain value, got {value!r} of type {type(value).__name__}")


def _plain_group(group: Mapping[Any, Any], key: str) -> dict[str, object]:
    plain: dict[str, object] = {}
    for name, value in group.items():
        if type(name) is not str:
            raise TypeError(f"{key or 'the config'} has a key that is no text: {name!r}")
        dotted = f"{key}.{name}" if key else name
        if dotted not in EXCLUDED and not is_as_before(dotted, value):
            plain[name] = _plain(value, dotted)
    return plain


def without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without what differs between the runs of a group.

    That is the seed, and with `vary=split` the split that is drawn by it.
    """
    others = {key: value for key, value in config.items() if key != "seed"}
    if config.get("vary") == "split":
        others["data"] = {**config["data"], "split_seed": None}
    return others


def group_of(config: Mapping[str, Any]) -> str:
    """Return the id of a run's group: 8 digits of the identity without the seed.

    Args:
        config: As for `identity`.
    """
    return identity(without_seed(config))[:8]


def config_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded config by dotted key; a key that was added later has its default there."""
    values = dotted(config)
    for key, (_, default) in _added_later().items():
        values.setdefault(key, default)
    return values


def is_as_before(key: str, value: object) -> bool:
    """Return whether a dotted key is one that older runs lack, and has the value that they had."""
    return (type(value), value) == _added_later().get(key)


@cache
def _added_later() -> dict[str, tuple[type, Any]]:
    """Return type and value at which a key that older runs lack is left out, by dotted key."""
    return {
        key: (type(rule.default), rule.default)
        for key, of in dotted_types(TrainConfig)
        for rule in of.rules
        if isinstance(rule, AddedLater)
    }
