"""Report mistyped overrides as a `UserError`: one line that tells the user what to change."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import cache
from typing import Any, cast

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from convscope.config.schema import TrainConfig, as_typed, dotted_types
from convscope.errors import UserError

_TYPE_NAMES: dict[object, str] = {
    Any: "a single value",
    bool: "true or false",
    int: "an integer",
    int | None: "an integer or null",
    float: "a number",
    float | None: "a number or null",
    list[int]: "a list of integers such as [16,32,64]",
    dict[str, Any]: "the name of one of its choices",
    str: "text",
    str | None: "text or null",
}
_NO_NAME = re.compile(r"\[.*|null|true|false|[-+]?[0-9._]+(e[-+]?[0-9]+)?", re.IGNORECASE)
"""Values that cannot be the name of a choice; Hydra raises Python's errors for them."""
LAUNCHER = "hydra.launcher."
"""Prefix of the keys of a launcher's options."""
_OPTIMIZER = "choose the optimizer by optim=adamw, optim=sgd or optim=muon"
_RANDOM = "weights are random before training: there are no pretrained ones"
_INSTEAD = {
    "optimizer": _OPTIMIZER,
    "pretrained": _RANDOM,
    "weights": _RANDOM,
}
"""Keys of other tools, and what to use instead."""
_RECORDED = ("model.matched_from",)
"""Keys of recorded configs that cannot be typed."""
_SWEEPERS = ("convscope", "optuna")
"""Sweepers that are accepted: Hydra's own writes files, and other plugins may be installed."""


MAX_CHARACTERS = 20_000
"""Most characters of an override; Hydra needs a second for twice as many."""
MAX_DIGITS = 4_000
"""Most digits of a number; Python's limit is 4,300."""
_PRESETS = ("experiment", "sweep")
"""Groups whose files may set any key."""
_OURS = ("convscope", "hydra_plugins")
_COMPOSING = ("hydra", "omegaconf", "antlr4", "yaml")
"""Packages that parse overrides and compose configs."""


@contextmanager
def user_errors(overrides: Sequence[str]) -> Iterator[None]:
    """Raise Hydra's errors within this block as a UserError.

    Hydra has its own exceptions for most invalid overrides, but raises Python's for others, such as
    a ValueError for a number of 5,000 digits.

    Args:
        overrides: The overrides as typed, for messages.

    Raises:
        UserError: Hydra refused the overrides.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_format_error(error, typed_values(overrides))) from error
    except Exception as error:
        frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
        packages = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame in frames]
        ours = [name for name in packages if name in (*_OURS, *_COMPOSING)]
        if not ours or ours[-1] in _OURS:
            raise
        raise UserError(f"Hydra refuses this command: {first_line(error)}") from error


def check_overrides(overrides: Sequence[str]) -> None:
    """Check for overrides that Hydra would parse slowly, or raise one of Python's errors for.

    Raises:
        UserError: An override is too long, or a group's choice is not a name.
    """
    for override in overrides:
        if len(override) > MAX_CHARACTERS:
            raise UserError(
                f"{key_of(override)[:40]} must be written in at most {MAX_CHARACTERS:,}"
                f" characters, got {len(override):,}"
            )
        digits = max(map(len, re.findall(r"[0-9]+", override)), default=0)
        if digits > MAX_DIGITS:
            raise UserError(
                f"{key_of(override)[:40]} must have numbers of at most {MAX_DIGITS:,} digits,"
                f" got one of {digits:,}"
            )
    groups = [key for key, kind in _known_keys().items() if is_dataclass(kind)]
    groups += [*_PRESETS, "logger", "hydra/launcher"]
    for key, value in typed_values(overrides).items():
        if not key:
            raise UserError(f"cannot read the override ={value}: write KEY=VALUE")
        if key in groups and _NO_NAME.fullmatch(value):
            raise UserError(
                f"{key} must be the name of one of its choices, got {value}: see --help"
            )


def check_sweeper(overrides: Sequence[str]) -> None:
    """Check the choices of `sweep` and `hydra/sweeper`.

    Raises:
        UserError: `sweep` has several values, or the sweeper is not one of ours.
    """
    typed = typed_values(overrides)
    if "," in typed.get("sweep", ""):
        raise UserError(f"sweep must be one preset, got {typed['sweep']}")
    choice = typed.get("hydra/sweeper", _SWEEPERS[0])
    if choice not in _SWEEPERS:
        raise UserError(
            f"hydra/sweeper must be one of {', '.join(_SWEEPERS)}, got {choice}"
            + did_you_mean(choice, _SWEEPERS, prefix="hydra/sweeper=")
        )


def key_of(override: str) -> str:
    """Return the key or group that an override sets, adds (`+`, `++`) or removes (`~`)."""
    return override.partition("=")[0].lstrip("+~")


def typed_values(overrides: Sequence[str]) -> dict[str, str]:
    """Return the value of each key as typed; the last one counts, as in Hydra."""
    typed: dict[str, str] = {}
    for override in overrides:
        key, (_, equals, value) = key_of(override), override.partition("=")
        if equals:
            if value.lstrip().startswith("{"):
                # A dictionary may replace values of nested keys that were typed before.
                typed = {one: text for one, text in typed.items() if not one.startswith(f"{key}.")}
            typed[key] = as_typed(value)
    return typed


def _format_error(error: BaseException, typed: Mapping[str, str]) -> str:
    """Return what to change: one line, or two if a fix is known."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MissingConfigException):
            return _missing_config(cause)
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return _bad_key_or_value(cause, typed)
        cause = cause.__cause__ or cause.__context__
    first = first_line(error)
    if isinstance(error, OverrideParseException):
        way_out = (
            "write KEY=VALUE, lists as [1,2,3], unusual characters in quotes: 'study=\"größer\"'"
        )
        if "=~" in error.override:
            way_out = "write $HOME in place of ~"
        return f"cannot read the override {as_typed(error.override)}\n{way_out}"
    twice = re.match(r"Multiple values for (\w+)\.", first)
    if twice:
        group = twice[1]
        return f"{group} has a choice already\nwrite {group}={typed.get(group, 'CHOICE')} without +"
    if "Ambiguous value" in first:
        return f"{first}\nadd -m to run one job per value, or write a list as [1,2,3]"
    return first


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _missing_config(error: MissingConfigException) -> str:
    missing, options = error.missing_cfg_file or "", sorted(error.options or [])
    if not options:
        return first_line(error)
    group = "/".join(missing.split("/")[: 2 if missing.startswith("hydra/") else 1])
    choice = missing.removeprefix(f"{group}/")
    if group == "experiment" and "/" in choice:
        return f"experiment must name an experiment or a run's folder, got {as_typed(choice)}"
    label = ", or a label such as k7-s2-p3" * (group == "conv")
    return (
        f"{group} must be one of {', '.join(options)}{label}, got {as_typed(choice)}"
        + did_you_mean(choice, options, prefix=f"{group}=")
    )


