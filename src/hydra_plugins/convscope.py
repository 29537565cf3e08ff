"""Where Hydra looks for plugins: our sweepers, which write nothing, and choices without a file."""

from __future__ import annotations

from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from convscope.config.expand import alternatives, jobs_of
from convscope.errors import UserError
from convscope.runs.presets import is_preset, preset


class Presets(ConfigSource):
    """Gives Hydra the choices of `runs.presets`; files come before it in the search path."""

    @staticmethod
    def scheme() -> str:
        return "convscope"

    def load_config(self, config_path: str) -> ConfigResult:
        group, _, choice = config_path.partition("/")
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(preset(group, choice)),
            header={"package": "_global_" if group == "experiment" else group},
        )

    def is_config(self, config_path: str) -> bool:
        group, _, choice = config_path.partition("/")
        return is_preset(group, choice)

    def is_group(self, config_path: str) -> bool:
        return False

    def available(self) -> bool:
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


class ConvScopeSweeper(Sweeper):
    """Expands `-m` into one list of overrides per job, and gives them all to the task at once.

    Hydra's own sweeper writes multirun.yaml before it looks at the jobs.

    Args:
        params: key to comma-separated values, from a preset in `configs/sweep/`; what is typed on
            the command line comes after it and wins.
    """

    def __init__(self, params: dict[str, str]) -> None:
        self.params = params

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        from convscope.cli.train import run_sweep

        assert self.config is not None
        return run_sweep(jobs_of(self.overrides(arguments)), self.config.hydra)

    def overrides(self, arguments: list[str]) -> list[Override]:
        """What the preset and the command line say."""
        assert self.hydra_context is not None
        preset = [f"{key}={values}" for key, values in self.params.items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides([*preset, *arguments])


class SearchSweeper(ConvScopeSweeper):
    """Gives the task each key's values as they are: a search chooses among them."""

    def sweep(self, arguments: list[str]) -> Any:
        from convscope.cli.train import run_search

        assert self.config is not None
        found = alternatives(self.overrides(arguments))
        for place, one in enumerate(found):
            for later in found[place + 1 :]:
                sets_below = later.words and later.values[0].lstrip().startswith("{")
                if one.is_swept and sets_below and one.key.startswith(f"{later.key}."):
                    # Of a search all that is fixed comes first; elsewhere the last one counts.
                    raise UserError(f"{later.words[0]} must come before the values of {one.key}")
        fixed = [word for one in found if not one.is_swept for word in one.words]
        swept = {one.key: one.values for one in found if one.is_swept}
        return run_search(fixed, swept, self.config.hydra)
