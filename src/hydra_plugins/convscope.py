"""Where Hydra looks for plugins: hands many runs to `convscope.cli`, and writes nothing."""

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

        assert self.config is not None
        return run_sweep(_jobs(self.overrides(arguments)), self.config.hydra)

    def overrides(self, arguments: list[str]) -> list[Override]:
        """What the preset and the command line say.

        Raises:
            UserError: values that are named twice, or not at all.
        """
        assert self.hydra_context is not None
        preset = [f"{key}={values}" for key, values in self.params.items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*preset, *arguments])
        for override in overrides:
            _check_values(override)
        return overrides


class SearchSweeper(ConvScopeSweeper):
    """Gives the task each key's values as they are: a search chooses among them."""

    def sweep(self, arguments: list[str]) -> Any:
        from convscope.cli import run_search

        assert self.config is not None
        # Of one key the last counts, as in a sweep.
        last = {override.get_key_element(): override for override in self.overrides(arguments)}
        swept = {
            key: list(override.sweep_string_iterator())
            for key, override in last.items()
            if override.is_sweep_override()
        }
        (fixed,) = _jobs([override for key, override in last.items() if key not in swept])
        return run_search(fixed, swept, self.config.hydra)


def _jobs(overrides: list[Override]) -> list[list[str]]:
    (jobs,) = BasicSweeper.split_arguments(overrides, None)
    return jobs


def _check_values(override: Override) -> None:
    """Raise UserError where a sweep names one value twice, or names none."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return
    if not override.is_discrete_sweep():
        typed = str(override.input_line).partition("=")[2]
        raise UserError(f"{key} must name its values, as 1,2,3 or range(1,4) do, got {typed}")
    values = list(override.sweep_string_iterator())
    doubles = [value for value in values if values.count(value) > 1]
    if doubles:
        raise UserError(f"{key} must name each value once, got {doubles[0]} twice")
