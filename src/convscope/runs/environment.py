"""Versions, source code and Git state that a run was made with, without importing torch."""

import contextlib
import functools
import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
DISTRIBUTIONS = (
    "convscope",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "hydra-core",
    "numpy",
    "scikit-learn",
    "tensorboard",
)
_GIT_TIMEOUT_S = 5


def source_versions() -> dict[str, str]:
    """Return the versions of Python and of those `DISTRIBUTIONS` that are installed."""
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@functools.cache
def source_fingerprint(package: Path = PACKAGE) -> str:
    """Return the SHA-256, in hex, over paths and contents of a package's .py files."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def git_state(package: Path = PACKAGE) -> dict[str, str | bool] | None:
    """Return `{"commit": …, "dirty": …}` of the Git checkout that tracks `package`, else None.

    `dirty` is whether the package's files differ from the commit. A package that is installed in an
    environment inside another project's checkout is not tracked there, which gives None.
    """
    if _git(package, "ls-files", "--error-unmatch", "--", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".")
    if commit is None or changes is None:
        return None
    return {"commit": commit.strip(), "dirty": changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    # GIT_DIR, as set in a hook, may name another checkout; optional locks could make the user's
    # own Git commands fail.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
