"""From overrides to run requests: composed, checked, and resolved once per command."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.compose import compose_config
from convscope.config import TrainConfig
from convscope.training.request import CheckedConfig, RunRequest, check, request_run

if TYPE_CHECKING:
    from convscope.data.images import Images
    from convscope.runs.record import RunRecord
    from convscope.training.hardware import Hardware

_DATA_CHOICE = re.compile(r"\+*data=(?!\{)")


def prepare(overrides: Sequence[str]) -> CheckedConfig:
    """Compose and check a config, without torch and without loading data.

    Raises:
        UserError: a key, group or value that no run could have.
    """
    return check(compose_config(overrides), overrides)


def train_one(checked: CheckedConfig, notify: Callable[[str], None]) -> RunRecord:
    """Train the one run that a checked config asks for.

    Raises:
        UserError: an impossible variant, data or hardware that cannot be had.
    """
    if checked.impossible is not None:
        raise checked.impossible
    request = Resolver(notify).request(checked)
    from convscope.training.train import train

    return train(request, notify)


class Resolver:
    """Settles for one command what `auto` means, and loads each data set once.

    Args:
        notify: is told when `data=auto` falls back on digits.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._auto: dict[str, str] = {}
        self._images: dict[tuple[str, str, int | None], Images] = {}
        self._hardware: dict[tuple[str, int, str], Hardware] = {}
        self._defaults: dict[str, TrainConfig] = {}

    def request(self, checked: CheckedConfig) -> RunRequest:
        """The run that a checked config asks for, on this machine.

        Raises:
            UserError: data that cannot be had, or hardware that is not there.
        """
        hardware = self._settle_hardware(checked.config)
        if checked.config.data.name == "auto":
            checked = self._settle_auto(checked)
        images = self._load(checked.config)
        defaults = self._default(checked.config.data.name)
        checked = replace(checked, config=self._as_used(checked.config))
        return request_run(checked, images, hardware, self._as_used(defaults))

    def _settle_auto(self, checked: CheckedConfig) -> CheckedConfig:
        from convscope.data.sources import resolve_auto

        root = checked.config.data.root
        if root not in self._auto:
            self._auto[root], reason = resolve_auto(root)
            if reason is not None:
                self._notify(f"data=auto takes {self._auto[root]}: {reason}")
        name = self._auto[root]
        others = [word for word in checked.overrides if not _DATA_CHOICE.match(word)]
        settled = compose_config([*others, f"data={name}", f"data.name={name}"])
        return check(settled, checked.overrides)

    def _load(self, config: TrainConfig) -> Images:
        from convscope.data.sources import load

        data = config.data
        key = (data.name, str(Path(data.root).absolute()), data.image_size)
        if key not in self._images:
            self._images[key] = load(data.name, data.root, data.image_size)
        return self._images[key]

    def _settle_hardware(self, config: TrainConfig) -> Hardware:
        from convscope.training.hardware import resolve_hardware

        trainer = config.trainer
        key = (trainer.accelerator, trainer.devices, trainer.precision)
        if key not in self._hardware:
            self._hardware[key] = resolve_hardware(trainer)
        return self._hardware[key]

    def _as_used(self, config: TrainConfig) -> TrainConfig:
        """With device and precision as they are: `auto` and its meaning here are one run."""
        hardware = self._settle_hardware(config)
        used = replace(
            config.trainer, accelerator=hardware.accelerator, precision=hardware.precision
        )
        return replace(config, trainer=used)

    def _default(self, choice: str) -> TrainConfig:
        if choice not in self._defaults:
            self._defaults[choice] = compose_config([f"data={choice}"])
        return self._defaults[choice]
