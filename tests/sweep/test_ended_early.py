"""A sweep that is ended while the process that is to train its runs still imports PyTorch."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import convscope

SOURCE = Path(convscope.__file__).parents[1]
PATIENCE_S = 60
NEVER_THERE = """
import os, pathlib, time
pathlib.Path(os.environ["IMPORTING"]).touch()
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.fixture
def importing(tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    """The command in a process group of its own, as at a terminal; its child's import lasts."""
    (tmp_path / "torch.py").write_text(NEVER_THERE)
    mark = tmp_path / "importing"
    command = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from convscope.cli.entry import train; train()",
            *("-m", "data=digits", "conv.stride=1,2", f"output_dir={tmp_path / 'outputs'}"),
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCE}", "IMPORTING": str(mark)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    give_up = time.monotonic() + PATIENCE_S
    while not mark.exists():
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)
    yield command
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("signum", "code"),
    [
        (signal.SIGINT, 128 + signal.SIGINT),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left_of_it(
    importing: "subprocess.Popen[str]", signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    if signum == signal.SIGINT:
        # Ctrl-C: all processes of the terminal get it.
        os.killpg(importing.pid, signum)
    else:
        importing.send_signal(signum)
    # Both hold these pipes: they end with the last of them.
    assert importing.communicate(timeout=PATIENCE_S) == ("", "")
    assert importing.returncode == code
    assert not (tmp_path / "outputs").exists()


def test_a_child_that_cannot_import_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import os; os._exit(7)")
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from convscope.cli.entry import train; train()",
            "-m",
            "data=digits",
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCE}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: the process ended with exit code 7\n"
