"""Any list of overrides means what it means to `hydra.compose`, however many are composed."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from convscope.config.compose import Composer, config_dir, register_schema
from convscope.config.errors import check_keys
from convscope.config.schema import TrainConfig, check_ranges
from convscope.errors import UserError

VALUES = {
    "conv.stride": ["1", "2", "[2,1,1]", "3x5", "${seed}", "'2'", "null"],
    "conv.kernel_size": ["3", "5", "${conv.stride}", "[3,5,3]", "{a: 1}"],
    "conv.padding": ["half", "0", "[1,half,same]"],
    "conv": ["{stride: 2}", "{stride: 3, padding: 0}", "{strid: 2}"],
    "seed": ["0", "7", "${conv.stride}", "-1", "abc", "1.5", "${optim.lr}"],
    "optim.lr": ["0.1", "1e-3", "${optim.weight_decay}", "0"],
    "optim": ["{lr: 0.5}", "{lr: 0.25, warmup: 0.5}"],
    "data.batch_size": ["64", "${data.image_size}", "0"],
    "data.root": ["there", "${oc.env:HOME}", "${study}/x"],
    "data": ["{batch_size: 16}", "{name: digits, flip: true}"],
    "model.channels": ["[4,8]", "[8]", "[4,8,16,32]", "${model.pool_after}"],
    "model.pool_after": ["[1,2]", "[]"],
    "trainer.max_epochs": ["2", "null"],
    "trainer.max_steps": ["9", "null"],
    "trainer.max_epoch": ["2"],
    "study": ["one", "${data.name}", "'a b'"],
    "plan": ["true", "false"],
    "strid": ["1"],
    "trainer": ["{max_epochs: 3}", "{max_epoch: 3}"],
    "seed.x": ["1"],
    "a.b": ["1"],
}
CHOICES = {
    "conv": ["k5-s2-p2", "k3-s1-p0", "k1-s1-p0", "none"],
    "data": ["digits", "cifar10", "mnist"],
    "model": ["wide", "deep", "base"],
    "experiment": ["tutorial", "cifar10", "null"],
    "sweep": ["grid", "grid-seeds"],
    "optim": ["adamw"],
    "logger": ["csv", "many", "null"],
    "/conv": ["k5-s2-p2"],
    "conv@model": ["k5-s2-p2"],
}


@st.composite
def typed(draw: st.DrawFn) -> str:
    """One override, most of them legal."""
    table = draw(st.sampled_from([VALUES, VALUES, CHOICES]))
    key = draw(st.sampled_from(sorted(table)))
    prefix = draw(st.sampled_from(["", "", "", "", "++", "+", "~"]))
    if prefix == "~" and draw(st.booleans()):
        return f"~{key}"
    return f"{prefix}{key}={draw(st.sampled_from(table[key]))}"


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schema()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


ALL = Composer()
"""Composes every list, as in a sweep: no list may leave a trace in the next."""


REFUSALS = (UserError, HydraException, OmegaConfBaseException, ValueError)


def by_hydra(overrides: list[str]) -> TrainConfig | None:
    """What `hydra.compose` makes of them, held to the schema; None where that is refused."""
    try:
        composed = compose("train", overrides=overrides)
        check_keys(cast(dict[str, Any], OmegaConf.to_container(composed, resolve=False)))
        # Unresolved: loggers may name what is known only of a run.
        logger = OmegaConf.to_container(composed.logger, resolve=False)
        composed.logger = {}
        config = cast(TrainConfig, OmegaConf.to_object(composed))
        config.logger = cast(dict[str, Any], logger)
        check_ranges(config, {})
    except REFUSALS:
        return None
    return config


def by_us(overrides: list[str]) -> TrainConfig | None:
    try:
        return ALL.compose(overrides)
    except UserError:
        return None


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.lists(typed(), max_size=6))
def test_any_list_of_overrides_is_composed_as_hydra_does(overrides: list[str]) -> None:
    assert by_us(overrides) == by_hydra(overrides)


@pytest.mark.parametrize(
    ("overrides", "stride"),
    [
        (["conv.stride=2", "++conv.stride=3"], 3),
        (["++conv.stride=3", "conv.stride=2"], 2),
        (["conv.stride=3", "conv={stride: 2}"], 2),
        (["conv={stride: 2}", "conv.stride=3"], 3),
        (["conv.stride=3", "conv=k5-s2-p2"], 3),
        (["seed=3", "conv.stride=${seed}"], 3),
        (["conv.stride=2", "conv.stride=${seed}", "seed=5"], 5),
        (["conv.stride=4", "experiment=tutorial"], 4),
    ],
    ids=str,
)
def test_the_last_one_counts_whatever_its_form(overrides: list[str], stride: int) -> None:
    assert ALL.compose(overrides).conv.stride == stride
