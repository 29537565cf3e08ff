import dataclasses
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.lock import RunLock, archive_run
from convscope.runs.record import KILLED, RunRecord, write_record
from convscope.runs.study import find_run, read_study


def add(study: Path, name: str, record: RunRecord) -> Path:
    folder = study / name
    folder.mkdir(parents=True)
    write_record(folder / "run.json", dataclasses.replace(record, name=name))
    return folder


def test_good_runs_are_read_and_the_rest_is_named(
    tmp_path: Path, record: RunRecord, running: RunRecord
) -> None:
    add(tmp_path, "b", record)
    add(tmp_path, "a", record)
    add(tmp_path, "killed", running)
    alive = add(tmp_path, "alive", running)
    whole = (tmp_path / "a" / "run.json").read_text()
    contents = {
        "cut": whole[:300],
        "empty": "",
        "foreign": '{"name": "npm", "version": "1.0"}',
        "future": whole.replace('"schema": 1', '"schema": 2'),
        "text": "hello",
    }
    for name, content in contents.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "run.json").symlink_to(tmp_path / "a" / "run.json")

    with RunLock(alive):
        records, aside = read_study(tmp_path)

    assert [(record.name, record.status, record.reason) for record in records] == [
        ("a", "finished", None),
        ("alive", "running", None),
        ("b", "finished", None),
        ("killed", "interrupted", KILLED),
    ]
    assert [record.path for record in records] == [
        tmp_path / name for name in ("a", "alive", "b", "killed")
    ]
    reasons = {entry.path.name: entry.reason for entry in aside}
    assert set(reasons) == {"cut", "empty", "foreign", "future", "text", "loop", "linked"}
    assert reasons["empty"] == f"{tmp_path / 'empty' / 'run.json'} is empty"
    assert "cut/run.json is not valid JSON" in reasons["cut"]
    assert "it has no schema" in reasons["foreign"]
    assert "schema must be 1, got 2" in reasons["future"]
    assert "text/run.json is not valid JSON" in reasons["text"]
    assert reasons["loop"] == f"{tmp_path / 'loop'} is a link, not followed"
    assert reasons["linked"].endswith("linked/run.json is not a regular file")


def test_a_run_moved_aside_is_no_longer_the_studys(tmp_path: Path, record: RunRecord) -> None:
    add(tmp_path, "a", record)
    archive_run(tmp_path / "a")
    assert read_study(tmp_path) == ([], [])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def without_rights(check: Callable[[], None]) -> None:
    """Run `check` as a user that rights apply to: root is let through everywhere."""
    if os.geteuid() != 0:
        check()
        return
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            check()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="rights are POSIX's")
def test_what_one_may_not_open_is_named_and_the_rest_goes_on(
    open_folder: Path, record: RunRecord
) -> None:
    add(open_folder, "a", record)
    add(open_folder, "closed", record).chmod(0)
    (add(open_folder, "secret", record) / "run.json").chmod(0)

    def check() -> None:
        records, aside = read_study(open_folder)
        assert [record.name for record in records] == ["a"]
        assert [entry.reason for entry in aside] == [
            f"{open_folder / 'closed'} cannot be opened: Permission denied",
            f"{open_folder / 'secret' / 'run.json'} cannot be read: Permission denied",
        ]

    try:
        without_rights(check)
    finally:
        (open_folder / "closed").chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="rights are POSIX's")
def test_another_users_study_can_be_read_but_not_claimed(
    open_folder: Path, running: RunRecord
) -> None:
    run = add(open_folder / "study", "a", running)
    old_mask = os.umask(0o022)
    try:
        with RunLock(run):
            if os.geteuid() == 0:
                without_rights(lambda: _sees_it_running(run))
            else:
                _sees_it_running(run)
    finally:
        os.umask(old_mask)

    def check() -> None:
        assert [record.status for record in read_study(run.parent)[0]] == ["interrupted"]
        with pytest.raises(UserError, match=r"b cannot be claimed: Permission denied; set output"):
            RunLock(run.parent / "b").try_acquire()
        if os.geteuid() == 65534:
            with pytest.raises(UserError, match=r"a cannot be claimed: Permission denied"):
                RunLock(run).try_acquire()

    run.parent.chmod(0o555)
    try:
        without_rights(check)
    finally:
        run.parent.chmod(0o755)


def _sees_it_running(run: Path) -> None:
    assert [record.status for record in read_study(run.parent)[0]] == ["running"]


def test_a_run_is_found_by_path_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: RunRecord
) -> None:
    outputs = tmp_path / "outputs"
    run = add(outputs / "one", "mnist-k3", record)
    add(outputs / "two", "mnist-k5", record)
    for text in (run, str(run), run / "run.json", "one/mnist-k3", "mnist-k3"):
        assert find_run(text, outputs) == RunDirectory(run)
    monkeypatch.chdir(outputs / "one")
    assert find_run("mnist-k3", tmp_path / "none").path.resolve() == run


def test_a_run_in_a_study_that_is_a_link_is_found(tmp_path: Path, record: RunRecord) -> None:
    add(tmp_path / "elsewhere", "mnist-k3", record)
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "one").symlink_to(tmp_path / "elsewhere")
    (outputs / "again").symlink_to(tmp_path / "elsewhere")
    assert find_run("mnist-k3", outputs).path == outputs / "again" / "mnist-k3"
    assert find_run("one/mnist-k3", outputs).path == outputs / "one" / "mnist-k3"


def test_a_run_that_is_not_there_or_twice_is_named(tmp_path: Path, record: RunRecord) -> None:
    first = add(tmp_path / "one", "mnist-k3", record)
    second = add(tmp_path / "two", "mnist-k3", record)
    with pytest.raises(UserError) as error:
        find_run("mnist-k3", tmp_path)
    assert str(error.value) == (
        f"run 'mnist-k3' is in more than one study; give one of the paths {first}, {second}"
    )
    with pytest.raises(UserError, match=r"got 'mnist-k4'; did you mean 'mnist-k3'\?"):
        find_run("mnist-k4", tmp_path)
    add(tmp_path / "two", "digits-k5-s2-p2-seed0-1a2b3c4d", record)
    with pytest.raises(UserError, match=r"got 'k5-s2-p2'; did you mean 'digits-k5-s2-p2-seed0-"):
        find_run("k5-s2-p2", tmp_path)
    with pytest.raises(UserError, match=f"run must be a run in {tmp_path}/none or its folder"):
        find_run("*", tmp_path / "none")
