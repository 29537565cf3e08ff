"""The cases to measure: each variant and batch size of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from convscope.config.expand import expand
from convscope.errors import UserError
from convscope.training.request import RunRequest
from convscope.training.resolve import RunResolver

DEFAULTS = {"conv": ["k3-s2-p1", "k3-s1-p1", "k5-s2-p2"], "data.batch_size": ["256", "64"]}
"""Values of the keys that are not given; a quick benchmark uses only the first."""
COMMON = (
    "data.flip=false",
    "data.alternate_flip=false",
    "data.shift=0",
    "data.cutout=0",
    "optim.name=adamw",
    "optim.momentum=0",
    "optim.label_smoothing=0",
    "trainer.gradient_clip_val=null",
    "trainer.max_steps=null",
    "trainer.max_time=null",
    "trainer.fast_dev_run=false",
    "trainer.devices=1",
)
"""Overrides of every run, which turn off what the baselines do not do."""
_SET_HERE = {
    *(override.partition("=")[0] for override in COMMON),
    *("trainer.max_epochs", "trainer.limit_train_batches"),
    *("compile", "output_dir", "study", "repeat", "plan", "rerun", "sweep", "experiment", "optim"),
}


@dataclass(frozen=True)
class Case:
    """A variant at a batch size.

    Attributes:
        overrides: the overrides that select it.
        request: its run on this machine.
    """

    overrides: tuple[str, ...]
    request: RunRequest

    @property
    def variant(self) -> str:
        """The variant's label."""
        return self.request.variant.label

    @property
    def batch_size(self) -> int:
        """Images per training step."""
        return self.request.config.data.batch_size


def cases(overrides: Sequence[str], quick: bool, resolver: RunResolver) -> list[Case]:
    """Return every combination of the given values; keys that are not given have `DEFAULTS`.

    Args:
        overrides: as for a sweep, with several values separated by commas.
        quick: whether to use only the first default of each key.
        resolver: prepares the runs.

    Raises:
        UserError: a key that the benchmark sets itself, an invalid value, or an impossible variant.
    """
    given = expand(overrides)
    keys = {choice.key for choice in given}
    for key in sorted(keys & _SET_HERE):
        raise UserError(f"{key} cannot be given: the benchmark sets it itself")
    if any(key.startswith("conv.") for key in keys):
        keys.add("conv")
    defaults = [
        [f"{key}={value}" for value in values[: 1 if quick else None]]
        for key, values in DEFAULTS.items()
        if key not in keys
    ]
    jobs = list(product(*defaults, *(choice.overrides for choice in given)))
    found: dict[str, Case] = {}
    for job, variant in zip(jobs, resolver.prepare([[*job, *COMMON] for job in jobs]), strict=True):
        if variant.impossible is not None:
            raise variant.impossible
        request = resolver.request(variant)
        found.setdefault(request.id, Case(job, request))
    return list(found.values())
