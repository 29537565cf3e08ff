"""Hydra plugins: sweepers that write no files, and choices of groups that have no file."""

from __future__ import annotations

import itertools
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from typing_extensions import override

from convscope.cli.train import run_search, run_sweep
from convscope.config.expand import expand, jobs_of
from convscope.errors import UserError
from convscope.runs.presets import is_preset, preset


class Presets(ConfigSource):
    """Provides the choices of `runs.presets`; files have priority in the search path."""

    @staticmethod
    @override
    def scheme() -> str:
        return "convscope"

    @override
    def load_config(self, config_path: str) -> ConfigResult:
        group, _, choice = config_path.partition("/")
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(preset(group, choice)),
            header={"package": "_global_" if group == "experiment" else group},
        )

    @override
    def is_config(self, config_path: str) -> bool:
        group, _, choice = config_path.partition("/")
        return is_preset(group, choice)

    @override
    def is_group(self, config_path: str) -> bool:
        return False

    @override
    def available(self) -> bool:
        return True

    @override
    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []


class ConvScopeSweeper(Sweeper):
    """Expands `-m` into one list of overrides per job and runs them as one sweep.

    Hydra's own sweeper is not used because it writes multirun.yaml before it checks the jobs.

    Args:
        params: Comma-separated values by key, from a preset in `configs/sweep/`; the command line
            overrides them.
    """

    def __init__(self, params: dict[str, str]) -> None:
        self.preset = [f"{key}={values}" for key, values in params.items()]

    @override
    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_config = config.hydra

    @override
    def sweep(self, arguments: list[str]) -> Any:
        return run_sweep(jobs_of([*self.preset, *arguments]), self.hydra_config)


class SearchSweeper(ConvScopeSweeper):
    """Runs a search among the values that `-m` gives for each key."""

    @override
    def sweep(self, arguments: list[str]) -> Any:
        found = expand([*self.preset, *arguments])
        for earlier, later in itertools.combinations(found, 2):
            sets_below = later.overrides and later.values[0].lstrip().startswith("{")
            if earlier.is_swept and sets_below and earlier.key.startswith(f"{later.key}."):
                # A search applies fixed values first, although the last override should win.
                raise UserError(
                    f"{later.overrides[0]} must come before the values of {earlier.key}"
                )
        fixed = [override for one in found if not one.is_swept for override in one.overrides]
        swept = {one.key: one.values for one in found if one.is_swept}
        return run_search(fixed, swept, self.hydra_config)
