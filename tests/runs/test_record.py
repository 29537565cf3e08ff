import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.errors import UserError
from convscope.runs.lock import RunLock
from convscope.runs.record import (
    KILLED,
    RunRecord,
    current_record,
    effective_status,
    read_record,
    utc_now,
    write_record,
)
from convscope.runs.schema import STATUSES

Start = Callable[..., "subprocess.Popen[str]"]

BY_HAND = """{
"schema": 1,
"id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
"study": "strides", "name": "digits-k3-s2-p1-seed0-01234567",
"status": "finished", "reason": null, "variant": "k3-s2-p1",
"command": "python scripts/train.py conv.stride=2",
"config": {"seed": 0, "optim": {"lr": 1e-2}, "model": {"channels": [16, 32, 64]}},
"dataset": {"name": "digits", "train": 1257, "val": 180, "test": 360, "input_shape": [1, 28, 28],
            "fingerprint": "f00d"},
"geometry": [{"name": "conv1", "in_shape": [1, 28, 28], "out_shape": [16, 14, 14],
              "kernel_size": [3, 3], "stride": [2, 2], "padding": [[1, 1], [1, 1]],
              "receptive_field": [3, 3], "macs": 28224, "params": 144,
              "unread_border": [{"image": 1, "padding": 0}, {"image": 1, "padding": 0}],
              "padding_share": 0.13775510204081631}],
"params": 24000, "macs": 1000000,
"metrics": {"test_accuracy": 0.30000000000000004, "step_ms": 3.5, "params": 24000},
"resumed_from_epoch": 0,
"environment": {"git": null, "versions": {"torch": "2.14.1"}, "device": "cpu", "threads": 2,
                "precision": "bf16-mixed"},
"started_at": "2026-01-31T12:00:00.250Z", "ended_at": "2026-01-31T12:00:30Z", "duration_s": 29.75
}"""


NAMES = [f"name{number}" for number in range(1001)]


def by_hand(**changes: Any) -> str:
    return json.dumps(json.loads(BY_HAND) | changes)


def test_reads_a_record_made_by_hand(tmp_path: Path, record: RunRecord) -> None:
    (tmp_path / "run.json").write_text(BY_HAND)
    record = read_record(tmp_path / "run.json")
    assert record == record
    assert record.path == tmp_path


def test_writes_the_keys_of_the_design_in_their_order(tmp_path: Path, record: RunRecord) -> None:
    write_record(tmp_path / "run.json", record)
    document = json.loads((tmp_path / "run.json").read_text())
    assert document == json.loads(BY_HAND)
    assert list(document) == list(json.loads(BY_HAND))
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_survives(tmp_path: Path, status: Any, record: RunRecord) -> None:
    reason = None if status in ("running", "finished") else "conv3: 2 pixels, kernel 3"
    changed = dataclasses.replace(record, status=status, reason=reason)
    write_record(tmp_path / "run.json", changed)
    assert read_record(tmp_path / "run.json") == changed


def test_a_skipped_run_without_data_or_network_survives(tmp_path: Path, record: RunRecord) -> None:
    unknown = dict.fromkeys(record.dataset) | {"name": "mnist"}
    changed = dataclasses.replace(
        record,
        status="skipped",
        reason="impossible",
        dataset=unknown,
        geometry=[],
        params=None,
        macs=None,
        metrics={},
        environment=dict.fromkeys(record.environment),
    )
    write_record(tmp_path / "run.json", changed)
    assert read_record(tmp_path / "run.json") == changed


def test_text_of_any_script_survives(tmp_path: Path, record: RunRecord) -> None:
    changed = dataclasses.replace(record, study="手書き 🙂", command="train \udcff <img onerror=x>")
    write_record(tmp_path / "run.json", changed)
    assert read_record(tmp_path / "run.json") == changed


def test_metrics_that_are_not_finite_are_null_in_valid_json(
    tmp_path: Path, record: RunRecord
) -> None:
    metrics = {"test_accuracy": math.nan, "step_ms": math.inf, "params": 3, "macs": -math.inf}
    write_record(tmp_path / "run.json", dataclasses.replace(record, metrics=metrics))

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is not JSON")

    text = (tmp_path / "run.json").read_text()
    expected = {"test_accuracy": None, "step_ms": None, "params": 3, "macs": None}
    assert json.loads(text, parse_constant=refuse)["metrics"] == expected
    assert read_record(tmp_path / "run.json").metrics == expected


