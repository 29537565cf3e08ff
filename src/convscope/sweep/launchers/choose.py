"""The launcher that a command names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from convscope.errors import UserError
from convscope.sweep.launchers.launcher import Launcher

CHOICES = ("basic", "ray")


def make_launcher(
    choice: str, options: Mapping[str, Any], notify: Callable[[str], None]
) -> Launcher:
    """Hydra's choice of `hydra/launcher`, with its node as options.

    Raises:
        UserError: a launcher that there is not, that is not installed, or that lacks what is asked.
    """
    # Each here: an engine need not be installed where another is used.
    if choice == "basic":
        from convscope.sweep.launchers.serial import SerialLauncher

        return SerialLauncher()
    if choice == "ray":
        from convscope.sweep.launchers.engine import EngineLauncher
        from convscope.sweep.launchers.options import RayOptions, checked_options
        from convscope.sweep.launchers.ray import RayEngine

        checked = checked_options(RayOptions, options)
        return EngineLauncher(RayEngine(checked, notify), checked.max_retries, notify)
    raise UserError(f"hydra/launcher must be one of {', '.join(CHOICES)}, got {choice}")
