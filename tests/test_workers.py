"""What the workers of `pytest -n` share out."""

import re
from pathlib import Path

from .conftest import LONG, ONE_WORKER, group_of

TESTS = Path(__file__).parent
CLUSTERS = re.compile(r'importorskip\("(ray|submitit)"|import (ray|submitit)\b|\bslurm_cluster\b')


def test_clusters_are_started_by_one_worker() -> None:
    files = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    starting = {path for path in files if CLUSTERS.search(path.read_text())}
    assert {"test_ray.py", "test_submitit.py"} <= {path.name for path in starting}
    assert len({group_of(path.as_posix()) for path in starting}) == 1


def test_each_folder_that_one_worker_runs_is_there() -> None:
    folders = {folder.name for folder in TESTS.rglob("*/")}
    assert set(ONE_WORKER) <= folders


def test_each_file_that_starts_early_is_there() -> None:
    assert set(LONG) <= {path.name for path in TESTS.rglob("test_*.py")}
