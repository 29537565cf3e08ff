"""The help page of each command, word by word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("page", sorted((HERE / "help").glob("*.txt")), ids=lambda page: page.stem)
def test_it_says_what_it_said(page: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"{page.stem}.py", "--help"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == page.read_text("utf-8")


def test_each_command_has_a_page() -> None:
    pages = {page.stem for page in (HERE / "help").glob("*.txt")}
    assert pages == {script.stem for script in SCRIPTS.glob("*.py")}
