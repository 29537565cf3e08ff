"""Ctrl-C while a command still imports: its exit code, and not a word."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import convscope
from convscope import entry

SOURCE = Path(convscope.__file__).parents[1]
SCRIPTS = SOURCE.parent / "scripts"
INTERRUPTS = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(10)
"""
# A script, its arguments, and something that it imports early, late, or within another import.
IMPORTING = [
    ("train.py", ["data=digits"], "hydra"),
    ("train.py", ["data=digits"], "torch"),
    ("train.py", ["-m", "data=digits", "conv.stride=1,2"], "torch"),
    ("explain.py", ["sample"], "rich"),
    ("explain.py", ["sample"], "torch"),
    ("compare.py", ["outputs"], "pandas"),
    ("benchmark.py", ["--quick", "data=digits"], "torch"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("script", "arguments", "module"), IMPORTING)
def test_an_interrupt_within_an_import_ends_a_command_quietly(
    script: str, arguments: list[str], module: str, tmp_path: Path
) -> None:
    package = tmp_path / "first" / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INTERRUPTS)
    (tmp_path / "outputs").mkdir()
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package.parent), str(SOURCE)])},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_elsewhere_an_interrupt_is_python_s_own() -> None:
    with pytest.raises(KeyboardInterrupt):
        entry._interrupt(signal.SIGINT, sys._getframe())
