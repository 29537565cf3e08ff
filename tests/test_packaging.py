"""The wheel: what is in it, and that it works away from the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CLONE = Path(__file__).parents[1]
# Does what the command that pip puts into the environment does, and says where it comes from.
ENTER = """
import sys
from importlib.metadata import distribution
import convscope
(entry,) = distribution("convscope").entry_points.select(name="convscope-train")
print(convscope.__file__, file=sys.stderr)
entry.load()()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, CLONE], check=True
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def enter(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTER, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )


def test_the_wheel_has_configs_and_plugin_and_no_tests(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    configs = {f"convscope/configs/{f.relative_to(CLONE / 'configs').as_posix()}"
               for f in (CLONE / "configs").rglob("*.yaml")}  # fmt: skip
    assert {name for name in names if name.endswith(".yaml")} == configs
    assert {"hydra_plugins/convscope.py", "convscope/py.typed"} <= names
    # A namespace that belongs to Hydra: a file here would hide its other plugins.
    assert "hydra_plugins/__init__.py" not in names
    tops = {name.partition("/")[0] for name in names}
    assert {top.partition("-")[0] for top in tops} == {"convscope", "hydra_plugins"}
    assert not [name for name in names if "__pycache__" in name]


def test_it_trains_away_from_the_clone(installed: Path, tmp_path: Path) -> None:
    done = enter(
        installed, tmp_path, "data=digits", "trainer.fast_dev_run=true", "model.channels=[4,8]"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == str(installed / "convscope" / "__init__.py")
    assert "digits k3-s1-p1: test accuracy " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_its_sweeper_and_its_help_come_with_it(installed: Path, tmp_path: Path) -> None:
    shown = enter(installed, tmp_path, "--help")
    assert (shown.returncode, len(shown.stderr.splitlines())) == (0, 1)
    assert "model: base, deep, wide" in shown.stdout
    refused = enter(installed, tmp_path, "-m", "conv.stride=1,0")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[1:] == ["error: conv.stride must be at least 1, got 0"]
    assert list(tmp_path.iterdir()) == []
