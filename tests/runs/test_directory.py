import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.errors import UserError
from convscope.runs.directory import RunDirectory, check_study_name, run_name, study_runs

ID = "0123456789abcdef" * 4


def test_paths_are_those_of_the_design() -> None:
    run = RunDirectory(Path("outputs/study/run"))
    assert run.name == "run"
    inside = [
        run.record,
        run.config,
        run.history,
        run.checkpoints,
        run.best,
        run.last,
        run.train_log,
        run.lock,
    ]
    assert [path.relative_to(run.path).as_posix() for path in inside] == [
        "run.json",
        "config.yaml",
        "history.csv",
        "checkpoints",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "train.log",
        ".lock",
    ]


@pytest.mark.parametrize(
    ("differences", "name"),
    [
        ([], "mnist-k3-s2-p1-seed7-01234567"),
        (["optim.lr=0.01"], "mnist-k3-s2-p1-lr0.01-seed7-01234567"),
        (
            ["model.channels=[32,64,128]", "data.flip=true"],
            "mnist-k3-s2-p1-channels32.64.128-flip_true-seed7-01234567",
        ),
        (["model.channels=[32, 64]"], "mnist-k3-s2-p1-channels32.64-seed7-01234567"),
        (["optim.momentum=-0.5"], "mnist-k3-s2-p1-momentum_-0.5-seed7-01234567"),
        (["trainer.precision=bf16-mixed"], "mnist-k3-s2-p1-precision_bf16-mixed-seed7-01234567"),
        (["trainer.max_time=00:01:00"], "mnist-k3-s2-p1-max_time00_01_00-seed7-01234567"),
        (["data.image_size=null"], "mnist-k3-s2-p1-image_size_null-seed7-01234567"),
        (["compile=true"], "mnist-k3-s2-p1-compile_true-seed7-01234567"),
    ],
)
def test_names(differences: list[str], name: str) -> None:
    assert run_name("mnist", "k3-s2-p1", differences, 7, ID) == name


@pytest.mark.parametrize(
    ("dataset", "shown"),
    [
        ("手書き数字", "手書き数字"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("../my photos/2024", "my_photos_2024"),
        ("<img src=x onerror=alert(1)>", "img_src_x_onerror_alert_1"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("🙂", "data"),
        ("\udcff\n\x00", "data"),
    ],
)
def test_a_data_set_of_any_name_becomes_one_safe_folder(dataset: str, shown: str) -> None:
    assert run_name(dataset, "k3-s1-p1", [], 0, ID) == f"{shown}-k3-s1-p1-seed0-01234567"


def test_what_does_not_fit_is_cut_and_counted() -> None:
    differences = [f"optim.some_quite_long_key{n}=0.12345678" for n in range(9)]
    name = run_name("mnist", "k3-s2-p1", differences, 0, ID)
    assert name == (
        "mnist-k3-s2-p1-some_quite_long_key00.12345678-some_quite_long_key10.12345678"
        "-some_quite_long_key20.12345678-some_quite_long_key30.12345678-and5more-seed0-01234567"
    )
    assert len(name) <= 180


def test_a_long_variant_and_a_long_data_set_are_cut_at_a_character() -> None:
    variant = "k" + ".".join(["3x5"] * 40) + "-s1-p1"
    name = run_name("数" * 60, variant, [], 0, ID)
    assert name == "数" * 10 + "~-" + variant[:63] + "~-seed0-01234567"


@settings(deadline=None)
@given(
    st.text(max_size=300),
    st.text(min_size=1, max_size=300),
    st.lists(st.text(max_size=100), max_size=30),
    st.integers(min_value=0, max_value=2**64),
)
def test_every_name_is_short_safe_and_ends_in_seed_and_identity(
    dataset: str, variant: str, differences: list[str], seed: int
) -> None:
    name = run_name(dataset, variant, differences, seed, ID)
    assert len(name.encode()) <= 180
    assert name.endswith(f"-seed{seed}-01234567")
    assert name[0] not in ".-"
    assert not set(name) & set("/\\<>:\"|?*='[] \n\t\x00")
    assert name.isprintable()


@pytest.mark.parametrize(
    "name",
    ["default", "lr check", "v1.2", "手書き", "a" * 100, "console", "com10", "nulls", "a-b_c"],
)
def test_good_study_names(name: str) -> None:
    check_study_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "study must not be empty, got ''"),
        ("../x", "study must be one folder name, not a path, got '../x'"),
        ("/abs", "study must be one folder name, not a path, got '/abs'"),
        ("a\\b", "study must be one folder name, not a path, got 'a\\\\b'"),
        ("..", "study must be one folder name, not a path, got '..'"),
        (".", "study must be one folder name, not a path, got '.'"),
        ("a\nb", "study must have no control or invisible characters, got 'a\\nb'"),
        ("a\x00", "study must have no control or invisible characters, got 'a\\x00'"),
        ("a\x1b[31m", "study must have no control or invisible characters, got 'a\\x1b[31m'"),
        ("a\u202eb", "study must have no control or invisible characters, got 'a\\u202eb'"),
        ("\udcff", "study must have no control or invisible characters, got '\\udcff'"),
        (".git", "study must not begin or end with a dot or a space, got '.git'"),
        (" a", "study must not begin or end with a dot or a space, got ' a'"),
        ("a ", "study must not begin or end with a dot or a space, got 'a '"),
        ("a.", "study must not begin or end with a dot or a space, got 'a.'"),
        ("a:b", "study must have none of <>:\"|?* (not allowed on Windows), got 'a:b'"),
        ("nul", "study must not be a device name of Windows, got 'nul'"),
        ("CON.txt", "study must not be a device name of Windows, got 'CON.txt'"),
        ("Lpt1", "study must not be a device name of Windows, got 'Lpt1'"),
        ("é" * 51, f"study must be at most 100 bytes long, got {'é' * 51!r}"),
    ],
)
def test_bad_study_names(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        check_study_name(name)
    assert str(error.value) == message


def test_a_study_lists_folders_with_a_record_and_follows_no_link(tmp_path: Path) -> None:
    study = tmp_path / "study"
    for name in ("b", "a", "replaced/a-1"):
        (study / name).mkdir(parents=True)
        (study / name / "run.json").write_text("{}")
    (study / "claimed only").mkdir()
    (study / "report.html").write_text("")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run.json").write_text("{}")
    (study / "to outside").symlink_to(outside)
    (study / "to itself").symlink_to(study)
    (study / "loop").symlink_to("loop")

    runs, aside = study_runs(study)

    assert [run.path for run in runs] == [study / "a", study / "b"]
    assert [(entry.path.name, entry.reason) for entry in aside] == [
        (name, f"{study / name} is a link, not followed")
        for name in ("loop", "to itself", "to outside")
    ]


def test_a_study_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none cannot be listed: No such file or directory"):
        study_runs(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file cannot be listed: Not a directory"):
        study_runs(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]
