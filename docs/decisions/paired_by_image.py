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
    """Print the rows of three tables."""
    print("variants, seeds, images, variances, interaction: false differences by image, before")
    for variants, seeds in ((2, 2), (2, 3), (2, 5), (12, 2), (12, 3), (12, 5), (12, 10), (30, 5)):
        for kind in KINDS:
            plan = Plan(np.full(variants, 0.978), seeds, quality=qualities(variants, kind))
            _show(f"{variants}, {seeds}, 10000, {kind}, yes", plan, studies, "false")
    for seeds in (3, 5):
        plan = Plan(np.full(12, 0.978), seeds, 10_000, 0.0, qualities(12, "equal"))
        _show(f"12, {seeds}, 10000, equal, no", plan, studies, "false")
        plan = Plan(np.full(12, 0.978), seeds, 360, VARIANT_BY_IMAGE, qualities(12, "equal"))
        _show(f"12, {seeds}, 360, equal, yes", plan, studies, "false")
    print("partial null, 12 variants, 6 equal and 6 far: false differences by image, before")
    far = np.r_[np.full(6, 0.978), 0.5 + 0.06 * np.arange(6)]
    for seeds in (2, 3, 5, 10):
        for kind in KINDS:
            plan = Plan(far, seeds, quality=qualities(12, kind)[::-1])
            _show(f"{seeds}, {kind}", plan, studies, "false")
    print("power with 12 real accuracies: seeds, variances, interaction: by image, before")
    for seeds in (2, 3, 5, 10):
        for kind in KINDS:
            for interaction in (0.0, VARIANT_BY_IMAGE):
                plan = Plan(ACCURACIES, seeds, 10_000, interaction, qualities(12, kind))
                _show(f"{seeds}, {kind}, {interaction}", plan, studies // 4, "power")
    print("power with 6 variants better by 0.3 points: seeds, interaction: by image, before")
    for seeds in (3, 5, 10):
        for interaction in (0.0, VARIANT_BY_IMAGE):
            plan = Plan(np.repeat([0.981, 0.978], 6), seeds, 10_000, interaction)
            _show(f"{seeds}, {interaction}", plan, studies // 4, "power")


def _show(name: str, plan: Plan, studies: int, column: str) -> None:
    found = error_and_power(plan, studies)[column]
    print(f"{name}: {found.iloc[0]:.1%}, {found.iloc[1]:.1%}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
