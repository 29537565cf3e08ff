"""Overrides to a config: presets, experiments, near misses, and other programs' Hydra."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from convscope.config.compose import compose_config, config_dir
from convscope.data.datasets import DATASETS
from convscope.errors import UserError

CONV = sorted(file.stem for file in (config_dir() / "conv").glob("k[0-9]*.yaml"))


@pytest.fixture(autouse=True)
def no_hydra() -> None:
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("name", CONV)
def test_a_conv_preset_has_the_values_that_its_name_says(name: str) -> None:
    conv = compose_config([f"conv={name}"]).conv
    numbers = re.fullmatch(r"k(\d)-s(\d)-p(\d)", name)
    assert numbers is not None
    assert (conv.kernel_size, conv.stride, conv.padding) == tuple(map(int, numbers.groups()))


def test_the_presets_of_the_tutorial_are_there_and_k3_s1_p1_is_the_default() -> None:
    assert {"k3-s1-p0", "k5-s2-p0", "k3-s1-p1"} <= set(CONV)
    assert compose_config([]).conv == compose_config(["conv=k3-s1-p1"]).conv


@pytest.mark.parametrize(
    ("name", "channels", "pool_after"),
    [
        ("base", [16, 32, 64], [1]),
        ("wide", [32, 64, 128], [1]),
        ("deep", [64, 64, 128, 128, 256, 256], [2, 4]),
    ],
)
def test_model_presets(name: str, channels: list[int], pool_after: list[int]) -> None:
    model = compose_config([f"model={name}"]).model
    assert (model.channels, model.pool_after) == (channels, pool_after)


@pytest.mark.parametrize("name", ["auto", *DATASETS, "image_folder"])
def test_a_data_preset_is_the_data_set_of_its_name(name: str) -> None:
    data = compose_config([f"data={name}"]).data
    assert data.name == name
    assert data.batch_size == (32 if name == "digits" else 256)
    # Whoever has own images knows whether a mirrored one is still of its class.
    coloured = name in ("cifar10", "cifar100")
    assert (data.flip, data.shift) == (coloured or name == "fashion_mnist", 2 if coloured else 0)


def test_the_experiment_cifar10() -> None:
    config = compose_config(["experiment=cifar10"])
    assert (config.data.name, config.data.flip, config.data.shift) == ("cifar10", True, 2)
    assert (config.model.channels, config.trainer.max_epochs) == ([32, 64, 128], 10)
    assert compose_config(["experiment=cifar10", "model=base"]).model.channels == [16, 32, 64]


def test_the_experiment_tutorial_is_one_layer_without_padding() -> None:
    config = compose_config(["experiment=tutorial"])
    conv = config.conv
    assert (conv.kernel_size, conv.stride, conv.padding) == (3, 1, 0)
    assert (config.model.channels, config.model.pool_after) == ([10], [1])


def test_the_data_root_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVSCOPE_DATA", raising=False)
    assert compose_config([]).data.root == "data"
    monkeypatch.setenv("CONVSCOPE_DATA", "/somewhere/else")
    assert compose_config([]).data.root == "/somewhere/else"


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("conv.strid=2", "conv.stride"),
        ("+conv.strid=2", "conv.stride"),
        ("++conv.paddings=1", "conv.padding"),
        ("stride=2", "conv.stride"),
        ("kernel_size=5", "conv.kernel_size"),
        ("lr=0.1", "optim.lr"),
        ("epochs=3", "trainer.max_epochs"),
        ("batch_size=64", "data.batch_size"),
        ("conv/stride=2", "conv.stride"),
        ("trainer={max_epoch: 3}", "trainer.max_epochs"),
        ("modle=wide", "model"),
    ],
)
def test_a_misspelt_key_gets_the_near_miss(typed: str, near: str) -> None:
    with pytest.raises(UserError, match="is not a key of the config") as refused:
        compose_config([typed])
    assert str(refused.value).splitlines()[1] == f"did you mean {near}?"


def test_a_key_like_no_other_gets_its_siblings() -> None:
    with pytest.raises(UserError) as refused:
        compose_config(["conv.zzz=2"])
    assert str(refused.value).splitlines() == [
        "conv.zzz is not a key of the config",
        "conv has conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.padding_mode",
    ]


def test_it_composes_beside_another_programs_hydra(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("theirs: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert compose_config(["conv.stride=2"]).conv.stride == 2
        with pytest.raises(UserError, match="conv.strid is not a key"):
            compose_config(["conv.strid=2"])
        assert compose("train") == {"theirs": 1}
    assert not GlobalHydra.instance().is_initialized()