def test_nan_and_overflow_written_by_hand_read_as_none(tmp_path: Path) -> None:
    text = BY_HAND.replace("0.30000000000000004", "NaN").replace("3.5", "1e999")
    (tmp_path / "run.json").write_text(text.replace("29.75", "-Infinity"))
    expected = {"test_accuracy": None, "step_ms": None, "params": 24000}
    record = read_record(tmp_path / "run.json")
    assert record.metrics == expected
    assert record.duration_s is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (BY_HAND[:400], "is not valid JSON: "),
        ("not json", "is not valid JSON: Expecting value"),
        ("\x00" * 10, "is not valid JSON: "),
        (b"\xff\xfe\xff", "is not valid JSON: "),
        ("[" * 100_000, "is not valid JSON: "),
        ("9" * 5000, "is not valid JSON: "),
        ("[1, 2]", "is not a record of a run: it has no schema"),
        ("null", "is not a record of a run: it has no schema"),
        ('{"name": "npm"}', "is not a record of a run: it has no schema"),
        (by_hand(schema=2), "schema must be 1, got 2; is convscope too old?"),
        (by_hand(schema="1"), "schema must be 1, got '1'"),
        (by_hand(schema=True), "schema must be 1, got True"),
        ('{"schema": 1}', "is not a record of a run: id is missing"),
        (by_hand(id="abc"), "id must be 64 hex digits, got 'abc'"),
        (by_hand(id="0" * 5000), "id must be 64 hex digits, got '0{59}…"),
        (by_hand(schema="1" * 5000), "schema must be 1, got '1{59}…"),
        (by_hand(study=""), "study must be text of length >= 1, got ''"),
        (by_hand(name=7), "name must be text, got 7"),
        (
            by_hand(status="done"),
            "status must be one of running, finished, interrupted, failed, skipped, pruned,"
            " got 'done'",
        ),
        (by_hand(status=[]), r"status must be text, got \[\]"),
        (
            by_hand(reason="x"),
            "reason must say why a run is interrupted, failed, skipped or pruned",
        ),
        (by_hand(status="failed"), "reason must say why a run is interrupted, failed"),
        (by_hand(status="pruned"), "reason must say why a run is interrupted, failed"),
        (by_hand(config=[]), r"config must be an object, got \[\]"),
        (by_hand(dataset={"name": "digits"}), "dataset.train is missing"),
        (by_hand(geometry=[{}]), r"geometry\[0\]\.name is missing"),
        (by_hand(params=1.5), "params must be a whole number or null, got 1.5"),
        (by_hand(macs=-1), "macs must be a whole number >= 0, got -1"),
        (by_hand(metrics={"a": "0.9"}), "metrics.a must be a number or null, got '0.9'"),
        (by_hand(metrics={"a": True}), "metrics.a must be a number or null, got True"),
        (by_hand(resumed_from_epoch=None), "resumed_from_epoch must be a whole number, got None"),
        (by_hand(environment={}), "environment.git is missing"),
        (by_hand(started_at="yesterday"), "started_at must be a time in UTC, got 'yesterday'"),
        (by_hand(started_at="2026-01-31T12:00:00"), "started_at must be a time in UTC"),
        (by_hand(started_at="2026-01-31T12:00:00+01:00"), "started_at must be a time in UTC"),
        (by_hand(ended_at=3), "ended_at must be a time in UTC or null, got 3"),
        (by_hand(duration_s="1"), "duration_s must be a number or null, got '1'"),
        (by_hand(duration_s=-1), "duration_s must be a number >= 0.0, got -1"),
        (by_hand(metrics={"a": 1e308}), r"metrics\.a must be a number up to 1e100, got 1e\+308"),
        (by_hand(metrics={"a": -(10**400)}), r"metrics\.a must be a number up to 1e100, got -1000"),
        (by_hand(metrics={"step_ms": -1}), r"metrics\.step_ms must be a number >= 0.0, got -1"),
        (by_hand(metrics={"test_loss": -0.5}), r"metrics\.test_loss must be a number >= 0.0"),
        (by_hand(metrics=dict.fromkeys(NAMES, 1)), "metrics must have at most 1,000 keys, got "),
        (by_hand(config=dict.fromkeys(NAMES, 1)), "config must have at most 1,000 keys, got "),
        (by_hand(config={"a": [1] * 1001}), r"config\.a must have at most 1,000 entries, got "),
        (
            by_hand(config={"seed": -5}),
            r"config\.seed must be a whole number >= 0, got -5",
        ),
        (
            by_hand(config={"data": {"batch_size": 0}}),
            r"config\.data\.batch_size must be a whole number >= 1, got 0",
        ),
        (
            by_hand(config={"trainer": {"limit_test_batches": -0.5}}),
            r"limit_test_batches must be a number > 0.0, got -0.5",
        ),
        (by_hand(note="mine"), "note is not a key of schema 1"),
    ],
)
def test_what_is_no_record_is_said_in_one_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as error:
        read_record(path)
    assert str(error.value).startswith(f"{path} ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 200


def test_every_key_is_needed(tmp_path: Path) -> None:
    whole = json.loads(BY_HAND)
    for key in whole:
        (tmp_path / "run.json").write_text(json.dumps({k: whole[k] for k in whole if k != key}))
        what = "it has no schema" if key == "schema" else f"{key} is missing"
        with pytest.raises(UserError, match=what):
            read_record(tmp_path / "run.json")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.json cannot be read: No such file"):
        read_record(tmp_path / "run.json")
    (tmp_path / "run.json").mkdir()
    with pytest.raises(UserError, match=r"run\.json is not a regular file"):
        read_record(tmp_path / "run.json")


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX's")
def test_a_pipe_and_a_link_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_text(BY_HAND)
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    for name in ("pipe", "link"):
        with pytest.raises(UserError, match=f"{name} is not a regular file"):
            read_record(tmp_path / name)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed"},
        {"id": "short"},
        {"started_at": "now"},
        {"metrics": {"a": "b"}},
        {"params": True},
    ],
)
def test_nothing_is_written_that_could_not_be_read(
    tmp_path: Path, changes: dict[str, Any], record: RunRecord
) -> None:
    with pytest.raises(ValueError, match=next(iter(changes)).replace("status", "reason")):
        write_record(tmp_path / "run.json", dataclasses.replace(record, **changes))
    assert os.listdir(tmp_path) == []


