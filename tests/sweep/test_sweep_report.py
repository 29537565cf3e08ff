"""The report that a sweep leaves in its study's folder."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from convscope import report
from convscope.runs.study import read_study

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
)
STRIDES = ("-m", *TINY, "conv.stride=1,2")
STUDY = Path("outputs/default")
PAGE, TEXT = STUDY / "report.html", STUDY / "report.md"


def stamps() -> dict[str, int]:
    """When each of the report's files was last replaced."""
    return {path.name: os.stat(path).st_mtime_ns for path in STUDY.glob("report*")}


def test_a_sweep_leaves_its_report_and_writes_it_anew_only_when_runs_changed(
    command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = command(*STRIDES)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == f"report: {PAGE}"
    assert {path.name for path in STUDY.glob("report*")} >= {"report.html", "report.md"}
    page, text = PAGE.read_text("utf-8"), TEXT.read_text("utf-8")
    typed = "python scripts/train.py -m data=digits 'model.channels=[4,8]' trainer.max_epochs=1"
    assert f"```sh\n{typed} trainer.limit_train_batches=12 conv.stride=1,2\n```" in text
    assert all(variant in part for variant in ("k3-s1-p1", "k3-s2-p1") for part in (page, text))
    # What else reads the folder takes no notice.
    assert [record.variant for record in read_study(STUDY)[0]] == ["k3-s1-p1", "k3-s2-p1"]
    assert read_study(STUDY)[1] == []

    before = stamps()
    again = command(*STRIDES)
    assert (again.code, again.out) == (0, ended.out)
    assert stamps() == before

    TEXT.unlink()
    command(*STRIDES)
    assert TEXT.read_text("utf-8") == text
    assert PAGE.read_text("utf-8") == page

    def fail(*_: object) -> None:
        raise ValueError("two\nlines")

    with monkeypatch.context() as patched:
        patched.setattr(report, "write", fail)
        more = command(*STRIDES, "seed=1")
        assert more.code == 0
        assert "k3-s2-p1" in more.out
        assert "report:" not in more.out
        assert more.err.splitlines()[-1] == f"{STUDY} has no new report: two lines"
        assert PAGE.read_text("utf-8") == page

    # What the failure kept back is made good by the same command.
    command(*STRIDES, "seed=1")
    assert TEXT.read_text("utf-8") != text
    assert "default: 4 runs of 2 variants (4 finished)" in TEXT.read_text("utf-8")


def test_a_sweep_with_a_failed_run_says_so_in_its_report(command: Callable) -> None:
    ended = command("-m", *TINY, "optim.lr=1e30,0.02")
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == f"report: {PAGE}"
    assert "failed, seed 0: the loss is nan at step 2" in TEXT.read_text("utf-8")


@pytest.mark.parametrize(
    "typed",
    [TINY, (*STRIDES, "plan=true"), (*STRIDES, "trainer.fast_dev_run=true")],
    ids=["a single run", "a plan", "fast_dev_run"],
)
def test_no_report(command: Callable, typed: tuple[str, ...]) -> None:
    ended = command(*typed)
    assert ended.code == 0
    # The findings may have the word.
    assert not re.search(r"report[.:]|new report", ended.out + ended.err)
    assert not list(Path().rglob("report*"))
