"""Packed studies: what is written is read back, hostile and damaged archives are refused."""

import io
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import convscope
from convscope.analysis import load
from convscope.errors import UserError
from convscope.runs import pack
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.pack import packed_runs, write_pack
from convscope.runs.predictions import read_arrays, write_arrays
from convscope.runs.record import read_record
from convscope.runs.study import find_run, has_record, runs_below

MakeStudy = Callable[..., Path]


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Path:
    folder = make_study(tmp_path / "outputs" / "mnist", [3], [1, 2], ["half"], [0, 1])
    for run in runs_below(folder)[0]:
        History(run.history).append({"epoch": 1, "step": 70, "val/accuracy": 0.9})
        write_arrays(run.diagnostics, {"erf": np.eye(28)})
        (run.path / "checkpoints").mkdir()
        run.best.write_bytes(bytes(1_000_000))
    return folder


@pytest.fixture
def packed(study: Path, tmp_path: Path) -> Path:
    write_pack(tmp_path / "study.zip", runs_below(study)[0])
    return tmp_path / "study.zip"


def archive(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        packed_runs(path)
    message = str(error.value)
    assert message.startswith(f"{path} ")
    assert message.isprintable()
    return message


def test_a_packed_study_is_read_as_its_folder(study: Path, packed: Path) -> None:
    folders, unreadable = runs_below(study)
    inside, none = runs_below(packed)
    assert unreadable == none == []
    assert [run.path for run in inside] == [packed / "mnist" / run.name for run in folders]
    for run, copy in zip(folders, inside, strict=True):
        assert read_record(copy.record) == read_record(run.record)
        assert read_record(copy.record).path == copy.path
        assert History(copy.history).read() == History(run.history).read()
        assert (read_arrays(copy.diagnostics)["erf"] == np.eye(28)).all()
    table, copied = load(study), load(packed)
    assert table.drop(columns=["path", "record"]).equals(copied.drop(columns=["path", "record"]))


def test_only_small_files_are_packed(packed: Path) -> None:
    with zipfile.ZipFile(packed) as written:
        names = written.namelist()
    assert len(names) == 12
    assert {name.split("/")[0] for name in names} == {"mnist"}
    assert {name.split("/")[2] for name in names} == {"run.json", "history.csv", "diagnostics.npz"}
    assert packed.stat().st_size < 30_000


def test_equal_records_give_equal_bytes(study: Path, packed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    write_pack(again, reversed(runs_below(study)[0]))
    assert again.read_bytes() == packed.read_bytes()
    write_pack(again, packed_runs(packed))
    assert again.read_bytes() == packed.read_bytes()


def test_a_folder_or_a_run_of_a_packed_study(study: Path, packed: Path) -> None:
    name = min(os.listdir(study))
    assert len(packed_runs(packed / "mnist")) == 4
    assert packed_runs(packed / "mnist" / name) == [RunDirectory(packed / "mnist" / name)]
    assert packed_runs(packed / "cifar") == []
    assert has_record(packed / "mnist" / name)
    assert not has_record(packed / "mnist")
    assert find_run(packed / "mnist" / name / "run.json", study).path == packed / "mnist" / name


def test_an_archive_made_by_hand_is_read_too(study: Path, tmp_path: Path) -> None:
    files = {
        file.relative_to(tmp_path).as_posix(): file.read_bytes()
        for file in study.rglob("*")
        if file.is_file()
    }
    assert any(name.endswith("best.ckpt") for name in files)
    by_hand = archive(tmp_path / "hand.zip", files)
    assert [run.path.parent for run in packed_runs(by_hand)] == [by_hand / "outputs" / "mnist"] * 4


def test_a_changed_archive_is_read_again(study: Path, packed: Path) -> None:
    assert len(packed_runs(packed)) == 4
    write_pack(packed, runs_below(study)[0][:1])
    assert len(packed_runs(packed)) == 1


def test_a_damaged_record_is_one_unreadable_run(study: Path, packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as written:
        files = {name: written.read(name) for name in written.namelist()}
    damaged = min(name for name in files if name.endswith("run.json"))
    table = archive(tmp_path / "cut.zip", files | {damaged: files[damaged][:200]})
    with pytest.warns(UserWarning, match=r"cut\.zip.*is not valid JSON"):
        assert len(load(table)) == 3


def test_a_run_that_was_running_reads_as_interrupted(study: Path, tmp_path: Path) -> None:
    for run in runs_below(study)[0]:
        text = run.record.read_text().replace('"finished"', '"running"', 1)
        run.record.write_text(text)
    write_pack(tmp_path / "killed.zip", runs_below(study)[0])
    assert set(load(tmp_path / "killed.zip")["status"]) == {"interrupted"}


@pytest.mark.parametrize(
    "name",
    ["../../run.json", "/etc/run.json", "a/../b/run.json", "a//run.json", "./run.json", "run.json"],
)
def test_names_that_leave_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    assert repr(name) in refused(archive(tmp_path / "bad.zip", {name: b"{}"}))


def test_a_name_with_control_characters_is_refused(tmp_path: Path) -> None:
    assert r"\x1b" in refused(archive(tmp_path / "bad.zip", {"a\x1b[2J/run.json": b"{}"}))


def test_a_bomb_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "_MAX_BYTES", 2**20)
    bomb = archive(tmp_path / "bomb.zip", {f"a/{n}/run.json": bytes(2**18) for n in range(5)})
    assert bomb.stat().st_size < 10_000
    assert "more than 1,048,576 bytes" in refused(bomb)


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "lie.zip", {"a/b/run.json": bytes(100_000)})
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 100_000)) == 2
    path.write_bytes(data.replace(struct.pack("<I", 100_000), struct.pack("<I", 10)))
    refused(path)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as written:
        written.writestr("a/b/run.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            written.writestr("a/b/run.json", "[]")
    assert "twice" in refused(tmp_path / "two.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    assert "deflate" in refused(archive(tmp_path / "other.zip", {"a/b/run.json": b"{}"}, method))


def test_an_encrypted_archive_is_refused(packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    start = data.index(b"PK\x01\x02")
    data[start + 8] |= 1
    packed.write_bytes(data)
    assert "encrypted" in refused(packed)


def test_every_cut_and_changed_byte_is_read_or_refused_in_one_line(
    packed: Path, tmp_path: Path
) -> None:
    whole = packed.read_bytes()
    damaged = tmp_path / "damaged.zip"
    for place in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        for content in (whole[:place], bytes(changed)):
            damaged.write_bytes(content)
            problem = ""
            try:
                runs_below(damaged)
            except UserError as error:
                problem = str(error)
            assert problem.isprintable()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.zip").write_bytes(content)
    refused(tmp_path / "no.zip")


def test_a_pipe_is_no_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(UserError, match="cannot be listed"):
        runs_below(tmp_path / "pipe.zip")


def test_two_runs_of_one_name_are_refused(study: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mnist"
    other.parent.mkdir()
    os.symlink(study, other)
    with pytest.raises(UserError, match="cannot be packed beside another"):
        write_pack(tmp_path / "x.zip", [*runs_below(study)[0], *runs_below(other)[0]])


def test_another_ending_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.zip, got study\.tar"):
        write_pack(tmp_path / "study.tar", runs_below(study)[0])


def test_a_folder_that_is_named_as_an_archive_stays_a_folder(study: Path, tmp_path: Path) -> None:
    study.rename(tmp_path / "folder.zip")
    assert len(runs_below(tmp_path / "folder.zip")[0]) == 4


def test_a_packed_run_has_no_network(packed: Path) -> None:
    with pytest.raises(UserError, match=r"study\.zip/mnist/.* is packed, without its trained"):
        convscope.load(packed_runs(packed)[0].path)


def test_an_archive_of_nothing_has_no_runs(tmp_path: Path) -> None:
    (tmp_path / "none.zip").write_bytes(_empty())
    assert packed_runs(tmp_path / "none.zip") == []


def _empty() -> bytes:
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").close()
    return content.getvalue()
