"""Check a record's redundant values against each other.

A damaged record, or one pieced together from two, may satisfy its schema and still be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from convscope.config.schema import FOREIGN
from convscope.geometry import (
    KEEP,
    ConvSpec,
    GeometryError,
    Graph,
    NetworkGeometry,
    Shape,
    convs_from_config,
    network_geometry,
    variant_label,
)
from convscope.networks import own_graph
from convscope.networks.matching import are_equal, reference_macs
from convscope.runs.record import RunRecord
from convscope.runs.usage import data_usage
from convscope.text import shorten

_SHOWN = 60
"""Most characters of a value in a message."""
_INEXACT = ("start", "padding_share")
"""Fractions among a layer's values, which another version may have rounded differently."""


def find_contradiction(record: RunRecord) -> str | None:
    """Return which two values of a record contradict each other; None if all agree.

    Raises:
        LookupError, TypeError, ValueError: A value that is needed for the comparison is missing.
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
    """Check that no key has a dot: `optim.lr` always means the key lr within optim."""
    for key, value in config.items():
        if "." in key or not key:
            yield f"config has a key named {key!r}"
        if isinstance(value, Mapping):
            yield from _of_keys(value)


def _of_data(record: RunRecord) -> Iterator[str]:
    """Compare the data set with the config's, and the images used with those available."""
    dataset, config = record.dataset, record.config["data"]
    for key in ("name", "fingerprint"):
        here, there = dataset[key], config.get(key)
        if here is not None and there is not None and here != there:
            yield _mismatch(f"dataset.{key}", here, f"config.data.{key}", there)
    uses = data_usage(record)
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
        # `same` with a stride above 1, which PyTorch refuses, has no padding in pixels.
        return
    convs = convs_from_config(conv)
    variant = variant_label(convs)
    # Older records have `same` in place of padding that differs between sides; `keep` stands for
    # what only the network tells.
    is_exact = "same" not in record.variant and KEEP not in record.variant
    if is_exact and record.variant != variant:
        yield _mismatch("variant", record.variant, "config.conv", variant)
    # The graph of a foreign network is known only to its code.
    if not record.geometry or record.config["model"].get("network") in FOREIGN:
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
                yield _mismatch(
                    f"{expected['name']}.{key}", layer[key], "its config and input", value
                )
    totals = record.params, record.macs
    if "classes" not in record.dataset and totals != (geometry.params, geometry.macs):
        yield f"no number of classes gives its {record.params} params and {record.macs} MACs"
    for key, total in (("params", geometry.params), ("macs", geometry.macs)):
        if getattr(record, key) != total:
            yield _mismatch(key, getattr(record, key), "its layers", total)
    if record.config.get("match") is not None:
        yield from _of_matching(record, geometry.macs)


def _of_matching(record: RunRecord, macs: int) -> Iterator[str]:
    """Compare the MACs of a run with `match=macs` with those of the reference."""
    model, classes = record.config["model"], len(record.dataset["classes"])
    reference = reference_macs(model, classes, tuple(record.dataset["input_shape"]))
    if reference is None or not are_equal(macs, reference):
        yield f"match is macs, and it has {macs} MACs where the reference has {reference}"


def _expected(record: RunRecord, convs: tuple[ConvSpec, ...]) -> Expected:
    channels, height, width = record.dataset["input_shape"]
    model = record.config["model"]

    def expected(classes: int) -> Expected:
        graph = own_graph(model, classes).with_specs(convs)
        return _geometry(graph, (channels, height, width))

    if "classes" in record.dataset:
        return expected(len(record.dataset["classes"]))
    # Older records lack the classes: their number follows from the head's MACs.
    one, _ = expected(1)
    return expected(1 + ((record.macs or 0) - one.macs) // model["channels"][-1])


Expected = tuple[NetworkGeometry, list[dict[str, object]]]


# Many runs of a study share a geometry.
@lru_cache(maxsize=1_000)
def _geometry(graph: Graph, shape: Shape) -> Expected:
    """Return a network's geometry, and its layers as in a record."""
    geometry = network_geometry(graph, shape)
    return geometry, geometry.as_records()


def _mismatch(name: str, value: object, other: str, expected: object) -> str:
    return f"{name} is {shorten(str(value), _SHOWN)}, by {other} it is {expected}"
