"""What made a run, as far as it can be told without importing torch."""

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
_GIT_PATIENCE_S = 5


def source_versions() -> dict[str, str]:
    """Return the versions of Python and of each installed one of `DISTRIBUTIONS`."""
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@functools.cache
def source_fingerprint(package: Path = PACKAGE) -> str:
    """sha256 over paths and contents of a package's .py files, in a checkout or installed."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def git_state(package: Path = PACKAGE) -> dict[str, str | bool] | None:
    """`{"commit": …, "dirty": …}` of the checkout that tracks `package`, else None.

    `dirty` says whether the package's own files differ from the commit. An environment that lies
    inside somebody else's checkout is not tracked by it, so a wheel there gives None.
    """
    if _git(package, "ls-files", "--error-unmatch", "--", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".")
    if commit is None or changes is None:
        return None
    return {"commit": commit.strip(), "dirty": changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    # A hook's GIT_DIR would name another checkout; optional locks would disturb the user's git.
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
            timeout=_GIT_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
