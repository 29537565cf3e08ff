"""What is measured: each variant and batch size of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from convscope.config.expand import expand
from convscope.errors import UserError
from convscope.training.request import RunRequest
from convscope.training.resolve import RunResolver

DEFAULTS = {"conv": ["k3-s2-p1", "k3-s1-p1", "k5-s2-p2"], "data.batch_size": ["256", "64"]}
"""The values of a key that is not given; a quick benchmark takes the first one."""
COMMON = (
    "data.flip=false",
    "data.shift=0",
    "data.cutout=0",
    "trainer.gradient_clip_val=null",
    "trainer.max_steps=null",
    "trainer.max_time=null",
    "trainer.fast_dev_run=false",
    "trainer.devices=1",
)
"""Overrides of every run: what the baselines do not do either."""
_SET_HERE = {
    *(override.partition("=")[0] for override in COMMON),
    *("trainer.max_epochs", "trainer.limit_train_batches"),
    *("compile", "output_dir", "study", "repeat", "plan", "rerun", "sweep", "experiment"),
}


@dataclass(frozen=True)
class Case:
    """A variant at a batch size: the overrides that ask for it, and a run of it here."""

    overrides: tuple[str, ...]
    request: RunRequest

    @property
    def variant(self) -> str:
        return self.request.variant.label

    @property
    def batch_size(self) -> int:
        return self.request.config.data.batch_size


def cases(overrides: Sequence[str], quick: bool, resolver: RunResolver) -> list[Case]:
    """Return every combination of the values given; a key that is not given has its default grid.

    Raises:
        UserError: a key that the benchmark sets itself, a value that no run could have, or an
            impossible variant.
    """
    given = expand(overrides)
    keys = {one.key for one in given}
    for key in sorted(keys & _SET_HERE):
        raise UserError(f"{key} cannot be given: the benchmark sets it itself")
    if any(key.startswith("conv.") for key in keys):
        keys.add("conv")
    defaults = [
        [f"{key}={value}" for value in values[: 1 if quick else None]]
        for key, values in DEFAULTS.items()
        if key not in keys
    ]
    jobs = list(product(*defaults, *(one.overrides for one in given)))
    found: dict[str, Case] = {}
    for job, variant in zip(jobs, resolver.prepare([[*job, *COMMON] for job in jobs]), strict=True):
        if variant.impossible is not None:
            raise variant.impossible
        request = resolver.request(variant)
        found.setdefault(request.id, Case(job, request))
    return list(found.values())
