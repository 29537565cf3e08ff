import dataclasses
import enum
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta

from convscope.config.schema import AddedLater, OptimConfig, TrainConfig, check_fields
from convscope.errors import UserError
from convscope.runs import identity as identity_module
from convscope.runs.identity import EXCLUDED, identity

CONFIG: dict[str, Any] = {
    "conv": {"kernel_size": [[3, 3]], "stride": [[2, 2]], "padding": [[[1, 1], [1, 1]]]},
    "data": {"name": "digits", "root": "data", "fingerprint": "f00d", "image_size": None},
    "optim": {"lr": 0.001},
    "trainer": {"max_epochs": 5, "enable_progress_bar": True},
    "seed": 0,
    "study": "a",
    "output_dir": "outputs",
    "rerun": False,
    "repeat": 1,
    "plan": False,
    "objective": "val/accuracy",
    "trials": 30,
    "compile": False,
}


def changed(dotted: str, value: object) -> dict[str, Any]:
    config = {key: dict(part) if isinstance(part, dict) else part for key, part in CONFIG.items()}
    *groups, name = dotted.split(".")
    part = config
    for group in groups:
        part = part[group]
    part[name] = value
    return config


def test_is_the_sha256_of_canonical_json() -> None:
    text = b'{"a":[1,2.5,true,null,"x"],"b":{"c":0.001}}'
    config = {"b": {"c": 1e-3}, "study": "s", "a": (1, 2.5, True, None, "x")}
    assert identity(config) == hashlib.sha256(text).hexdigest()


def test_does_not_change_between_versions_of_the_project() -> None:
    assert identity({"seed": 0}) == (
        "bd0488843468e63c62bb6d1df790f0a83de90616c0906e9dbd3275d3b4100d97"
    )


def test_order_of_keys_spelling_of_floats_and_kind_of_sequence_do_not_matter() -> None:
    assert identity(OrderedDict(reversed(CONFIG.items()))) == identity(CONFIG)
    assert identity(changed("optim.lr", 1e-3)) == identity(CONFIG)
    assert identity(changed("conv.stride", ((2, 2),))) == identity(CONFIG)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("study", "b"),
        ("output_dir", "/elsewhere"),
        ("rerun", True),
        ("repeat", 5),
        ("plan", True),
        ("throughput", "exclusive"),
        ("latency", True),
        ("fail_fast", True),
        ("prune", True),
        ("objective", ["val/accuracy", "summary/macs"]),
        ("trials", 5),
        ("data.root", Path("/elsewhere")),
        ("data.cache", "/elsewhere"),
        ("trainer.enable_progress_bar", False),
        ("logger", {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger"}}),
    ],
)
def test_what_cannot_change_the_result_is_left_out(key: str, value: object) -> None:
    assert key in EXCLUDED
    assert identity(changed(key, value)) == identity(CONFIG)


def test_excludes_nothing_else_and_says_why_for_each() -> None:
    assert set(EXCLUDED) == {
        "study",
        "output_dir",
        "repeat",
        "plan",
        "throughput",
        "latency",
        "diagnostics",
        "fail_fast",
        "prune",
        "max_repeat",
        "settle",
        "margin",
        "budget",
        "tune",
        "tune_values",
        "objective",
        "trials",
        "rerun",
        "data.root",
        "data.cache",
        "trainer.enable_progress_bar",
        "logger",
    }
    assert all(EXCLUDED.values())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("seed", 0.0),
        ("compile", True),
        ("compile", 0),
        ("optim.lr", 0.001 + 1e-18),
        ("data.fingerprint", "beef"),
        ("data.image_size", 32),
        ("conv.stride", [[1, 2]]),
        ("trainer.max_epochs", 6),
        ("optim.study", "only the top key is excluded"),
        ("root", "data"),
    ],
)
def test_everything_else_changes_it(key: str, value: object) -> None:
    assert identity(changed(key, value)) != identity(CONFIG)


@dataclasses.dataclass
class LaterOptim(OptimConfig):
    beta2: Annotated[float, Meta(gt=0, lt=1), AddedLater(0.999)]


@dataclasses.dataclass
class LaterConfig(TrainConfig):
    optim: LaterOptim
    nesterov: Annotated[bool, AddedLater(False)]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A schema with two keys that older runs lack."""
    monkeypatch.setattr(identity_module, "TrainConfig", LaterConfig)
    identity_module._added_later.cache_clear()
    yield
    identity_module._added_later.cache_clear()


@pytest.mark.usefixtures("later")
def test_a_key_added_later_changes_no_identity_at_its_default() -> None:
    assert identity(changed("optim.beta2", 0.999)) == identity(CONFIG)
    assert identity(changed("nesterov", False)) == identity(CONFIG)
    assert identity(changed("optim.beta2", 0.99)) != identity(CONFIG)
    assert identity(changed("nesterov", True)) != identity(CONFIG)
    # Another type, and the same name in another group, are other values.
    assert identity(changed("nesterov", 0)) != identity(CONFIG)
    assert identity(changed("trainer.beta2", 0.999)) != identity(CONFIG)


def test_a_key_that_is_not_marked_is_hashed_at_every_value() -> None:
    assert identity(changed("optim.beta2", 0.999)) != identity(CONFIG)


def test_a_key_added_later_is_held_to_its_range() -> None:
    check_fields(LaterOptim("adamw", 1.0, 0.0, 0.0, 0.5, 0.0, beta2=0.999), {})
    with pytest.raises(UserError, match=r"^beta2 must be below 1, got 1.5$"):
        check_fields(LaterOptim("adamw", 1.0, 0.0, 0.0, 0.5, 0.0, beta2=1.5), {})


class Color(enum.StrEnum):
    RED = "red"


class Float(float):
    """As NumPy's float64 is."""


@pytest.mark.parametrize("value", [Path("x"), {1}, b"x", Color.RED, Float(0.5), 1j, object()])
def test_an_unknown_type_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=r"optim\.extra\[1\] must be a plain value, got"):
        identity(changed("optim.extra", [0, value]))


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="optim has a key that is no text: 1"):
        identity({"optim": {1: 2}})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        identity({"lr": value})
