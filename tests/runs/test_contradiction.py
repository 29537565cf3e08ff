"""A record whose values cannot all be true is named, with both of them."""

import copy
import dataclasses
from typing import Any

import pytest

from convscope.geometry import convs_to_config
from convscope.runs.contradiction import find_contradiction
from convscope.runs.record import RunRecord

from ..convs import parse_conv, stack_geometry

CLASSES = [str(number) for number in range(10)]


@pytest.fixture
def whole(record: RunRecord) -> RunRecord:
    """A finished run of two layers on 28x28 whose values agree."""
    convs = parse_conv(3, 2, 1, 2)
    geometry = stack_geometry((1, 28, 28), convs, [16, 32], [1], 10)
    return dataclasses.replace(
        record,
        variant="k3-s2-p1",
        config={
            "seed": 0,
            "conv": convs_to_config(convs),
            "model": {"channels": [16, 32], "pool_after": [1]},
            "data": {"name": "digits", "fingerprint": "f00d", "batch_size": 32},
            "trainer": {"max_epochs": 1},
        },
        dataset=record.dataset | {"classes": CLASSES},
        geometry=geometry.as_records(),
        params=geometry.params,
        macs=geometry.macs,
        metrics={"test_accuracy": 0.5, "best_val_accuracy": 0.5},
    )


def changed(record: RunRecord, place: str, value: Any) -> RunRecord:
    fields = copy.deepcopy({f.name: getattr(record, f.name) for f in dataclasses.fields(record)})
    *way, last = (int(part) if part.isdecimal() else part for part in place.split("/"))
    node: Any = fields
    for part in way:
        node = node[part]
    node[last] = value
    return RunRecord(**fields)


def test_a_record_that_agrees_with_itself_has_none(whole: RunRecord) -> None:
    assert find_contradiction(whole) is None


def test_an_older_record_without_its_classes_has_none(whole: RunRecord) -> None:
    dataset = {key: value for key, value in whole.dataset.items() if key != "classes"}
    assert find_contradiction(dataclasses.replace(whole, dataset=dataset)) is None


@pytest.mark.parametrize(("params", "macs"), [(5178, 1), (1, 102_272), (5178, 102_304)])
def test_totals_of_an_older_record_that_no_number_of_classes_gives_are_named(
    whole: RunRecord, params: int, macs: int
) -> None:
    dataset = {key: value for key, value in whole.dataset.items() if key != "classes"}
    older = dataclasses.replace(whole, dataset=dataset, params=params, macs=macs)
    says = f"no number of classes gives its {params} params and {macs} MACs"
    assert find_contradiction(older) == says


def test_an_older_record_that_calls_uneven_sides_same_has_none(whole: RunRecord) -> None:
    convs = parse_conv(4, 1, "same", 2)
    geometry = stack_geometry((1, 28, 28), convs, [16, 32], [1], 10)
    config = whole.config | {"conv": convs_to_config(convs)}
    older = dataclasses.replace(
        whole,
        variant="k4-s1-psame",
        config=config,
        geometry=geometry.as_records(),
        params=geometry.params,
        macs=geometry.macs,
    )
    assert find_contradiction(older) is None


# By hand: 28 -> 14 by stride 2, pooled 7, then 4; 3*3*1*16 = 144 weights, 144*14*14 = 28,224 MACs;
# 3*3*16*32 = 4,608 weights, 4,608*4*4 = 73,728 MACs; batch norm 2*48, head 33*10 and 320 MACs.
@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("variant", "k7-s1-p0", "variant is k7-s1-p0, by config.conv it is k3-s2-p1"),
        ("config/conv/stride", [[1, 1]] * 2, "variant is k3-s2-p1, by config.conv it is k3-s1-p1"),
        ("macs", 1, "macs is 1, by its layers it is 102272"),
        ("params", 10**12, "params is 1000000000000, by its layers it is 5178"),
        ("geometry/0/macs", 5, "conv1.macs is 5, by its config and input it is 28224"),
        (
            "geometry/1/out_shape",
            [16, 9, 9],
            "pool1.out_shape is [16, 9, 9], by its config and input it is [16, 7, 7]",
        ),
        (
            "geometry/2/receptive_field",
            [3, 3],
            "conv2.receptive_field is [3, 3], by its config and input it is [13, 13]",
        ),
        ("geometry/2/name", "conv9", "conv2.name is conv9, by its config and input it is conv2"),
        (
            "dataset/input_shape",
            [1, 10**12, 28],
            "conv1.in_shape is [1, 28, 28], by its config and input it is [1, 1000000000000, 28]",
        ),
        ("dataset/input_shape", None, "it is finished, and dataset.input_shape is not known"),
        ("dataset/test", None, "it is finished, and dataset.test is not known"),
        ("geometry", [], "it is finished, and has no geometry"),
        ("dataset/name", "mnist", "dataset.name is mnist, by config.data.name it is digits"),
        (
            "dataset/fingerprint",
            "beef",
            "dataset.fingerprint is beef, by config.data.fingerprint it is f00d",
        ),
        ("dataset/test", 0, "it has a test_accuracy, of 0 images"),
        ("dataset/used", {"test": 500}, "dataset.used.test is 500, of 360 in dataset.test"),
        ("dataset/used", {"val": 0}, "it has a best_val_accuracy, of 0 images"),
        (
            "dataset/used",
            {"test": 100, "most_frequent": 101},
            "dataset.used.most_frequent is 101, of 100 in dataset.used.test",
        ),
        ("config/data.batch_size", 3, "config has a key named 'data.batch_size'"),
        ("config/new", {"": 1}, "config has a key named ''"),
    ],
)
def test_two_values_that_cannot_both_be_true_are_named(
    whole: RunRecord, place: str, value: Any, says: str
) -> None:
    assert find_contradiction(changed(whole, place, value)) == says


def test_layers_missing_or_too_many_are_counted(whole: RunRecord) -> None:
    fewer = dataclasses.replace(whole, geometry=whole.geometry[:2])
    assert find_contradiction(fewer) == "geometry has 2 layers, by its config it has 3"


def test_what_is_not_known_of_a_run_that_did_not_finish_contradicts_nothing(
    whole: RunRecord,
) -> None:
    failed = dataclasses.replace(
        whole,
        status="failed",
        reason="no data",
        dataset=dict.fromkeys(whole.dataset) | {"classes": CLASSES, "used": {}},
        geometry=[],
        params=None,
        macs=None,
        metrics={},
    )
    assert find_contradiction(failed) is None
