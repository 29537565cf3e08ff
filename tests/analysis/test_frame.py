"""Folders of records as one table, read again and again."""

import dataclasses
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pandas import DataFrame
from pandas.testing import assert_frame_equal

from convscope.analysis import frame, load
from convscope.analysis.frame import Reader, setting_keys
from convscope.analysis.table import to_records
from convscope.config.schema import AddedLater, OptimConfig, TrainConfig
from convscope.errors import UserError
from convscope.metrics import latencies, per_run
from convscope.plots import FIGURES
from convscope.runs import identity as identity_module
from convscope.runs.lock import RunLock

MakeStudy = Callable[..., Path]
ONE = {"kernel_sizes": [3], "strides": [1], "paddings": ["half"]}


def runs_of(study: Path) -> list[Path]:
    return sorted(path.parent for path in study.glob("*/run.json"))


def edit(run: Path, **fields: Any) -> None:
    """Replace fields of a run's record, and so the file, as a sweep would."""
    record = json.loads((run / "run.json").read_text())
    (run / "new").write_text(json.dumps(record | fields))
    (run / "new").replace(run / "run.json")


def edit_config(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((run / "run.json").read_text())["config"]
    change(config)
    edit(run, config=config)


def test_a_run_is_a_row_with_what_its_record_says(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", [5], [2], ["half"], [7])
    runs, unreadable = Reader([study]).read()
    (run,) = runs_of(study)
    assert unreadable == []
    row = runs.iloc[0]
    expected = {
        "study": "study",
        "run": run.name,
        "path": str(run),
        "status": "finished",
        "variant": "k5-s2-p2",
        "padding_policy": "half",
        "kernel_size": 5,
        "stride": 2,
        "padding": 2,
        "dataset": "mnist",
        "fingerprint": "f00df00d",
        "test_images": 10_000,
        # 28 -> 14, pooled 7 -> 4 -> 2. Sees 5, pooled 7, then 4 * 4 and 8 * 4 pixels more.
        "final_map": 4,
        "receptive_field": 55,
        "macs": 488_640,
        "test_accuracy": 0.98,
        "device": "AMD EPYC",
        "threads": 2,
        "torch": "2.14.1",
        "seed": 7,
        "optim.lr": 0.02,
        "model.channels": "16-32-64",
        "setting": "",
        "label": "k5-s2-p2",
    }
    assert {key: row[key] for key in expected} == expected
    assert row["record"].path == run


def test_a_loaded_table_begins_with_what_differs_and_the_results(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", [3, 5], [1], ["half"], [0, 1])
    make_study(study, [3], [1], ["half"], [0], config={"optim": {"lr": 0.01}})
    runs = load(study)
    assert list(runs)[:5] == ["variant", "optim.lr", "seed", "status", "test_accuracy"]
    assert list(runs)[-3:] == ["group", "record", "id"]
    read = Reader([study]).read()[0]
    assert sorted(runs) == sorted(read)
    for name in runs:
        assert runs[name].equals(read[name])
    # Of one run nothing differs.
    assert list(load(runs_of(study)[0]))[:4] == ["variant", "seed", "status", "test_accuracy"]


def test_the_rate_of_a_group_and_its_seed_make_the_group(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    for number, config in enumerate(
        [
            {},
            {"optim": {"lr": 0.01}},
            {"model": {"channels": [8, 16, 32]}},
            {"trainer": {"max_epochs": 1}},
        ]
    ):
        make_study(tmp_path / f"study{number}", **ONE, seeds=(0, 1), config=config)
    runs, _ = Reader([tmp_path]).read()
    assert runs.groupby("group").size().tolist() == [2, 2, 2, 2]
    assert runs["setting"].unique().tolist() == [
        "channels 16-32-64, lr 0.02, max_epochs 5",
        "channels 16-32-64, lr 0.01, max_epochs 5",
        "channels 8-16-32, lr 0.02, max_epochs 5",
        "channels 16-32-64, lr 0.02, max_epochs 1",
    ]


def test_where_data_lie_and_which_study_do_not_part_a_group(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    make_study(tmp_path / "one", **ONE, seeds=[0])
    make_study(tmp_path / "two", **ONE, seeds=[1], config={"data": {"root": "elsewhere"}})
    runs, _ = Reader([tmp_path]).read()
    assert runs["study"].tolist() == ["one", "two"]
    assert runs["group"].nunique() == 1
    assert runs["label"].tolist() == ["k3-s1-p1"] * 2


def test_a_copied_run_counts_once(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", **ONE)
    shutil.copytree(study, tmp_path / "copy")
    runs, unreadable = Reader([tmp_path]).read()
    assert len(runs) == 3
    kept = {Path(path).parent for path in runs["path"]}
    left_out = ({study, tmp_path / "copy"} - kept).pop()
    assert [left.path for left in unreadable] == runs_of(left_out)
    assert " is the same run as " in unreadable[0].reason


def test_of_two_copies_the_finished_one_counts(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "a", **ONE, seeds=[0])
    make_study(tmp_path / "b", **ONE, seeds=[0])
    edit(runs_of(study)[0], status="failed", reason="out of memory")
    runs, unreadable = Reader([tmp_path]).read()
    assert runs[["study", "status"]].to_numpy().tolist() == [["b", "finished"]]
    assert [left.path.parent.name for left in unreadable] == ["a"]


def test_the_same_folder_named_twice_is_read_once(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", **ONE)
    runs, unreadable = Reader([study, study, runs_of(study)[0]]).read()
    assert len(runs) == 3
    assert unreadable == []


def test_a_metric_that_is_nan_or_missing_is_nan(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", **ONE)
    first, second, _ = runs_of(study)
    edit(first, metrics={"test_accuracy": math.nan, "step_ms": math.inf})
    edit(second, metrics={})
    runs, unreadable = Reader([study]).read()
    assert unreadable == []
    assert runs["test_accuracy"].tolist() == pytest.approx([math.nan, math.nan, 0.98], nan_ok=True)
    assert runs["step_ms"].isna().tolist() == [True, True, False]
    assert runs["final_map"].tolist() == [196] * 3
    assert runs["peak_mb"].isna().all()


def test_a_record_cut_in_half_is_named_and_the_rest_goes_on(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE)
    run = runs_of(study)[1]
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text[: len(text) // 2])
    runs, (left,) = Reader([study]).read()
    assert runs["seed"].tolist() == [0, 2]
    assert left.path == run
    assert left.reason.startswith(f"{run / 'run.json'} is not valid JSON")


@pytest.mark.parametrize(
    "lost",
    [
        {"config": {}},
        {"config": {"conv": {"kernel_size": "no", "stride": 1, "padding": 1}}},
        {"geometry": [{"name": "conv1"}]},
        {"dataset": dict.fromkeys(("name", "train", "val", "test", "input_shape", "fingerprint"))},
        {"environment": dict.fromkeys(("git", "versions", "device", "threads", "precision"))},
    ],
)
def test_a_record_by_hand_without_what_a_row_needs_is_named_or_shown(
    tmp_path: Path, make_study: MakeStudy, lost: dict[str, Any]
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    edit(runs_of(study)[0], **lost)
    runs, unreadable = Reader([study]).read()
    assert len(runs) + len(unreadable) == 2
    assert runs["seed"].tolist()[-1] == 1
    for left in unreadable:
        assert re.search(
            r"not say what was trained|config\.conv must|geometry.0\S* (?:must|is missing)"
            r"|dataset\.train is not known",
            left.reason,
        )


def test_a_variant_by_another_name_than_its_label_is_skipped(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    edit(runs_of(study)[0], variant="<img src=x onerror=alert(1)>")
    runs, (left,) = Reader([study]).read()
    assert runs["seed"].tolist() == [1]
    assert "variant <img src=x onerror=alert(1)>" in left.reason


def test_a_record_that_contradicts_itself_is_skipped_in_one_line(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    edit(runs_of(study)[0], variant="k7-s2-p0")
    runs, (left,) = Reader([study]).read()
    assert runs["seed"].tolist() == [1]
    assert left.reason == (
        f"{runs_of(study)[0]} contradicts itself:"
        " variant is k7-s2-p0, by config.conv it is k3-s1-p1"
    )


def test_a_record_without_its_seed_is_skipped(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    edit_config(runs_of(study)[0], lambda config: config.pop("seed"))
    runs, (left,) = Reader([study]).read()
    assert runs["seed"].tolist() == [1]
    assert left.reason.endswith("does not say what was trained: KeyError('seed')")


def test_a_metric_or_key_by_the_name_of_a_column_changes_no_column(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    before, _ = Reader([study]).read()
    results = {*per_run(), *latencies(), "val_accuracy_rise", "val_loss_fall"}
    names = [name for name in before.columns if name not in results]
    path = runs_of(study)[0]
    record = json.loads((path / "run.json").read_text())
    edit(path, metrics=dict.fromkeys(names, 7) | record["metrics"])
    runs, unreadable = Reader([study]).read()
    assert unreadable == []
    assert_frame_equal(runs.drop(columns="record"), before.drop(columns="record"), check_like=True)
    edit_config(path, lambda config: config.update(dict.fromkeys(["status", *per_run()], 0.25)))
    runs, unreadable = Reader([study]).read()
    assert unreadable == []
    own = ["status", "variant", *per_run()]
    assert_frame_equal(runs[own], before[own])
    # Whatever it is, it makes another setting, which is told.
    assert runs["setting"][0].startswith("config.status 0.25, config.test_accuracy 0.25")


def test_values_of_several_types_under_one_key_are_shown_and_drawn(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1, 2))
    for run, value in zip(runs_of(study), (1, "1", {"x": 2}), strict=True):
        edit_config(run, lambda config, value=value: config.update(extra=value))
    runs, unreadable = Reader([study]).read()
    assert unreadable == []
    assert [row["config.extra"] for row in to_records(runs, single=True)] == [1, "1", None]
    assert FIGURES["parallel"].draw(runs).data


def test_of_two_runs_with_one_id_that_of_its_config_counts(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    zero, one = runs_of(study)
    identity = json.loads((one / "run.json").read_text())["id"]
    edit(zero, id=identity)
    runs, (left,) = Reader([study]).read()
    assert runs["seed"].tolist() == [1]
    assert left.reason == f"{zero} has another config, and the id of {one}, which counts"


def test_of_two_copies_that_in_the_folder_of_its_name_counts(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    zero, one = runs_of(study)
    shutil.copy(one / "run.json", zero / "run.json")
    runs, (left,) = Reader([study]).read()
    assert runs["path"].tolist() == [str(one)]
    assert left.reason == f"{zero} is the same run as {one}, which counts"


def test_a_link_to_a_study_is_followed_and_no_other(tmp_path: Path, make_study: MakeStudy) -> None:
    outputs = tmp_path / "outputs"
    elsewhere = make_study(tmp_path / "elsewhere" / "study", **ONE, seeds=[0])
    beyond = make_study(tmp_path / "beyond" / "study", **ONE, seeds=[2])
    study = make_study(outputs / "study", **ONE, seeds=[1])
    expected = [outputs / "linked" / runs_of(elsewhere)[0].name, *runs_of(study)]
    (study / "linked").symlink_to(runs_of(elsewhere)[0])
    (elsewhere / "further").symlink_to(runs_of(beyond)[0])
    (outputs / "linked").symlink_to(elsewhere)
    (outputs / "run").symlink_to(runs_of(beyond)[0])
    (outputs / "loop").symlink_to(outputs)
    (outputs / "self").symlink_to("self")
    (outputs / "nothing").symlink_to("none")
    runs, unreadable = Reader([outputs]).read()
    assert runs["seed"].tolist() == [0, 1]
    assert runs["path"].tolist() == list(map(str, expected))
    assert sorted(left.reason for left in unreadable) == [
        f"{place} is a link, not followed"
        for place in (
            outputs / "linked" / "further",
            outputs / "loop",
            outputs / "nothing",
            outputs / "run",
            outputs / "self",
            study / "linked",
        )
    ]


def test_each_real_folder_counts_once(tmp_path: Path, make_study: MakeStudy) -> None:
    outputs = tmp_path / "outputs"
    elsewhere = make_study(tmp_path / "elsewhere" / "study", **ONE, seeds=[0])
    study = make_study(outputs / "study", **ONE, seeds=[1])
    for name, target in {"a": elsewhere, "b": elsewhere, "c": study, "d": outputs / "a"}.items():
        (outputs / name).symlink_to(target)
    by_link = str(outputs / "a" / runs_of(elsewhere)[0].name)
    for named in ([outputs], [outputs, study, outputs / "c", outputs / "b", outputs / "a"]):
        runs, unreadable = Reader(named).read()
        assert sorted(runs["path"]) == sorted([by_link, str(runs_of(study)[0])])
        assert unreadable == []


def test_an_impossible_variant_is_a_row_without_results(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", [7], [3], [0], [0])
    row = load(study).iloc[0]
    assert (row["status"], row["variant"]) == ("skipped", "k7-s3-p0")
    assert (row["kernel_size"], row["stride"], row["padding_policy"]) == (7, 3, "valid")
    assert row["reason"].startswith("conv2 would have an empty output")
    assert row[["test_accuracy", "final_map", "receptive_field", "macs"]].isna().all()


@pytest.mark.parametrize(
    ("variant", "conv", "expected"),
    [
        ("k3-s2-psame", {"kernel_size": 3, "stride": 2, "padding": "same"}, (3, 2)),
        (
            "k5.3.3-s2.1.1-psame.1.1",
            {"kernel_size": [5, 3, 3], "stride": [2, 1, 1], "padding": ["same", 1, 1]},
            (5, 2),
        ),
        ("k3x5-s2-psame", {"kernel_size": "3x5", "stride": 2, "padding": "same"}, (3, 2)),
    ],
)
def test_same_with_a_stride_has_no_pixels_and_is_shown(
    tmp_path: Path,
    make_study: MakeStudy,
    variant: str,
    conv: dict[str, object],
    expected: tuple[int, int],
) -> None:
    """PyTorch refuses it, so the record's config holds what was typed."""
    study = make_study(tmp_path / "study", **ONE, seeds=(0, 1))
    run = runs_of(study)[0]
    config = json.loads((run / "run.json").read_text())["config"] | {"conv": conv}
    skipped = {"status": "skipped", "reason": "conv.padding=same needs stride 1"}
    edit(run, variant=variant, config=config, geometry=[], params=None, macs=None, **skipped)
    runs, unreadable = Reader([study]).read()
    assert unreadable == []
    row = runs.iloc[0]
    assert (row["kernel_size"], row["stride"]) == expected
    assert row["padding_policy"] == "same"
    assert math.isnan(row["padding"])


def test_an_empty_study_is_an_empty_table(tmp_path: Path) -> None:
    runs, unreadable = Reader([tmp_path]).read()
    assert len(runs) == 0
    assert unreadable == []
    assert {"group", "variant", "status", "setting", "label", "test_accuracy"} <= set(runs)


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none cannot be listed: No such file or directory"):
        Reader([tmp_path / "none"]).read()


def test_running_is_believed_while_its_lock_is_held(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=[0])
    (run,) = runs_of(study)
    edit(run, status="running", ended_at=None, duration_s=None, metrics={})
    reader = Reader([study])
    with RunLock(run):
        assert reader.read()[0]["status"].tolist() == ["running"]
    # Nothing on disk has changed since, but nobody holds the lock.
    row = reader.read()[0].iloc[0]
    assert row["status"] == "interrupted"
    assert row["reason"].startswith("its process ended without saying why")


def test_only_what_changed_is_read_again(
    tmp_path: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path / "study", **ONE)
    read: list[str] = []
    original = frame.current_record

    def counted(run: Path) -> object:
        read.append(run.name)
        return original(run)

    monkeypatch.setattr(frame, "current_record", counted)
    reader = Reader([study])
    reader.read()
    first, second, third = runs_of(study)
    assert read == [first.name, second.name, third.name]

    read.clear()
    assert len(reader.read()[0]) == 3
    assert read == []

    record = json.loads((second / "run.json").read_text())
    edit(second, metrics=record["metrics"] | {"test_accuracy": 0.5})
    shutil.rmtree(third)
    runs, _ = reader.read()
    assert read == [second.name]
    assert runs["test_accuracy"].tolist() == [0.98, 0.5]


def test_a_record_replaced_by_one_of_equal_size_and_time_is_read_again(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    study = make_study(tmp_path / "study", **ONE, seeds=[0])
    (run,) = runs_of(study)
    before = (run / "run.json").stat()
    reader = Reader([study])
    reader.read()
    text = (run / "run.json").read_text()
    assert '"test_accuracy": 0.98' in text
    (run / "new").write_text(text.replace('"test_accuracy": 0.98', '"test_accuracy": 0.89'))
    os.utime(run / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (run / "new").replace(run / "run.json")
    assert reader.read()[0]["test_accuracy"].tolist() == [0.89]


def test_a_config_key_that_some_records_lack_parts_their_settings(
    tmp_path: Path, make_study: MakeStudy
) -> None:
    make_study(tmp_path / "old", **ONE, seeds=[0])
    make_study(tmp_path / "new", **ONE, seeds=[0], config={"optim": {"decay": 0.5}})
    runs, _ = Reader([tmp_path]).read()
    assert runs["setting"].tolist() == ["decay 0.5", "decay –"]
    assert runs["group"].nunique() == 2


def test_load_warns_of_what_is_skipped(tmp_path: Path, make_study: MakeStudy) -> None:
    study = make_study(tmp_path / "study", **ONE)
    (runs_of(study)[0] / "run.json").write_text("")
    with pytest.warns(UserWarning, match="skipped, unreadable: .* is empty"):
        assert len(load(study)) == 2


@dataclasses.dataclass
class LaterOptim(OptimConfig):
    beta2: Annotated[float, AddedLater(0.999)]


@dataclasses.dataclass
class LaterConfig(TrainConfig):
    optim: LaterOptim


def test_a_run_without_a_key_that_was_added_later_has_its_default(
    make_runs: Callable[..., DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_module, "TrainConfig", LaterConfig)
    identity_module._added_later.cache_clear()
    conv = (3, 1, "half")
    old, new = (
        make_runs({conv: [0.9]}),
        make_runs({conv: [0.8]}, config={"optim": {"beta2": 0.999}}),
    )
    other = make_runs({conv: [0.8]}, config={"optim": {"beta2": 0.9}})
    identity_module._added_later.cache_clear()
    assert [runs["optim.beta2"].item() for runs in (old, new, other)] == [0.999, 0.999, 0.9]
    assert old["group"].item() == new["group"].item() != other["group"].item()


@pytest.mark.parametrize(
    ("networks", "is_setting"),
    [(["a", "b", "a", "b"], False), (["a", "b", "a", "c"], True)],
    ids=["what was dropped", "an edited file"],
)
def test_a_network_s_hash_is_a_setting_only_where_nothing_else_tells(
    networks: list[str], is_setting: bool
) -> None:
    table = DataFrame(
        {
            "dataset": "digits",
            "fingerprint": "1",
            "model.drop": ["none", "maxpool", "none", "maxpool"],
            "model.fingerprint": networks,
        }
    )
    assert ("model.fingerprint" in setting_keys(table)) == is_setting
