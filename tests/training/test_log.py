"""What goes to train.log, and that all is as before afterwards."""

import logging
import os
import sys
import threading
import warnings
from pathlib import Path

import pytest

from convscope.errors import UserError
from convscope.training.log import LogFile, logged_to

log = logging.getLogger("convscope.training.anything")


def speak() -> None:
    log.info("from the run")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").warning("from Lightning")
    warnings.warn("from PyTorch", UserWarning, stacklevel=1)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


def test_all_goes_to_the_file_and_nothing_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "train.log"
    with logged_to(LogFile(path)):
        assert not path.exists()
        speak()
    text = path.read_text()
    for message in ("from the run", "from Lightning", "from PyTorch", "ZeroDivisionError"):
        assert text.count(message) >= 1
    assert capfd.readouterr() == ("", "")


def test_a_second_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for message in ("first", "second"):
        with logged_to(LogFile(tmp_path / "train.log")):
            log.info(message)
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["first", "second"]


def test_without_a_file_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with logged_to(logging.NullHandler()):
        speak()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_all_is_as_before(tmp_path: Path, fails: bool) -> None:
    lightning = logging.getLogger("pytorch_lightning")

    def state() -> object:
        return (
            lightning.level,
            lightning.propagate,
            lightning.handlers[:],
            threading.excepthook,
            warnings.filters[:],
        )

    before = state()
    try:
        with logged_to(LogFile(tmp_path / "train.log")):
            assert state() != before
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert state() == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_is_told_by_the_message_that_found_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    # No regular file is full for ever.
    monkeypatch.setattr("convscope.training.log.open_regular", os.open)
    with (
        logged_to(LogFile(full)),
        pytest.raises(UserError, match="^/dev/full could not be written: No space left on device$"),
    ):
        log.info("a message")
    with logged_to(LogFile(full)):
        try:
            raise ValueError
        except ValueError:
            log.exception("told by the record as well")
    assert capfd.readouterr() == ("", "")
