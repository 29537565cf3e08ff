"""Hydra's edge: overrides in, a checked `TrainConfig` out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from convscope.config import TrainConfig, check_ranges
from convscope.errors import UserError
from convscope.help import help_node
from convscope.mistakes import (
    as_written,
    check_choices,
    check_keys,
    explain,
    is_explained,
    leaves,
)

CONFIG_NAME = "train"


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
        node={"_target_": "hydra_plugins.convscope.ConvScopeSweeper", "params": {}},
    )


class Composer:
    """Composes the configs of one command.

    Hydra composes each choice of groups once; a plain `key=value` is then set on the result. So a
    sweep of thousands of jobs does not pay 70 ms for each.
    """

    def __init__(self) -> None:
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._values: dict[str, Any] = {}

    def compose(self, overrides: Sequence[str]) -> TrainConfig:
        """The config that these overrides make, checked key by key and range by range.

        Args:
            overrides: as on the command line: `["conv.stride=2", "data=mnist"]`.

        Raises:
            UserError: a key, group or value that is not legal.
        """
        check_choices(overrides)
        try:
            plain = [word for word in overrides if self._is_plain(word)]
            composed = self._compose(tuple(word for word in overrides if word not in plain))
            for word in plain:
                OmegaConf.update(composed, word.partition("=")[0], self._values[word])
            config = cast(TrainConfig, OmegaConf.to_object(composed))
        except Exception as error:
            if not is_explained(error):
                raise
            raise UserError(explain(error, overrides)) from error
        check_ranges(config, as_written(overrides))
        return config

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._composed:
            with _hydra():
                composed = compose(CONFIG_NAME, overrides=list(overrides))
            self._composed[overrides] = _checked_keys(composed)
        return self._composed[overrides].copy()

    def _is_plain(self, override: str) -> bool:
        """Whether this sets one key of the schema to a number, text or list, and no more."""
        key, equals, text = override.partition("=")
        if not equals or key not in leaves() or "${" in text:
            return False
        if override not in self._values:
            (parsed,) = OverridesParser.create().parse_overrides([override])
            if parsed.is_sweep_override() or isinstance(parsed.value(), dict):
                return False
            self._values[override] = parsed.value()
        return True


def compose_config(overrides: Sequence[str]) -> TrainConfig:
    """The one config that these overrides make; see `Composer.compose`."""
    return Composer().compose(overrides)


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


def _checked_keys(composed: DictConfig) -> DictConfig:
    """Hydra's config without Hydra's own part.

    Raises:
        UserError: a key that the schema lacks.
    """
    node = composed.copy()
    with open_dict(node):
        node.pop("hydra", None)
    check_keys(cast(dict[str, Any], OmegaConf.to_container(node, resolve=False)))
    return node
