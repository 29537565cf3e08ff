"""Prints the tables of paired-by-image.md, from 1,000 planted studies per row.

python docs/decisions/paired_by_image.py [STUDIES]
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.analysis.planted_answers import (
    ACCURACIES,
    VARIANT_BY_IMAGE,
    Plan,
    error_and_power,
    qualities,
)

KINDS = ("equal", "noisy", "mixed", "pair")


def main(studies: int) -> None:
    """Print a row per kind of study."""
    print("false differences: variants, seeds, variances: by image, without answers")
    for variants, seeds in ((12, 3), (12, 5), (12, 2), (2, 2), (2, 3), (2, 5)):
        for kind in KINDS:
            plan = Plan(np.full(variants, 0.978), seeds, quality=qualities(variants, kind))
            _show(f"{variants}, {seeds}, {kind}", plan, studies, "false")
    print("no interaction")
    for seeds in (3, 5):
        plan = Plan(np.full(12, 0.978), seeds, interaction=0, quality=qualities(12, "equal"))
        _show(f"12, {seeds}, equal", plan, studies, "false")
    print("6 equal, 6 far apart")
    for seeds in (3, 5):
        far = np.r_[0.5 + 0.06 * np.arange(6), np.full(6, 0.978)]
        plan = Plan(far, seeds, quality=qualities(12, "pair"))
        _show(f"12, {seeds}, pair", plan, studies, "false")
    print("true differences found: seeds, variances, interaction: by image, without answers")
    for seeds in (3, 5, 10):
        for kind in KINDS:
            for interaction in (0.0, VARIANT_BY_IMAGE):
                plan = Plan(ACCURACIES, seeds, 10_000, interaction, qualities(12, kind))
                _show(f"{seeds}, {kind}, {interaction}", plan, studies // 4, "power")


def _show(name: str, plan: Plan, studies: int, column: str) -> None:
    found = error_and_power(plan, studies)[column]
    print(f"{name}: {found.iloc[0]:.1%}, {found.iloc[1]:.1%}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
