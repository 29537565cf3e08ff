"""The schema and the YAML files hold one thing each, once: meaning here, values there."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from convscope.config.compose import compose_config, config_dir, register_schema
from convscope.config.help import field_meanings
from convscope.config.schema import ConvConfig, ModelConfig, TrainConfig, dotted, format_value
from convscope.errors import UserError

GROUPS: dict[str, Any] = {
    name: kind
    for name, kind in get_type_hints(TrainConfig).items()
    if dataclasses.is_dataclass(kind)
}
FILES = sorted(
    # What lies there says what Hydra does, and nothing of a run.
    file
    for file in config_dir().rglob("*.yaml")
    if config_dir() / "hydra" not in file.parents
)


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    """One for all: half the time of a config."""
    GlobalHydra.instance().clear()
    register_schema()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


def values(file: Path) -> dict[str, Any]:
    """A YAML file's own values by dotted key, without what it tells Hydra."""
    content = yaml.safe_load(file.read_text())
    content = {key: value for key, value in content.items() if key not in ("defaults", "hydra")}
    group = file.parent.name
    if group == "logger":
        # What a logger takes is its class's to say.
        return {group: content}
    return dotted(content, f"{group}." if group in GROUPS else "")


def schema_keys() -> set[str]:
    keys = {f"{group}.{f.name}" for group, kind in GROUPS.items() for f in dataclasses.fields(kind)}
    return keys | {f.name for f in dataclasses.fields(TrainConfig)} - GROUPS.keys()


REGISTERED: dict[tuple[type, str], object] = {
    (ConvConfig, "dilation"): 1,
    (ConvConfig, "padding_mode"): "zeros",
    (ModelConfig, "network"): "stack",
    (ModelConfig, "name"): None,
    (ModelConfig, "target"): None,
    (ModelConfig, "vary"): "all",
    (ModelConfig, "drop"): [],
    (ModelConfig, "pool_kernel"): 2,
    (ModelConfig, "pool_stride"): 2,
    (ModelConfig, "pool_padding"): 0,
    (ModelConfig, "pool"): "max",
    (ModelConfig, "downsample"): "conv",
    (ModelConfig, "matched_from"): [],
}
"""Values that a preset need not give: keys that presets of users and older runs lack."""


def test_every_key_has_a_docstring_and_no_value_but_a_registered_one() -> None:
    for kind in (TrainConfig, *GROUPS.values()):
        fields = [f for f in dataclasses.fields(kind) if f.name not in GROUPS]
        assert list(field_meanings(kind)) == [f.name for f in fields], kind
        for doc in field_meanings(kind).values():
            assert doc.endswith("."), doc
        for field in dataclasses.fields(kind):
            default = REGISTERED.get((kind, field.name), dataclasses.MISSING)
            if isinstance(default, list):
                assert field.default_factory is list
                assert default == []
            else:
                assert field.default is default
                assert field.default_factory is dataclasses.MISSING


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_yaml_key_is_in_the_schema(file: Path) -> None:
    assert set(values(file)) <= schema_keys()


def test_every_key_has_one_default_value() -> None:
    defaults = [
        *("train", "conv/k3-s1-p1", "data/mnist", "model/base", "optim/adamw"),
        *("trainer/default", "logger/tensorboard"),
    ]
    given = [key for name in defaults for key in values(config_dir() / f"{name}.yaml")]
    registered = [
        f"{group}.{key}" for group, kind in GROUPS.items() for of, key in REGISTERED if of is kind
    ]
    assert sorted([*given, *registered]) == sorted(schema_keys())


