"""Ctrl-C and SIGTERM wherever a command is: its exit code, not a word, and no part of a file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import convscope
from convscope.cli import entry
from convscope.errors import interrupted_code

SOURCE = Path(convscope.__file__).parents[1]
SCRIPTS = SOURCE.parent / "scripts"
INTERRUPTS = """
import os, signal, time
os.kill(os.getpid(), signal.{name})
time.sleep(10)
"""
# A script, its arguments, and something that it imports early, late, or within another import.
IMPORTING = [
    ("train.py", ["data=digits"], "hydra"),
    ("train.py", ["data=digits"], "torch"),
    ("train.py", ["-m", "data=digits", "conv.stride=1,2"], "filelock"),
    ("explain.py", ["sample"], "rich"),
    ("explain.py", ["sample"], "torch"),
    ("compare.py", ["outputs"], "pandas"),
    ("benchmark.py", ["--quick", "data=digits"], "torch"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("script", "arguments", "module", "signum"),
    [
        *((*importing, signal.SIGINT) for importing in IMPORTING),
        (*IMPORTING[0], signal.SIGTERM),
        (*IMPORTING[3], signal.SIGTERM),
    ],
)
def test_a_signal_within_an_import_ends_a_command_quietly(
    script: str, arguments: list[str], module: str, signum: signal.Signals, tmp_path: Path
) -> None:
    package = tmp_path / "first" / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INTERRUPTS.format(name=signum.name))
    (tmp_path / "outputs").mkdir()
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package.parent), str(SOURCE)])},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signum, "", "")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_elsewhere_what_was_begun_is_tidied_up(signum: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt) as raised:
        entry._interrupt(signum, sys._getframe())
    assert interrupted_code(raised.value) == 128 + signum


# What a command does in mid-file, and its arguments.
WRITING = """
import os, signal, sys
from contextlib import contextmanager
from convscope import files
from convscope.cli import entry

command, signum = sys.argv.pop(1), int(sys.argv.pop())
create_file = files.create_file

class Stopped:
    def __init__(self, path, file):
        self.path, self.file = path, file

    def write(self, data):
        self.file.write(data[:100])
        print("writes", self.path.name, flush=True)
        os.kill(os.getpid(), signum)

    def __getattr__(self, name):
        return getattr(self.file, name)

@contextmanager
def stopped(path):
    with create_file(path) as file:
        yield Stopped(path, file)

files.create_file = stopped
getattr(entry, command)()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_a_page_is_written_leaves_no_part_of_it(name: str, tmp_path: Path) -> None:
    signum = signal.Signals[name]
    done = command_in(tmp_path, WRITING, "explain", "--html", "page.html", f"{signum:d}")
    assert done == (128 + signum, "writes .page.html.tmp\n", "")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN){WRITING}"
    code, _, errors = command_in(
        tmp_path, ignoring, "explain", "--html", "page.html", f"{signal.SIGHUP:d}"
    )
    assert (code, errors) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def command_in(folder: Path, program: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a program in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["train", "explain", "compare", "predict", "benchmark"])
def test_one_command_does_what_each_script_does(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    # The handlers of this process stay.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(f"convscope.cli.{command}.main", lambda: called.append(sys.argv) or 7)
    monkeypatch.setattr(sys, "argv", ["convscope", command, "conv.stride=2", "--json"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert (ended.value.code, called) == (7, [["convscope", "conv.stride=2", "--json"]])


@pytest.mark.parametrize("typed", [[], ["teach"], ["--json"]])
def test_a_command_that_there_is_not_is_told(
    typed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["convscope", *typed])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err == (
        "error: name one of train, explain, compare, predict, benchmark,"
        f" got {' '.join(typed) or 'nothing'}: see --help\n"
    )


def test_help_names_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["convscope", "--help"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 0
    named = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:2] == "  "]
    assert named == ["train", "explain", "compare", "predict", "benchmark"]
