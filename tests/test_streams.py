"""What a command writes to may vanish, be full, slow or know ASCII alone: it goes on."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from convscope.cli import train as cli
from convscope.errors import UserError
from convscope.streams import guarded_streams, print_error, print_stderr, run_command
from convscope.training.signals import Interrupted, Signals

needs_full = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
    "trainer.accelerator=cpu",
)


def stream(descriptor: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    """As Python opens standard output."""
    return open(descriptor, "w", encoding=encoding)


@contextmanager
def standard_output(descriptor: int) -> Iterator[io.TextIOWrapper]:
    with stream(descriptor) as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        yield out


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def unread_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@needs_full
def test_a_full_disk_takes_what_is_written_and_is_known() -> None:
    with standard_output(full_disk()) as full:
        with guarded_streams() as out:
            for _ in range(3):
                print("x" * 100_000, flush=True)
        assert sys.stdout is full
    assert out is not None
    assert out.error is not None
    assert out.error.errno == errno.ENOSPC


def test_a_reader_that_has_gone() -> None:
    with standard_output(unread_pipe()), guarded_streams() as out:
        print("x" * 100_000, flush=True)
    assert out is not None
    assert isinstance(out.error, BrokenPipeError)


def test_a_stream_that_knows_ascii_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr("sys.stdout", out)
        with guarded_streams():
            print("a ─ é")
    assert (tmp_path / "out").read_bytes() == b"a ? ?\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that do not block")
def test_a_slow_reader_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    read: list[bytes] = []
    with open(reader, "rb") as pipe:
        slow = threading.Thread(target=lambda: read.append(pipe.read()))
        with stream(writer) as out:
            monkeypatch.setattr("sys.stdout", out)
            with guarded_streams():
                # More than a pipe holds, before anybody reads.
                threading.Timer(0.1, slow.start).start()
                print("x" * 1_000_000)
        slow.join()
    assert read == [b"x" * 1_000_000 + b"\n"]


def test_what_a_program_puts_in_their_place_is_left_there(monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.StringIO()
    monkeypatch.setattr("sys.stdout", own)
    with guarded_streams() as out:
        assert sys.stdout is own
        print("told")
    assert out is None
    assert own.getvalue() == "told\n"


@needs_full
def test_a_command_says_on_standard_error_that_its_answer_is_lost(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with standard_output(full_disk()):
        assert run_command(lambda: print("the answer")) == 1
    assert capfd.readouterr().err == (
        "standard output could not be written: No space left on device\n"
    )


def test_a_reader_that_has_gone_is_not_told_of_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with standard_output(unread_pipe()):
        assert run_command(lambda: print("the answer")) == 1
    assert capfd.readouterr().err == ""


def raises(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UserError("study is missing\nname one"), 2, "error: study is missing\nname one\n"),
        (KeyboardInterrupt(), 130, ""),
        (KeyboardInterrupt(signal.SIGTERM), 143, ""),
    ],
)
def test_how_a_command_ends(
    error: BaseException, code: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raises(error)) == code
    assert capfd.readouterr() == ("", told)


def test_no_name_moves_the_cursor_or_forges_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    print_stderr("run \x1b[2Ja\nerror: b\u202e failed")
    print_error(UserError("no class \x1b]0;x\x07\ncheck it"))
    assert capfd.readouterr().err.splitlines() == [
        r"run \x1b[2Ja\nerror: b\u202e failed",
        r"error: no class \x1b]0;x\x07",
        "check it",
    ]


@needs_full
@pytest.mark.parametrize("streams", ["full", "ascii"])
def test_a_run_is_finished_whatever_its_streams_are(
    streams: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["scripts/train.py", *TINY, "output_dir=out"])
    place = Path("/dev/full" if streams == "full" else os.devnull)
    with place.open("w", encoding="ascii") as out, place.open("w", encoding="ascii") as err:
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", err)
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 0
    (record,) = tmp_path.glob("out/default/*/run.json")
    assert json.loads(record.read_text())["status"] == "finished"
    GlobalHydra.instance().clear()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_stream_that_is_closed_is_no_file_that_is_opened_later(tmp_path: Path) -> None:
    code = (
        "from convscope.streams import guarded_streams, open_missing; open_missing()\n"
        "import sys\n"
        "with guarded_streams(), open('mine', 'w') as mine:\n"
        "    print('a'); print('b', file=sys.stderr); assert mine.fileno() > 2"
    )
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 0<&- 1>&- 2>&-', sys.executable, code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "mine").read_text() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_terminal_that_goes_away_interrupts_a_run_unless_nohup_says_otherwise() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(Interrupted, match="SIGHUP"):
                signals.check()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            signals.check()
    finally:
        signal.signal(signal.SIGHUP, before)
