"""What a record says more than once, and whether it says the same each time.

A damaged record, or one copied together from two, may hold to every rule of its schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from convscope.geometry import (
    ConvSpec,
    GeometryError,
    NetworkGeometry,
    convs_from_config,
    network_geometry,
    variant_label,
)
from convscope.runs.record import RunRecord
from convscope.runs.used import used
from convscope.text import shorten

_SHOWN = 60
"""Characters of a value."""
_INEXACT = ("start", "padding_share")
"""Of a layer: fractions, which another version may have rounded otherwise."""


def contradiction(record: RunRecord) -> str | None:
    """Say which two values of a record cannot both be true; None where all agree.

    Raises:
        LookupError, TypeError, ValueError: the record lacks what its values are compared with.
    """
    parts = _of_status(record), _of_keys(record.config), _of_data(record), _of_geometry(record)
    return next(chain.from_iterable(parts), None)


def _of_status(record: RunRecord) -> Iterator[str]:
    if record.status == "finished":
        for key in ("train", "val", "test", "input_shape"):
            if record.dataset[key] is None:
                yield f"it is finished, and dataset.{key} is not known"
        if not record.geometry:
            yield "it is finished, and has no geometry"


def _of_keys(config: Mapping[str, Any]) -> Iterator[str]:
    """`optim.lr` is the key lr within optim, and nothing else."""
    for key, value in config.items():
        if "." in key or not key:
            yield f"config has a key named {key!r}"
        if isinstance(value, Mapping):
            yield from _of_keys(value)


def _of_data(record: RunRecord) -> Iterator[str]:
    """Compare with the data set that the config names, and images used with those there are."""
    dataset, config = record.dataset, record.config["data"]
    for key in ("name", "fingerprint"):
        here, there = dataset[key], config.get(key)
        if here is not None and there is not None and here != there:
            yield _two(f"dataset.{key}", here, f"config.data.{key}", there)
    uses = used(record)
    bounds = [(part, f"dataset.{part}", dataset[part]) for part in ("train", "val", "test")]
    for part, name, most in [*bounds, ("most_frequent", "dataset.used.test", uses["test"])]:
        number = uses[part]
        if number is not None and most is not None and number > most:
            yield f"dataset.used.{part} is {number:,}, of {most:,} in {name}"
    for metric, part in (("test_accuracy", "test"), ("best_val_accuracy", "val")):
        if record.metrics.get(metric) is not None and uses[part] == 0:
            yield f"it has a {metric}, of 0 images"


def _of_geometry(record: RunRecord) -> Iterator[str]:
    conv = record.config["conv"]
    if "same" in conv["padding"]:
        # With a stride above 1, which PyTorch refuses: what was typed has no pixels.
        return
    convs = convs_from_config(conv)
    variant = variant_label(convs)
    # Older records write `same` where the sides differ.
    if record.variant != variant and "same" not in record.variant:
        yield _two("variant", record.variant, "config.conv", variant)
    if not record.geometry:
        return
    if record.dataset["input_shape"] is None:
        yield "it has a geometry, and dataset.input_shape is not known"
    try:
        geometry, layers = _expected(record, convs)
    except GeometryError as error:
        yield f"it has a geometry, and its config has none: {error}"
        return
    if len(layers) != len(record.geometry):
        yield f"geometry has {len(record.geometry)} layers, by its config it has {len(layers)}"
    for layer, expected in zip(record.geometry, layers, strict=True):
        for key, value in expected.items():
            if key in layer and key not in _INEXACT and layer[key] != value:
                yield _two(f"{expected['name']}.{key}", layer[key], "its config and input", value)
    totals = record.params, record.macs
    if "classes" not in record.dataset and totals != (geometry.params, geometry.macs):
        yield f"no number of classes gives its {record.params} params and {record.macs} MACs"
    for key, total in (("params", geometry.params), ("macs", geometry.macs)):
        if getattr(record, key) != total:
            yield _two(key, getattr(record, key), "its layers", total)


def _expected(record: RunRecord, convs: tuple[ConvSpec, ...]) -> Expected:
    channels, height, width = record.dataset["input_shape"]
    model = record.config["model"]
    network = (channels, height, width), convs, tuple(model["channels"]), tuple(model["pool_after"])
    if "classes" in record.dataset:
        return _geometry(*network, len(record.dataset["classes"]))
    # Older records lack them: the head's MACs tell how many.
    one, _ = _geometry(*network, 1)
    return _geometry(*network, 1 + ((record.macs or 0) - one.macs) // model["channels"][-1])


Expected = tuple[NetworkGeometry, list[dict[str, object]]]


# The runs of a study have few geometries among them.
@lru_cache(maxsize=1_000)
def _geometry(
    shape: tuple[int, int, int],
    convs: tuple[ConvSpec, ...],
    channels: tuple[int, ...],
    pool_after: tuple[int, ...],
    classes: int,
) -> Expected:
    """Return a network, and its layers as records have them."""
    geometry = network_geometry(shape, convs, channels, pool_after, classes)
    return geometry, geometry.as_records()


def _two(name: str, value: object, other: str, expected: object) -> str:
    return f"{name} is {shorten(str(value), _SHOWN)}, by {other} it is {expected}"
