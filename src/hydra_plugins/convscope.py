"""Where Hydra looks for plugins: hands a sweep's jobs to `convscope.cli`, and writes nothing."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ConvScopeSweeper(Sweeper):
    """Expands `-m` into one list of overrides per job, and gives them all to the task at once.

    Hydra's own sweeper writes multirun.yaml before it looks at the jobs.
    """

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        from convscope.cli import run_sweep

        assert self.hydra_context is not None
        assert self.config is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        (jobs,) = BasicSweeper.split_arguments(parser.parse_overrides(arguments), None)
        return run_sweep(jobs, launcher=self.config.hydra.launcher._target_)
