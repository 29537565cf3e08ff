"""The text of `python scripts/train.py --help`, generated from the docstrings in schema.py."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import is_dataclass
from functools import cache
from itertools import pairwise
from typing import cast, get_type_hints

from convscope.config import schema as config
from convscope.geometry import FACTORS

_HEADER = """\
Train one CNN variant: what do a kernel size, a stride and a padding do to it?

  python scripts/train.py conv.stride=2                      one variant
  python scripts/train.py conv=k5-s2-p2 data=cifar10 seed=1  a preset, another data set
  python scripts/train.py -m conv.kernel_size=3,5 conv.stride=1,2   a grid, one run each
  python scripts/train.py -m hydra/sweeper=optuna conv.kernel_size=3,5,7 trials=2   a search
  tensorboard --logdir outputs                               compare the runs
"""
_FOOTER = """\
Groups, GROUP=CHOICE (files in configs/):
$APP_CONFIG_GROUPS
conv also takes a variant's label, conv=k7-s2-p3, and experiment a run's folder, to train it again
hydra/launcher: basic, ray, submitit_local, submitit_slurm
    trains the runs of -m here, or side by side; hydra.launcher.KEY as in configs/hydra/launcher/
See all values with --cfg job; run every combination of comma-separated values with -m.
"""


@cache
def help_node() -> dict[str, str]:
    """Return Hydra's config of `--help`, which prints its template."""
    keys = "\n".join(_section(name, kind) for name, kind in _groups())
    template = f"{_HEADER}\n{keys}\n{_FOOTER}"
    return {"app_name": "convscope", "header": "", "footer": "", "template": template}


def _groups() -> list[tuple[str, type]]:
    hints = get_type_hints(config.TrainConfig)
    groups = [(name, cast(type, kind)) for name, kind in hints.items() if is_dataclass(kind)]
    return [*groups, ("", config.TrainConfig)]


def _section(group: str, kind: type) -> str:
    prefix = f"{group}." if group else ""
    return "".join(
        textwrap.fill(
            doc, width=98, initial_indent=f"{prefix + key:<30}", subsequent_indent=" " * 30
        )
        + "\n"
        for key, doc in field_meanings(kind).items()
    )


def field_meanings(kind: type) -> dict[str, str]:
    """Return the docstring of each field of a config's dataclass, in order."""
    if kind is config.ConvConfig:
        return {factor.key: factor.meaning for factor in FACTORS}
    (body,) = (n.body for n in ast.parse(inspect.getsource(kind)).body if hasattr(n, "body"))
    docs = {}
    for entry, below in pairwise(body):
        match entry, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=doc)):
                docs[name] = " ".join(str(doc).split())
    return docs
