"""Sweeps typed at a prompt, and what the same sweep gives without an engine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .typed_sweeps import GRID, SCRIPT, SOURCE, TINY, Type, Typed, records, results


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[Type]:
    """`scripts/train.py ARGUMENTS` in an empty folder: `typed(*arguments, **environment)`."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> Typed:
        process = subprocess.Popen(
            [sys.executable, SCRIPT, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(SOURCE)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Typed(process, tmp_path)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Results of two variants with two seeds, trained one by one on one thread."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run(
        [sys.executable, SCRIPT, "-m", *TINY, *GRID],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    found = records(folder)
    assert len(found) == 4
    return results(found)