def test_the_groups_are_the_folders() -> None:
    folders = {file.parent.name for file in FILES} - {config_dir().name}
    assert folders == {*GROUPS, "logger", "experiment", "sweep"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr=0", "optim.lr must be above 0, got 0"),
        ("optim.lr=-1e-3", "optim.lr must be above 0, got -1e-3"),
        ("optim.lr=nan", "optim.lr must be a finite number, got nan"),
        ("optim.warmup=1", "optim.warmup must be below 1, got 1"),
        ("optim.name=adam", "optim.name must be one of adamw, sgd, muon, got adam"),
        ("optim.label_smoothing=1", "optim.label_smoothing must be below 1, got 1"),
        (
            "data.alternate_flip=true",
            "data.alternate_flip must be false with data.flip=false, got true",
        ),
        (
            "optim.momentum=0.9",
            "optim.momentum must be 0 with optim.name=adamw, which has none, got 0.9",
        ),
        ("data.val_fraction=1.0", "data.val_fraction must be below 1, got 1.0"),
        ("seed=4294967296", "seed must be at most 4294967295, got 4294967296"),
        ("trainer.max_time=90", "trainer.max_time must be written DD:HH:MM:SS and above zero"),
        ("trainer.max_time=00:00:00:00", "above zero, got 00:00:00:00"),
        ("trainer.precision=16", "precision must be one of auto, 32-true, bf16-mixed, got 16"),
        (
            "trainer.limit_train_batches=true",
            "must be a count (integer) or a share up to 1.0, got true",
        ),
        ("trainer.limit_val_batches=1.5", "a share up to 1.0, got 1.5"),
        ("trainer.limit_test_batches=null", "a share up to 1.0, got null"),
        ("trainer.fast_dev_run=maybe", "must be an integer, true or false, got maybe"),
        ("model.channels=[]", "model.channels must name at least one layer, got []"),
        ("model.network=custom", "model.channels and model.pool_after must be [] with"),
        ("model.channels=[16,0]", "model.channels must be at least 1, got [16,0]"),
        ("model.channels=[[1]]", "model.channels must be a list of integers, got [[1]]"),
        ("model.pool_after=[4]", "model.pool_after must name conv layers 1 to 3, got 4"),
        ("model.pool_after=[2,1]", "must name each layer once and in order, got [2, 1]"),
        ("model.pool_after=[1,1]", "must name each layer once and in order, got [1, 1]"),
        ("model.pool=mean", "model.pool must be one of max, avg, blur, none, got mean"),
        ("model.downsample=pool", "model.downsample must be one of conv, blur, got pool"),
        ("model.channels=[null]", "model.channels must be a list of integers"),
        ("output_dir=", "output_dir must be written as a folder's path, got ''"),
        ("output_dir='a\nb'", "output_dir must be written as a folder's path, got \"'a\\nb'\""),
    ],
)
def test_a_value_out_of_range_is_named_as_it_was_typed(override: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        compose_config([override])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "override",
    [
        *("trainer.limit_train_batches=1", "trainer.limit_train_batches=1.0"),
        *("trainer.limit_train_batches=0.5", "trainer.fast_dev_run=3", "trainer.fast_dev_run=true"),
        *("trainer.max_time=00:00:01:30", "trainer.gradient_clip_val=0.5", "seed=4294967295"),
        *("model.pool_after=[]", "model.pool_after=[1,3]", "data.image_size=32"),
    ],
)
def test_values_at_the_edge_of_a_range_are_taken_as_they_are(override: str) -> None:
    key, _, typed = override.partition("=")
    value = dotted(dataclasses.asdict(compose_config([override])))[key]
    assert value == (typed if key == "trainer.max_time" else yaml.safe_load(typed))
    assert type(value) is type(typed if key == "trainer.max_time" else yaml.safe_load(typed))


def test_null_epochs_need_steps() -> None:
    with pytest.raises(UserError, match="max_epochs must be a number where trainer.max_steps is"):
        compose_config(["trainer.max_epochs=null"])
    steps = compose_config(["trainer.max_epochs=null", "trainer.max_steps=10"]).trainer
    assert (steps.max_epochs, steps.max_steps) == (None, 10)


def test_every_device_has_an_equal_part_of_a_batch() -> None:
    with pytest.raises(
        UserError, match=r"^data.batch_size must be a multiple of the 3 devices, got 256$"
    ):
        compose_config(["trainer.devices=3", "data.batch_size=256"])
    assert compose_config(["trainer.devices=4", "data.batch_size=256"]).trainer.devices == 4


def test_brief_values_have_no_brackets() -> None:
    assert [format_value(value) for value in ([16, 32], 0.01, None, True)] == [
        *("16-32", "0.01", "None", "True")
    ]
