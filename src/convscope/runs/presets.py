"""Choices of config groups without a file: `conv=k7-s2-p3` by label, `experiment=RUN` by a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from convscope.config.schema import (
    ConvConfig,
    DataConfig,
    ModelConfig,
    OptimConfig,
    TrainerConfig,
    as_typed,
)
from convscope.errors import UserError
from convscope.files import read_regular
from convscope.geometry import conv_config, convs_from_config, parse_label
from convscope.networks.matching import unscaled
from convscope.runs.directory import RunDirectory
from convscope.runs.identity import is_as_before

_GROUPS: dict[str, tuple[type, str]] = {
    "conv": (ConvConfig, "k3-s1-p1"),
    "data": (DataConfig, "mnist"),
    "model": (ModelConfig, "base"),
    "optim": (OptimConfig, "adamw"),
    "trainer": (TrainerConfig, "default"),
}
"""Schema of each group, and the choice that supplies keys which an older run lacks."""
_RUN_KEYS = ("seed", "compile", "study", "output_dir", "match", "vary")
"""Top-level keys that an experiment takes from a run; the others concern the command."""
_MAX_BYTES = 1_000_000


def is_preset(group: str, choice: str) -> bool:
    """Return whether a choice without a file is valid: a label, or the folder of a run."""
    if group == "conv" and parse_label(choice) is not None:
        return True
    return group in ("experiment", *_GROUPS) and _config_file(choice).is_file()


def preset(group: str, choice: str) -> dict[str, Any]:
    """Return the config of a choice without a file.

    An `experiment` of a run chooses the run's part of each group by an override in its defaults, so
    that a group's choice on the command line wins, as with an experiment that has a file.

    Raises:
        UserError: The run's config.yaml is damaged.
    """
    values = parse_label(choice) if group == "conv" else None
    if values is not None:
        return values
    path = _config_file(choice)
    config = _read(path)
    try:
        if group == "experiment":
            chosen = [{f"override /{name}": choice} for name in _GROUPS]
            keys = {key: config[key] for key in _RUN_KEYS if not is_as_before(key, config.get(key))}
            return {"defaults": chosen} | keys
        schema, base = _GROUPS[group]
        known = {field.name for field in fields(schema)}
        values = {key: value for key, value in config[group].items() if key in known}
        if group == "conv" and "same" not in values["padding"]:
            # With `same`, the padding may have no value in pixels.
            values = conv_config(convs_from_config(values))
        # What the run made of the other keys: match=macs and vary=split make it anew.
        values = unscaled(values)
        if config.get("vary") == "split":
            values.pop("split_seed", None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is not the config of a run: {as_typed(error)}") from error
    return {"defaults": [base, "_self_"]} | values


def _config_file(choice: str) -> Path:
    return RunDirectory(Path(choice)).config


def _read(path: Path) -> Mapping[Any, Any]:
    try:
        text = read_regular(path, _MAX_BYTES).decode()
        config = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, Mapping):
        raise UserError(f"{path} is not the config of a run")
    return config
