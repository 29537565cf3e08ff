import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from convscope.runs import environment
from convscope.runs.environment import git_state, source_fingerprint, source_versions


def test_versions_are_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "DISTRIBUTIONS", ("pytest", "no-such-distribution"))
    assert source_versions() == {
        "python": platform.python_version(),
        "pytest": metadata.version("pytest"),
    }


def test_versions_name_what_decides_a_result() -> None:
    assert {"torch", "pytorch-lightning", "numpy"} <= source_versions().keys()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "package"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "data" / "cache.py").write_text("SIZE = 1\n")
    return package


def test_fingerprint_follows_the_source_and_nothing_else(package: Path) -> None:
    first = source_fingerprint(package)
    assert len(first) == 64
    seen = {first}

    def changed() -> bool:
        source_fingerprint.cache_clear()
        new = source_fingerprint(package) not in seen
        seen.add(source_fingerprint(package))
        return new

    (package / "notes.txt").write_text("x")
    os.utime(package / "__init__.py", (0, 0))
    assert not changed()
    (package / "data" / "cache.py").write_text("SIZE = 2\n")
    assert changed()
    (package / "new.py").write_text("")
    assert changed()
    (package / "new.py").rename(package / "data" / "new.py")
    assert changed()


def test_fingerprint_of_a_copy_is_the_same(package: Path, tmp_path: Path) -> None:
    shutil.copytree(package, tmp_path / "installed")
    assert source_fingerprint(tmp_path / "installed") == source_fingerprint(package)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(package: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(package.parent, "init", "-q")
    git(package.parent, "add", "package")
    git(package.parent, "commit", "-q", "--no-verify", "-m", "x")
    return package.parent


def test_git_names_the_commit_and_whether_the_package_differs(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    package = checkout / "package"
    (checkout / "README.md").write_text("not the package's")
    assert git_state(package) == {"commit": commit, "dirty": False}
    (package / "data" / "cache.py").write_text("SIZE = 2\n")
    assert git_state(package) == {"commit": commit, "dirty": True}
    git(checkout, "checkout", "package")
    assert git_state(package) == {"commit": commit, "dirty": False}
    (package / "new.py").write_text("")
    assert git_state(package) == {"commit": commit, "dirty": True}


def test_a_package_installed_inside_another_checkout_is_not_its(checkout: Path) -> None:
    installed = checkout / ".venv" / "package"
    shutil.copytree(checkout / "package", installed)
    assert git_state(installed) is None


def test_a_hooks_variables_do_not_mislead(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    state = git_state(checkout / "package")
    assert state is not None
    assert state["commit"] == git(checkout, "rev-parse", "HEAD")


def test_without_a_checkout_a_commit_or_git_there_is_none(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git_state(package) is None
    if shutil.which("git") is not None:
        git(package.parent, "init", "-q")
        git(package.parent, "add", "package")
        assert git_state(package) is None
    monkeypatch.setenv("PATH", str(package))
    assert git_state(package) is None


@pytest.mark.skipif(sys.platform == "win32", reason="a script as git is POSIX's")
def test_a_git_that_hangs_is_not_waited_for(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = package.parent / "git"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{package.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(environment, "_GIT_TIMEOUT_S", 0.1)
    assert git_state(package) is None
