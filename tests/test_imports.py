"""Imports point one way, and what must start quickly starts without torch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import convscope

SOURCE = Path(convscope.__file__).parents[1]
CLONE = SOURCE.parent
HEAVY = ("torch", "torchvision", "pytorch_lightning", "sklearn", "matplotlib", "tensorboard")


def test_imports_point_one_way(tmp_path: Path) -> None:
    config = tmp_path / "pyproject.toml"
    shutil.copy(CLONE / "pyproject.toml", config)
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--config", config, "--no-cache"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "from convscope import UserError, load, train",
        "import convscope.geometry, convscope.config.schema, convscope.tables",
        "import convscope.runs.record, convscope.runs.study, convscope.runs.directory",
        "from convscope.training.resolve import RunResolver\n"
        "RunResolver().prepare([['conv.stride=2', 'data=cifar10']])",
        "import sys; sys.argv[1:] = ['--help']; from convscope.cli.train import main; main()",
        "import sys; sys.argv[1:] = ['--help']\nfrom convscope.cli.benchmark import main; main()",
        "import sys; sys.argv[1:] = ['conv.strid=2']\n"
        "from convscope.cli.benchmark import main; main()",
    ],
)
def test_it_starts_without_torch(code: str, tmp_path: Path) -> None:
    at_the_end = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", at_the_end + code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_a_sweep_imports_torch_in_the_process_that_trains_its_runs_and_nowhere_else(
    tmp_path: Path,
) -> None:
    """Else it would be imported twice, one after the other, and held in memory twice."""
    code = (
        "import atexit, sys\n"
        "found = lambda: {'torch', 'pytorch_lightning', 'torchvision'} & sys.modules.keys()\n"
        "atexit.register(lambda: print('imported:', found()))\n"
        "from convscope.cli.entry import train; train()"
    )
    tiny = ("data=digits", "model.channels=[4,8]", "trainer.max_steps=2", "conv.stride=2")
    done = subprocess.run(
        [sys.executable, "-c", code, "-m", *tiny],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported: set()"
