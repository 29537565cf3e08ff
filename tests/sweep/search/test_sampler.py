"""Proposals: of what is new alone, the same for the same knowledge, quiet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import convscope
from convscope.sweep.search.sampler import Sampler
from convscope.sweep.search.space import space_of
from convscope.sweep.search.trials import objectives_of

SOURCE = Path(convscope.__file__).parents[1]
SPACE = space_of({"conv.kernel_size": ("7", "3", "5"), "conv.padding": ("0", "half")})
BOTH = objectives_of(["val/accuracy", "summary/macs"])


@pytest.mark.parametrize("objectives", [BOTH, BOTH[:1]])
def test_a_proposal_is_new_whatever_is_left(objectives) -> None:
    sampler = Sampler(SPACE, objectives, seed=0)
    for left in SPACE.points():
        assert sampler.propose([], [], {left}) == left


def test_the_same_knowledge_gives_the_same_proposal() -> None:
    untried = set(SPACE.points())
    proposals = {Sampler(SPACE, BOTH, seed=3).propose([], [], untried) for _ in range(5)}
    assert len(proposals) == 1
    seeds = {Sampler(SPACE, BOTH, seed=seed).propose([], [], untried) for seed in range(20)}
    assert len(seeds) > 1


def test_what_is_being_trained_changes_the_draw() -> None:
    untried = set(SPACE.points())
    draws = set()
    for seed in range(5):
        sampler = Sampler(SPACE, BOTH, seed)
        pending = [sampler.propose([], [], untried)]
        draws.add(sampler.propose([], pending, untried) != pending[0])
    assert True in draws


def test_optuna_says_nothing() -> None:
    code = (
        "from convscope.sweep.search.trials import objectives_of\n"
        "from convscope.sweep.search.sampler import Sampler\n"
        "from convscope.sweep.search.space import space_of\n"
        "space = space_of({'conv.stride': ('1', '2')})\n"
        "Sampler(space, objectives_of('val/accuracy'), 0).propose([], [(0,)], {(1,)})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
