"""From overrides to run requests: composed, checked, and resolved once per command."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from convscope.config.compose import Composer
from convscope.config.errors import key_of, typed_values
from convscope.config.expand import MAX_JOBS
from convscope.config.schema import AUTO, OF_AUTO, TrainConfig, TrainerConfig, most_seeds
from convscope.data import Facts, dataset_facts
from convscope.errors import UserError
from convscope.training.hardware import require_memory
from convscope.training.request import (
    RunRequest,
    check,
    fitted,
    request_run,
)
from convscope.variant import Variant

if TYPE_CHECKING:
    from convscope.data.images import Images
    from convscope.training.hardware import Hardware

log = logging.getLogger(__name__)

OF_A_SEARCH = ("objective", "trials")
"""Keys that say which variants are tried, and nothing of a run."""
LARGE_PIXELS = 512 * 512
"""Of an image, above which a run says that it could be scaled."""
_AUTO_YAML = "mnist"
"""The data set whose values configs/data/auto.yaml has, all but the name."""
_DATA_CHOICE = re.compile(r"\+*data=(?!\{)")


def request_one(overrides: Sequence[str]) -> RunRequest:
    """Return the one run that these overrides ask for.

    Raises:
        UserError: bad input, an impossible variant, data that are not available, or `repeat`.
    """
    refuse_search(overrides)
    resolver = RunResolver()
    variant, *more = resolver.prepare([overrides])
    if more:
        raise UserError(f"repeat must be 1 for a single run, got {variant.config.repeat}")
    if variant.config.tune is not None:
        raise UserError("tune must be null for a single run: it is for scripts/train.py")
    if variant.config.plan or any(key_of(word) == "sweep" for word in overrides):
        raise UserError("plan and sweep are for many runs: use scripts/train.py")
    if variant.config.prune:
        raise UserError(
            "prune must be false for a single run, which it would compare with others of a sweep,"
            " got true"
        )
    if variant.impossible is not None:
        raise variant.impossible
    return resolver.request(variant)


def refuse_search(overrides: Sequence[str]) -> None:
    """Raise UserError where a key of `OF_A_SEARCH` is set and nothing is searched."""
    for key in OF_A_SEARCH:
        if key in typed_values(overrides):
            raise UserError(f"{key} is for a search: add -m hydra/sweeper=optuna")


def _this_process(trainer: TrainerConfig) -> Hardware:
    # Here: PyTorch takes seconds to import, and a mistake in the options is told without it.
    from convscope.training.devices import resolve_hardware

    return resolve_hardware(trainer)


class RunResolver:
    """Resolves for one command what `auto` means, and loads each data set once.

    Args:
        hardware: resolves what the runs are computed on; by default this process does.
        in_process: whether the runs are trained on this machine, and must fit in its memory.
    """

    def __init__(
        self,
        hardware: Callable[[TrainerConfig], Hardware] = _this_process,
        in_process: bool = True,
    ) -> None:
        self._resolve_hardware = hardware
        self._in_process = in_process
        self._composer = Composer()
        self._auto: dict[str, str] = {}
        self._images: dict[tuple[str, str, int | None], Images] = {}
        self._hardware: dict[tuple[str, int, str, bool], Hardware] = {}
        self._defaults: dict[tuple[str, str], TrainConfig] = {}
        self._facts = cache(dataset_facts)
        self._told: set[str] = set()

    def prepare(
        self, jobs: Sequence[Sequence[str]], *, unmatched_too: bool = False
    ) -> list[Variant]:
        """Compose and check the config of each job, without torch and without loading data.

        A job with `repeat=N` becomes N, with seeds from its own on; with `repeat=auto`, as many as
        it may have.

        Args:
            jobs: the overrides of each job.
            unmatched_too: whether a job with `match=macs` also becomes the same one without.

        Raises:
            UserError: a key, group or value that no run could have.
        """
        configs = [self._composer.compose(overrides) for overrides in jobs]
        runs = sum(
            most_seeds(config) * (2 if unmatched_too and config.match else 1) for config in configs
        )
        if runs > MAX_JOBS:
            key = "max_repeat" if configs[0].repeat == AUTO else "repeat"
            raise UserError(
                f"a sweep has at most {MAX_JOBS:,} runs, got {runs:,}"
                f" ({len(configs):,} combinations with {key}={most_seeds(configs[0])})"
            )
        return [
            check(_with_seed(one, seed), _as_typed_for(typed, used, seed), facts)
            for overrides, config in zip(jobs, configs, strict=True)
            for used, facts in [self._fitted(overrides, config)]
            for one, typed in _at_equal(used, overrides, unmatched_too)
            for seed in range(config.seed, config.seed + most_seeds(config))
        ]

    def _fitted(self, overrides: Sequence[str], config: TrainConfig) -> tuple[TrainConfig, Facts]:
        """Return the config, fitted to its data set where overrides allow it, and the outline."""
        facts = self._facts(config.data.name, config.data.root, config.data.image_size)
        used = fitted(config, typed_values(overrides), facts)
        _, height, width = facts.input_shape
        if config.data.image_size is None and height * width > LARGE_PIXELS:
            self._tell(
                f"images of {height}x{width} pixels (height x width) take much memory and time:"
                " data.image_size=64 would scale them"
            )
        for key, before in vars(config.data).items():
            if (after := getattr(used.data, key)) != before:
                self._tell(
                    f"data.{key}={after} is taken: {before} does not suit the {facts.train_size}"
                    f" training images of {config.data.name}"
                )
        return used, facts

    def _tell(self, line: str) -> None:
        """Log a line once in a command."""
        if line not in self._told:
            self._told.add(line)
            log.info(line)

    def request(self, variant: Variant) -> RunRequest:
        """Return the run that a variant asks for, on this machine.

        Raises:
            UserError: data that are not available, or hardware or memory that is not there.
        """
        hardware = self._hardware_for(variant.config)
        network = variant.config.model.network
        defaults = self._defaults_of(variant.config.data.name, network)
        if variant.config.data.name == "auto":
            name = self._auto_name(variant.config.data.root)
            if name == _AUTO_YAML and not _chooses_data(variant.overrides):
                config = variant.config
                renamed = replace(config.data, name=name)
                variant = replace(variant, config=replace(config, data=renamed))
            else:
                defaults = self._defaults_of(name, network)
                variant = self._composed_on(variant, name)
        if self._in_process:
            require_memory(variant, hardware)
        images = self._load(variant.config)
        variant = replace(variant, config=self._as_used(variant.config))
        return request_run(variant, images, hardware, self._as_used(defaults))

    def _auto_name(self, root: str) -> str:
        from convscope.data.sources import resolve_auto

        if root not in self._auto:
            self._auto[root], reason = resolve_auto(root)
            if reason is not None:
                log.info(f"data=auto takes {self._auto[root]}: {reason}")
        return self._auto[root]

    def _composed_on(self, variant: Variant, name: str) -> Variant:
        """Return the variant that the overrides ask for on the data set `name`."""
        others = [word for word in variant.overrides if not _DATA_CHOICE.match(word)]
        config = self._composer.compose([*others, f"data={name}", f"data.name={name}"])
        seeded = _with_seed(config, variant.config.seed)
        return check(replace(seeded, prune=variant.config.prune), variant.overrides)

    def _load(self, config: TrainConfig) -> Images:
        from convscope.data.sources import load

        data = config.data
        key = (data.name, str(Path(data.root).absolute()), data.image_size)
        if key not in self._images:
            self._images[key] = load(data.name, data.root, data.image_size, data.cache)
            for note in self._images[key].notes:
                self._tell(note)
        return self._images[key]

    def _hardware_for(self, config: TrainConfig) -> Hardware:
        trainer = config.trainer
        key = (trainer.accelerator, trainer.devices, trainer.precision, trainer.deterministic)
        if key not in self._hardware:
            self._hardware[key] = self._resolve_hardware(trainer)
        return self._hardware[key]

    def _as_used(self, config: TrainConfig) -> TrainConfig:
        """Return the config with device and precision as used: `auto` and its value are one run."""
        hardware = self._hardware_for(config)
        used = replace(
            config.trainer,
            accelerator=hardware.accelerator,
            strategy=hardware.strategy,
            precision=hardware.precision,
        )
        return replace(config, trainer=used)

    def _defaults_of(self, name: str, network: str) -> TrainConfig:
        """Return the config of a data set and a network without any other override."""
        if (name, network) not in self._defaults:
            # configs/train.yaml chooses auto: the groups of most commands are composed by now.
            overrides = [] if name == "auto" else [f"data={name}"]
            overrides += [] if network == "stack" else [f"model={network}"]
            self._defaults[name, network] = self._composer.compose(overrides)
        return self._defaults[name, network]


def _chooses_data(overrides: Sequence[str]) -> bool:
    """Return whether the values of data may be others than those of data=auto."""
    return any(key_of(one) in ("data", "experiment") for one in overrides if one != "data=auto")


def _with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """Return the config with another seed, which is also that of its split with `vary=split`."""
    data = replace(config.data, split_seed=seed) if config.vary == "split" else config.data
    return replace(config, seed=seed, data=data)


def _at_equal(
    config: TrainConfig, overrides: Sequence[str], unmatched_too: bool
) -> list[tuple[TrainConfig, Sequence[str]]]:
    """Return a config with its overrides, behind those of equal channels where it is matched."""
    if config.match is None or not unmatched_too:
        return [(config, overrides)]
    typed = [one for one in overrides if key_of(one) != "match"]
    if len(typed) == len(overrides):
        # An experiment has set it.
        typed.append("match=null")
    return [(replace(config, match=None), typed), (config, overrides)]


def _as_typed_for(overrides: Sequence[str], config: TrainConfig, seed: int) -> list[str]:
    """Return the overrides that ask for this run and no other."""
    # A single run is not pruned, and has the value that tuning gave it.
    others = [w for w in overrides if key_of(w) not in ("prune", "tune", "tune_values")]
    if config.repeat == 1:
        return others
    many = ("repeat", *OF_AUTO, "seed")
    return [w for w in others if key_of(w) not in many] + [f"seed={seed}"]
