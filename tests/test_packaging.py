"""The wheel: what is in it, what it asks for, and that it works away from the clone."""

import os
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

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
    assert "model: airbench, base, custom, deep" in shown.stdout
    refused = enter(installed, tmp_path, "-m", "conv.stride=1,0")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[1:] == ["error: conv.stride must be at least 1, got 0"]
    assert list(tmp_path.iterdir()) == []


FIXED = {
    "filelock": ("4.2.1", "CVE-2025-68146, CVE-2026-22701, CVE-2026-112911, CVE-2026-112934"),
    "grpcio": ("1.66.2", "CVE-2024-7246, CVE-2024-11407"),
    "hydra-core": ("1.3.7", "CVE-2026-68508, CVE-2026-106439"),
    "pillow": ("12.3.0", "CVE-2026-42308, CVE-2026-55798, CVE-2026-59197 to CVE-2026-59200"),
    "playwright": ("1.55.1", "CVE-2025-59288"),
    "pytest": ("9.0.3", "CVE-2025-71176"),
    "pytorch-lightning": ("2.6.6", "CVE-2026-31221, GHSA-w37p-236h-pfx3"),
    "ray": ("2.56.0", "CVE-2025-62593, CVE-2026-27482, CVE-2026-57516"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206"),
    "torch": ("2.13.0", "CVE-2025-3000, CVE-2025-32434, CVE-2026-4538, CVE-2026-24747"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "werkzeug": ("3.1.6", "GHSA-29vq-49wr-vm6x, GHSA-87hc-h4r5-73f7"),
}
"""The first versions without known advisories, and those that older ones have."""


def floors() -> dict[str, Version]:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    requirements = [Requirement(one) for one in listed if not one.startswith("convscope")]
    return {one.name: Version(next(iter(one.specifier)).version) for one in requirements}


@pytest.mark.parametrize("package", FIXED)
def test_no_version_with_a_known_advisory_is_taken(package: str) -> None:
    first_fixed, _ = FIXED[package]
    assert floors()[package] >= Version(first_fixed)


def test_the_tested_versions_are_among_those_that_are_taken() -> None:
    lines = (CLONE / "constraints.txt").read_text().splitlines()
    pinned = [line.lower().replace("_", "-").split("==") for line in lines if "==" in line]
    tested = {package: Version(version) for package, version in pinned}
    for package, floor in floors().items():
        assert tested[package] >= floor, package
