"""What is measured: each variant and batch size of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from convscope.errors import UserError
from convscope.lesson.grid import split
from convscope.training.request import RunRequest
from convscope.training.resolve import Resolver

DEFAULTS = {"conv": ["k3-s2-p1", "k3-s1-p1", "k5-s2-p2"], "data.batch_size": ["256", "64"]}
QUICK_DEFAULTS = {"conv": ["k3-s2-p1"], "data.batch_size": ["256"]}
ALIKE = (
    "data.flip=false",
    "data.shift=0",
    "data.cutout=0",
    "trainer.gradient_clip_val=null",
    "trainer.max_steps=null",
    "trainer.max_time=null",
    "trainer.fast_dev_run=false",
    "trainer.devices=1",
)
"""What all that are compared leave out."""
_SET_HERE = {
    *(word.partition("=")[0] for word in ALIKE),
    "trainer.max_epochs",
    "trainer.limit_train_batches",
    *("compile", "output_dir", "study", "repeat", "plan", "rerun", "sweep", "experiment"),
}


@dataclass(frozen=True)
class Case:
    """A variant at a batch size.

    Attributes:
        overrides: that ask `train.py` for it.
        request: a run of it, on this machine and its data.
    """

    overrides: tuple[str, ...]
    request: RunRequest

    @property
    def variant(self) -> str:
        return self.request.variant.label

    @property
    def batch_size(self) -> int:
        return self.request.config.data.batch_size


def cases(words: Sequence[str], quick: bool, resolver: Resolver) -> list[Case]:
    """Every combination of the values given; what is not given is of the default grid.

    Raises:
        UserError: a key that the benchmark sets itself, a value that no run could have, or an
            impossible variant.
    """
    given = split(words)
    keys = {one.key for one in given}
    for key in sorted(keys & set(_SET_HERE)):
        raise UserError(f"{key} cannot be given: the benchmark sets it itself")
    chosen = dict(QUICK_DEFAULTS if quick else DEFAULTS)
    if any(key.startswith("conv.") for key in keys):
        del chosen["conv"]
    defaults = [
        [f"{key}={value}" for value in values] for key, values in chosen.items() if key not in keys
    ]
    jobs = [list(job) for job in product(*defaults, *(one.words for one in given))]
    made: dict[str, Case] = {}
    for job, variant in zip(jobs, resolver.prepare([[*job, *ALIKE] for job in jobs]), strict=True):
        if variant.impossible is not None:
            raise variant.impossible
        request = resolver.request(variant)
        made.setdefault(request.id, Case(tuple(job), request))
    return list(made.values())