def test_a_value_that_json_lacks_leaves_the_old_record(tmp_path: Path, record: RunRecord) -> None:
    path = tmp_path / "run.json"
    write_record(path, record)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_record(path, dataclasses.replace(record, config={"root": Path("x")}))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(path, dataclasses.replace(record, config={"lr": math.nan}))
    assert read_record(path) == record


def test_running_is_believed_only_while_the_lock_is_held(
    tmp_path: Path, record: RunRecord, running: RunRecord
) -> None:
    write_record(tmp_path / "run.json", running)
    assert effective_status(tmp_path, running) == "interrupted"
    assert effective_status(tmp_path, record) == "finished"
    with RunLock(tmp_path):
        assert effective_status(tmp_path, running) == "running"
        assert current_record(tmp_path) == running
    stopped = current_record(tmp_path)
    assert stopped == dataclasses.replace(running, status="interrupted", reason=KILLED)
    assert read_record(tmp_path / "run.json").status == "running"


HOLDER = """
import sys
from pathlib import Path
from convscope.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_run_whose_process_was_killed_reads_as_interrupted(
    tmp_path: Path, start: Start, running: RunRecord
) -> None:
    write_record(tmp_path / "run.json", running)
    holder = start(HOLDER, tmp_path)
    assert current_record(tmp_path).status == "running"
    holder.kill()
    holder.wait()
    assert current_record(tmp_path).status == "interrupted"


def test_a_run_that_ends_while_it_is_looked_at_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: RunRecord, running: RunRecord
) -> None:
    write_record(tmp_path / "run.json", running)

    def ends_now(run_dir: Path) -> bool:
        write_record(run_dir / "run.json", record)
        return False

    monkeypatch.setattr("convscope.runs.record.is_locked", ends_now)
    assert current_record(tmp_path) == record


def test_times_are_utc_with_milliseconds() -> None:
    now = utc_now()
    assert len(now) == len("2026-01-31T12:00:00.250Z")
    assert now.endswith("Z")


def test_reading_runs_brings_no_heavy_library(start: Start) -> None:
    heavy = {"torch", "numpy", "hydra", "omegaconf", "pytorch_lightning", "filelock"}
    code = f"""
import sys
import convscope.runs.study, convscope.runs.history, convscope.runs.environment
print("ready")
print(sorted({heavy} & set(sys.modules)))
"""
    stdout = start(code).stdout
    assert stdout is not None
    assert stdout.read() == "[]\n"