def _bad_key_or_value(error: OmegaConfBaseException, typed: Mapping[str, str]) -> str:
    key = str(error.full_key).partition("[")[0]
    if key.startswith(LAUNCHER):
        if key.count(".") > LAUNCHER.count("."):
            # A key within an option whose value is passed on to Ray or SLURM.
            return f"{key} is not set by default: write +{key}=…"
        return unknown_option(key, cast(Mapping[str, Any], error.parent_node))
    if key.startswith("logger."):
        return f"{key} is not set by default: write +{key}=…"
    deeper = [known for known in typed if known.startswith(f"{key}.") and key in value_keys()]
    if deeper:
        return _unknown_key(deeper[0])
    message = next(iter(str(error.msg).splitlines()), "")
    if key in _PRESETS and key in typed:
        # By default Hydra nests a file's values under the name of its group.
        return (
            f"{key}={typed[key]} sets {key}.…, which is not a key of a run\n"
            "let its file begin with the line: # @package _global_"
        )
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
    rule = _TYPE_NAMES.get(_known_keys()[key], "the name of one of its choices")
    return f"{key} must be {rule}" + f", got {got}" * bool(got)


def unknown_option(key: str, options: Iterable[str]) -> str:
    """Return the error message for a launcher's key that is not one of its options."""
    known = [name for name in options if name != "_target_"]
    if not known:
        return f"{key} is an engine's: choose one, such as hydra/launcher=ray"
    return f"{key} is not a key of this launcher\nit has {', '.join(known)}"


def _unknown_key(key: str) -> str:
    parent, _, last = key.rpartition(".")
    refused = f"{key[:100]} is not a key of the config"
    siblings = [
        known
        for known in _known_keys()
        if known.rpartition(".")[0] == parent != "" and known not in _RECORDED
    ]
    instead = next((advice for name, advice in _INSTEAD.items() if name in (key, last)), "")
    if instead:
        return f"{refused}\n{instead}"
    # A key of another group must be more similar than one of this group.
    for keys, least in ((siblings, 0.6), (_known_keys(), 0.8 if siblings else 0.6)):
        nearest = max(keys, key=lambda known: _similarity(known, last), default="")
        if _similarity(nearest, last) >= least:
            return f"{refused}\ndid you mean {nearest}?"
    return refused + f"\n{parent} has {', '.join(siblings)}" * bool(siblings)


def _similarity(known: str, typed: str) -> float:
    return difflib.SequenceMatcher(None, known.rpartition(".")[2], typed).ratio()


def did_you_mean(typed: str, options: Sequence[str], prefix: str) -> str:
    """Return a second line that suggests the option most similar to `typed`; "" if none is."""
    close = difflib.get_close_matches(typed, options, n=1, cutoff=0.5)
    return f"\ndid you mean {prefix}{close[0]}?" if close else ""


def check_keys(node: Mapping[str, Any], prefix: str = "") -> None:
    """Check that the schema has every key of a composed config.

    Args:
        node: The config, or a group of it.
        prefix: Dotted key of the group, with a dot at its end.

    Raises:
        UserError: A key is not in the schema.
    """
    for name in sorted(node):
        key, value = f"{prefix}{name}", node[name]
        if key not in _known_keys():
            raise UserError(_unknown_key(key))
        if isinstance(value, dict) and key not in value_keys():
            check_keys(value, f"{key}.")


@cache
def _known_keys() -> dict[str, object]:
    """Return every dotted key of the schema with its type."""
    return {key: of.hint for key, of in dotted_types(TrainConfig)}


def value_keys() -> set[str]:
    """Return the dotted keys of values, without those of groups."""
    return {key for key, kind in _known_keys().items() if kind in _TYPE_NAMES}
