"""Hydra's edge: overrides in, a checked `TrainConfig` out."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hydra import version

# Private, the same in every Hydra 1.3: the public `compose` reads all files anew for each job.
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from convscope.config.errors import as_written, check_keys, check_typed, user_errors
from convscope.config.help import help_node
from convscope.config.schema import TrainConfig, check_ranges

CONFIG_NAME = "train"


def config_dir() -> Path:
    """Folder of the YAML files: inside an installed wheel, beside `src/` in a clone."""
    packaged = Path(__file__).parents[1] / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "configs"


def register_schema() -> None:
    """Give Hydra the typed schema, the help page and the sweeper. May be called twice."""
    store = ConfigStore.instance()
    store.store(name="schema", node=TrainConfig)
    store.store(group="hydra/help", name="convscope", node=help_node())
    store.store(
        group="hydra/sweeper",
        name="convscope",
        node={"_target_": "hydra_plugins.convscope.ConvScopeSweeper", "params": {}},
    )


class Composer:
    """Composes the configs of one command, each as `hydra.compose` does.

    Hydra composes each choice of groups once; values are then set on a copy, in the order typed and
    by Hydra's own function. So a sweep of thousands of jobs does not pay 70 ms for each.
    """

    def __init__(self) -> None:
        self._composed: dict[tuple[str, ...], bytes] = {}
        """Pickled: OmegaConf's own copy takes six times as long."""
        self._values: dict[str, Override | None] = {}

    def compose(self, overrides: Sequence[str]) -> TrainConfig:
        """Return the config that these overrides make, checked key by key and range by range.

        Args:
            overrides: as on the command line: `["conv.stride=2", "data=mnist"]`.

        Raises:
            UserError: a key, group or value that is not legal.
        """
        check_typed(overrides)
        with user_errors(overrides):
            composed = self._set_values(overrides)
            check_keys(cast(dict[str, Any], OmegaConf.to_container(composed, resolve=False)))
            # Its values may stand for what is known only of a run: ${run.directory}.
            logger = OmegaConf.to_container(composed.logger, resolve=False)
            composed.logger = {}
            config = cast(TrainConfig, OmegaConf.to_object(composed))
            config.logger = cast(dict[str, Any], logger)
        check_ranges(config, as_written(overrides))
        return config

    def _set_values(self, overrides: Sequence[str]) -> DictConfig:
        values = {word: self._value(word) for word in overrides}
        composed = self._compose(tuple(word for word in overrides if values[word] is None))
        in_order = [value for word in overrides if (value := values[word]) is not None]
        ConfigLoaderImpl._apply_overrides_to_config(in_order, composed)
        return composed

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        """Return what Hydra composes, without its own part; the caller's to change."""
        if overrides not in self._composed:
            composed = self._loader.load_configuration(
                CONFIG_NAME, list(overrides), RunMode.RUN, from_shell=False
            )
            with open_dict(composed):
                del composed["hydra"]
            self._composed[overrides] = pickle.dumps(composed)
        return cast(DictConfig, pickle.loads(self._composed[overrides]))

    def _value(self, override: str) -> Override | None:
        """Parse an override of a value; None for whatever Hydra composes from files."""
        if override not in self._values:
            (parsed,) = OverridesParser.create().parse_overrides([override])
            key = parsed.key_or_group
            of_hydra = parsed.is_hydra_override() or key == "hydra" or parsed.is_sweep_override()
            is_choice = self._loader.repository.group_exists(key)
            is_value = isinstance(parsed.value(), dict) or not is_choice
            self._values[override] = parsed if is_value and not of_hydra else None
        return self._values[override]

    @cached_property
    def _loader(self) -> ConfigLoaderImpl:
        return config_loader()


def compose_config(overrides: Sequence[str]) -> TrainConfig:
    """Return the one config that these overrides make; see `Composer.compose`."""
    return Composer().compose(overrides)


def config_loader() -> ConfigLoaderImpl:
    """Load our configs: as the running command does, with its own folders, else by themselves."""
    running = GlobalHydra.instance()
    if running.is_initialized():
        loader = cast(ConfigLoaderImpl, running.config_loader())
        # Another program's Hydra has other configs.
        folders = [source.path for source in loader.get_search_path().get_path()]
        if any(folder.endswith(str(config_dir())) for folder in folders):
            return loader
    register_schema()
    setup_globals()
    version.setbase("1.3")
    return ConfigLoaderImpl(create_config_search_path(str(config_dir())))
