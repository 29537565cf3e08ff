"""Hydra's edge: overrides in, a checked `TrainConfig` out, and every error as one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from convscope.config import TrainConfig, as_typed, check_ranges
from convscope.errors import UserError
from convscope.help import help_node

CONFIG_NAME = "train"
_TYPE_WORDS: dict[object, str] = {
    Any: "a single value",
    bool: "true or false",
    int: "an integer",
    int | None: "an integer or null",
    float: "a number",
    float | None: "a number or null",
    list[int]: "a list of integers such as [16,32,64]",
    str: "text",
    str | None: "text or null",
}
_NO_NAME = re.compile(r"\[.*|null|true|false|[-+]?[0-9._]+(e[-+]?[0-9]+)?", re.IGNORECASE)
"""What is no name of a choice, for Hydra ends in errors that are not its own."""


def is_explained(error: BaseException) -> bool:
    """Whether `explain` has words for an error, so that it is the user's to mend."""
    return isinstance(error, HydraException | OmegaConfBaseException)


def config_dir() -> Path:
    """Folder of the YAML files: inside an installed wheel, beside `src/` in a clone."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"


def register_schema() -> None:
    """Give Hydra the typed schema, the help page and the sweeper. May be called twice."""
    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    store.store(group="hydra/help", name="convscope", node=help_node())
    store.store(
        group="hydra/sweeper",
        name="convscope",
        node={"_target_": "hydra_plugins.convscope.ConvScopeSweeper"},
    )


def compose_config(overrides: Sequence[str]) -> TrainConfig:
    """The config that these overrides make, checked key by key and range by range.

    Args:
        overrides: as on the command line: `["conv.stride=2", "data=mnist"]`.

    Raises:
        UserError: a key, group or value that is not legal.
    """
    check_choices(overrides)
    with _explained(overrides), _hydra():
        composed = compose(CONFIG_NAME, overrides=list(overrides))
    return typed_config(composed, overrides)


@contextmanager
def _explained(overrides: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_explained(error):
            raise
        raise UserError(explain(error, overrides)) from error


def check_choices(overrides: Sequence[str]) -> None:
    """Refuse a group's choice that is no name.

    Raises:
        UserError: names the group and what was typed.
    """
    groups = [key for key, kind in _known_keys().items() if is_dataclass(kind)]
    for key, value in _typed(overrides).items():
        if not key:
            raise UserError(f"cannot read the override ={value}: write KEY=VALUE")
        if key in groups and _NO_NAME.fullmatch(value):
            raise UserError(
                f"{key} must be the name of one of its choices, got {value}: see --help"
            )


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra on our configs: the command line's own, else one for the moment.

    Another program's Hydra, which has other configs, is put aside meanwhile.
    """
    running = GlobalHydra.instance()
    if running.is_initialized() and any(
        source.path.endswith(str(config_dir()))
        for source in running.config_loader().get_search_path().get_path()
    ):
        yield
        return
    before = running.hydra
    running.clear()
    register_schema()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before


def typed_config(composed: DictConfig, overrides: Sequence[str]) -> TrainConfig:
    """Turn what Hydra composed of these overrides into the dataclasses, holding key and range.

    Raises:
        UserError: a key that the schema lacks, or a value of the wrong type or out of range.
    """
    node = composed.copy()
    with open_dict(node):
        node.pop("hydra", None)
    unknown = sorted(set(_keys(OmegaConf.to_container(node, resolve=False))) - set(_known_keys()))
    if unknown:
        raise UserError(_unknown_key(unknown[0]))
    with _explained(overrides):
        config = cast(TrainConfig, OmegaConf.to_object(node))
    check_ranges(config, _typed(overrides))
    return config


def _typed(overrides: Sequence[str]) -> dict[str, str]:
    """What was written behind each key; the last one counts, as in Hydra."""
    pairs = [override.lstrip("+").partition("=") for override in overrides]
    return {key: as_typed(value) for key, equals, value in pairs if equals}


def explain(error: BaseException, overrides: Sequence[str]) -> str:
    """One line, two where a fix is known, that says what to change.

    Args:
        overrides: what was typed, which messages show as it was.
    """
    typed = _typed(overrides)
    for cause in _causes(error):
        if isinstance(cause, MissingConfigException):
            return _missing_config(cause)
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return _bad_key_or_value(cause, typed)
    first = str(error).strip().splitlines()[0]
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read the override {as_typed(error.override)}\n"
            "write KEY=VALUE, lists as [1,2,3], unusual characters in quotes: 'study=\"größer\"'"
        )
    twice = re.match(r"Multiple values for (\w+)\.", first)
    if twice:
        group = twice[1]
        return f"{group} has a choice already\nwrite {group}={typed.get(group, 'CHOICE')} without +"
    if "Ambiguous value" in first:
        return f"{first}\nadd -m to run one job per value, or write a list as [1,2,3]"
    return first


def _missing_config(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = sorted(error.options or [])
    if not options:
        return str(error).strip().splitlines()[0]
    return f"{group} must be one of {', '.join(options)}, got {as_typed(choice)}" + _near(
        choice, options, prefix=f"{group}="
    )


def _bad_key_or_value(error: OmegaConfBaseException, typed: Mapping[str, str]) -> str:
    key = str(error.full_key).partition("[")[0]
    deeper = [known for known in typed if known.startswith(f"{key}.") and key in _leaves()]
    if deeper:
        return _unknown_key(deeper[0])
    message = str(error.msg).splitlines()[0]
    if key not in _known_keys():
        return _unknown_key(key)
    if "does not support deletion" in message:
        return f"{key} cannot be left out: set it to a value"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} has no value"
    if isinstance(error, InterpolationResolutionError):
        return f"{key} has no value: {message}"
    value = re.search(r"Value '(.*)' of type", message)
    got = typed.get(key) or (as_typed(value[1]) if value else "")
    words = _TYPE_WORDS.get(_known_keys()[key], "the name of one of its choices")
    return f"{key} must be {words}" + f", got {got}" * bool(got)


def _unknown_key(key: str) -> str:
    parent, _, last = key.rpartition(".")
    siblings = [known for known in _known_keys() if known.rpartition(".")[0] == parent != ""]
    ranked = sorted(
        _known_keys(), key=lambda known: (_likeness(known, last), known in siblings), reverse=True
    )
    if _likeness(ranked[0], last) >= 0.6:
        return f"{key} is not a key of the config\ndid you mean {ranked[0]}?"
    listed = f"\n{parent} has {', '.join(siblings)}" if siblings else ""
    return f"{key} is not a key of the config{listed}"


def _likeness(known: str, word: str) -> float:
    return difflib.SequenceMatcher(None, known.rpartition(".")[2], word).ratio()


def _near(word: str, options: Sequence[str], prefix: str) -> str:
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"\ndid you mean {prefix}{close[0]}?" if close else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of a composed config, down to where the schema ends."""
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict) and f"{prefix}{name}" not in _leaves():
            yield from _keys(value, f"{prefix}{name}.")


@cache
def _known_keys() -> dict[str, object]:
    """Every dotted key of the schema with its type."""
    return dict(_walk(TrainConfig, prefix=""))


def _leaves() -> set[str]:
    return {key for key, kind in _known_keys().items() if kind in _TYPE_WORDS}


def _walk(node: type, prefix: str) -> Iterator[tuple[str, object]]:
    for name, kind in get_type_hints(node).items():
        yield f"{prefix}{name}", kind
        if is_dataclass(kind):
            yield from _walk(cast(type, kind), f"{prefix}{name}.")
