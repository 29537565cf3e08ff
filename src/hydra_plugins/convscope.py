"""Where Hydra looks for plugins: hands a sweep's jobs to `convscope.cli`, and writes nothing."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from convscope.errors import UserError


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
        from convscope.cli import run_sweep

        assert self.hydra_context is not None
        assert self.config is not None
        preset = [f"{key}={values}" for key, values in self.params.items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*preset, *arguments])
        for override in overrides:
            _refuse_doubles(override)
        (jobs,) = BasicSweeper.split_arguments(overrides, None)
        return run_sweep(jobs, self.config.hydra)


def _refuse_doubles(override: Override) -> None:
    """Raise UserError where a sweep names one value twice."""
    if override.is_discrete_sweep():
        values = list(override.sweep_string_iterator())
        doubles = [value for value in values if values.count(value) > 1]
        if doubles:
            raise UserError(
                f"{override.get_key_element()} must name each value once, got {doubles[0]} twice"
            )
