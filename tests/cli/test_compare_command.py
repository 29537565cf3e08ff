"""`python scripts/compare.py` as a person types it: what it prints, writes and refuses."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from convscope.runs.lock import RunLock

ROOT = Path(__file__).parents[2]
MakeStudy = Callable[..., Path]
Compare = Callable[..., tuple[int, str, str]]


def planted(variant: str, seed: int) -> Mapping[str, float]:
    """k3-s2-p1 is a point above k3-s1-p1, with 0.1 points between seeds; k5 hardly differs."""
    mean = {"k3-s1-p1": 0.970, "k3-s2-p1": 0.980, "k5-s2-p2": 0.9795}[variant]
    speed = {"k3-s1-p1": 10_000.0, "k3-s2-p1": 30_000.0, "k5-s2-p2": 20_000.0}[variant]
    return {
        "test_accuracy": mean + 0.001 * (seed - 1),
        "best_val_accuracy": mean,
        "train_samples_per_sec": speed,
        "step_ms": 256_000 / speed,
    }


def nothing(variant: str, seed: int) -> Mapping[str, float]:
    return {}


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three variants with three seeds, one impossible, one failed; in `outputs/strides`."""
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/strides")
    make_study(folder, [3], [1, 2], ["half"], metrics=planted)
    make_study(folder, [5], [2], ["half"], metrics=planted)
    make_study(folder, [7], [3], [0], [0, 1, 2])
    return make_study(folder, [9], [1], ["half"], [0], nothing, status="failed", reason="NaN")


@pytest.fixture
def compare(call: Compare) -> Compare:
    """Exit code, standard output and standard error of one command."""
    return partial(call, "compare")


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert (code, err) == (0, "")
    return out


def refused(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def run_named(study: Path, start: str) -> str:
    (name,) = (path.name for path in study.iterdir() if path.name.startswith(start))
    return name


def test_help_is_one_page(compare: Compare) -> None:
    page = done(compare("--help"))
    assert max(map(len, page.splitlines())) <= 100
    for word in ("diff", "--runs", "--where", "--sort", "--format", "--report", "--pack"):
        assert word in page
    assert done(compare("diff", "-h")) == page


def test_a_line_per_variant_best_first(compare: Compare, study: Path) -> None:
    lines = done(compare()).splitlines()
    assert lines[:3] == [
        "strides: 13 runs of 5 variants (9 finished, 3 skipped, 1 failed)",
        "data     dataset mnist, batch_size 256, test_images 10000",
        "model    channels 16-32-64, pool_after 1",
    ]
    head = next(place for place, line in enumerate(lines) if "test accuracy" in line)
    assert lines[head].split()[:5] == ["variant", "val", "accuracy", "test", "accuracy"]
    # (28 + 2 - 3) / 2 + 1 = 14, pooled 7, 4, 2; MACs as in the tests of tables.
    assert [" ".join(line.split()) for line in lines[head + 2 : head + 6]] == [
        "* k3-s2-p1 98.00 % 98.00 ± 0.10 % 3 97.75 to 98.25 % 30,000 8.5 2x2 29 176,320 24,058",
        "~ k5-s2-p2 97.95 % 97.95 ± 0.10 % 3 97.70 to 98.20 % 20,000 12.8 2x2 55 488,640 65,274",
        "k3-s1-p1 97.00 % 97.00 ± 0.10 % 3 96.75 to 97.25 % 10,000 25.6 14x14 12 4,629,376 24,058",
        "* highest validation accuracy; ~ test accuracy not significantly different from that of *"
        " (95 %); ±: standard deviation; 95 % interval: of each mean by itself; map: last feature"
        " map; RF: receptive field of one of its units, pixels",
    ]
    below = lines[head + 7 :]
    assert below[0] == "Without a result:"
    assert below[1].startswith("- k7-s3-p0 skipped, seeds 0, 1, 2: conv2 would have an empty outp")
    assert below[2] == "- k9-s1-p4 failed, seed 0: NaN"
    assert below[4] == "In words:"
    assert below[5].startswith("- k3-s2-p1 has the highest validation accuracy of 3 variants, 98")
    assert below[-3:] == [
        "What limits that:",
        "- Test accuracies are compared on these test images only, not paired by image: 9 of 9 runs"
        " have no known answers to single test images (compare.py strides --diagnose adds them"
        " where checkpoints are kept).",
        "- The training was not tuned per variant: all share one learning rate (0.02), schedule and"
        " length (5 epochs). With others, another variant may be better.",
    ]


def on_terminal(study: Path, width: int, *arguments: str) -> list[str]:
    """The lines that a terminal of this width gets."""
    typed = [sys.executable, str(ROOT / "scripts/compare.py"), *arguments]
    wide = f"import pty, sys; sys.exit(pty.spawn({typed!r}) >> 8)"
    shown = subprocess.run(
        [sys.executable, "-c", wide],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "xterm"},
        check=True,
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout).splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("width", "shown"), [(80, False), (160, True)])
def test_a_table_fits_its_terminal(study: Path, width: int, shown: bool) -> None:
    lines = on_terminal(study, width)
    assert max(map(len, lines)) <= width
    (head,) = (line for line in lines if line.startswith("   variant"))
    for always in ("val accuracy", "test accuracy", "seeds", "samples/s", "map", "MACs"):
        assert always in head
    assert ("95 % interval" in head) is ("params" in head) is shown
    (best,) = (line for line in lines if line.startswith("*  k3-s2-p1"))
    assert "  98.00 ± 0.10 %  " in best
    assert max(map(len, on_terminal(study, width, "--runs"))) <= width


def rows(out: str) -> list[dict[str, Any]]:
    found = json.loads(out)["rows"]
    assert isinstance(found, list)
    return found


def test_rows_for_programs(compare: Compare, study: Path) -> None:
    first, *_ = groups = rows(done(compare("--format", "json")))
    assert [row["variant"] for row in groups[:3]] == ["k3-s2-p1", "k5-s2-p2", "k3-s1-p1"]
    assert {row["unfinished"] for row in groups[3:]} == {"3 skipped", "1 failed"}
    assert first["test_accuracy"] == pytest.approx(0.98)
    assert first["optim.lr"] == 0.02
    runs = rows(done(compare("strides", "--format", "json", "--runs")))
    assert len(runs) == 13
    assert {row["status"] for row in runs} == {"finished", "skipped", "failed"}
    table = list(csv.DictReader(io.StringIO(done(compare("--format", "csv", "--runs")))))
    assert [row["run"] for row in table] == [row["run"] for row in runs]
    assert [float(row["test_accuracy"] or "nan") for row in table[:9]] == [
        row["test_accuracy"] for row in runs[:9]
    ]


def test_findings_for_programs(compare: Compare, study: Path) -> None:
    """The object has the sentences that the terminal shows, and the values they state."""
    found = json.loads(done(compare("--format", "json")), parse_constant=pytest.fail)
    assert [*found] == ["rows", "findings", "caveats", "methods"]
    shown = " ".join(done(compare()).split())
    for part in ("findings", "caveats"):
        stated = [
            one["sentence"] for one in found[part] if one["kind"] not in ("skipped", "failed")
        ]
        assert all(sentence in shown for sentence in stated if sentence)
    (worse,) = [one for one in found["findings"] if one["kind"] == "worse"]
    tukey = stats.tukey_hsd([0.969, 0.97, 0.971], [0.979, 0.98, 0.981], [0.9785, 0.9795, 0.9805])
    interval = tukey.confidence_interval(0.95)
    assert worse["subjects"] == ["k3-s1-p1", "k3-s2-p1"]
    assert worse["estimate"] == pytest.approx(-0.01)
    assert worse["interval"] == pytest.approx([interval.low[0, 1], interval.high[0, 1]], abs=1e-6)
    assert worse["p"] == pytest.approx(tukey.pvalue[0, 1], abs=1e-5)
    assert worse["cites"] == ["tukey1953", "kramer1956"]
    runs = json.loads(done(compare("--format", "json", "--runs")))
    assert [len(runs["rows"]), runs["findings"]] == [13, found["findings"]]
    assert {"skipped", "failed"} <= {one["kind"] for one in found["caveats"]}
    assert found["methods"][0]["sentence"].startswith("9 finished runs of 3 variants: seeds 0, 1")
    diff = json.loads(done(compare("diff", "k3-s1-p1", "k3-s2-p1", "--format", "json")))
    different, better = diff["findings"]
    assert (different["kind"], better["kind"]) == ("different", "better_run")
    assert different["subjects"] == better["subjects"] == ["k3-s2-p1", "k3-s1-p1"]
    assert different["interval"] == pytest.approx([-bound for bound in worse["interval"][::-1]])
    assert different["cites"] == worse["cites"]
    assert better["estimate"] == 1
    (method,) = diff["methods"]
    assert method["subjects"] == ["k3-s1-p1", "k3-s2-p1"]
    assert "for all 3 pairs of variants of this setting" in method["sentence"]


def test_latex(compare: Compare, study: Path) -> None:
    for arguments, line in (
        ((), r"\textbf{k3-s2-p1} & \textbf{98.00} & \textbf{98.00} & \textbf{$\pm$\,0.10} & "),
        (("--runs",), "k3-s2-p1 & 1 & 98.00 & 98.00 & "),
    ):
        out = done(compare("strides", *arguments, "--format", "latex"))
        assert out.startswith("% \\usepackage{booktabs}\n\\begin{table")
        assert line in out
        assert r"\label{tab:convscope-strides}" in out
    out = done(compare("diff", "k3-s1-p1", "k3-s2-p1", "--format", "latex"))
    assert r"result & test\_accuracy & 97.00 & $\pm$\,0.10\,\% & 98.00 & $\pm$\,0.10\,\% &" in out
    assert "needs a finished run" in refused(
        compare("--where", "unfinished != ''", "--format", "latex")
    )


def test_sources_as_bibtex(compare: Compare, study: Path) -> None:
    every = done(compare("--cite"))
    used = done(compare("strides", "--cite"))
    assert used.count("@") < every.count("@")
    for key, is_used in (("tukey1953", True), ("yates1934", True), ("guo2017", False)):
        assert f"{{{key},\n" in every
        assert (f"{{{key},\n" in used) is is_used
    assert "piepho2004" not in used
    assert "{piepho2004,\n" in done(compare("strides", "--pairs", "--cite"))
    single = done(compare("strides", "--where", "variant == 'k3-s1-p1'", "--cite"))
    assert "tukey" not in single
    assert "--cite is not for diff" in refused(compare("diff", "a", "b", "--cite"))


def test_markdown(compare: Compare, study: Path) -> None:
    lines = done(compare("--format", "markdown")).splitlines()
    assert lines[0] == "strides: 13 runs of 5 variants (9 finished, 3 skipped, 1 failed)"
    assert "- machine: device AMD EPYC, threads 2, torch 2.14.1" in lines
    (best,) = (line for line in lines if line.startswith("| \\* | k3-s2-p1 | 98.00 % | 98.00 ±"))
    assert best.endswith(" | 2x2 | 29 | 176,320 | 24,058 |")
    assert "- k9-s1-p4 failed, seed 0: NaN" in lines


def test_where_is_of_the_lines_shown(compare: Compare, study: Path) -> None:
    def shown(*arguments: str) -> list[str]:
        return [row["label"] for row in rows(done(compare(*arguments, "--format", "json")))]

    assert shown("--where", "stride == 2 and test_accuracy > 0.9796") == ["k3-s2-p1"]
    assert shown("--where", "unfinished != ''", "--sort", "kernel_size") == ["k7-s3-p0", "k9-s1-p4"]
    assert shown("--where", "stride < 3 and test_accuracy > 0", "--sort", "-macs") == [
        *("k3-s1-p1", "k5-s2-p2", "k3-s2-p1")
    ]
    runs = ["--runs", "--where", "test_accuracy > 0.9796 and seed == 1"]
    assert shown(*runs) == ["k3-s2-p1"]
    out = done(compare("--where", "kernel_size == 3"))
    assert "k5-s2-p2" not in out  # Neither in the table nor in the words.
    assert "Without a result" not in out


def test_running_and_interrupted_runs(compare: Compare, study: Path, make_study: MakeStudy) -> None:
    fields = {"status": "running", "ended_at": None, "duration_s": None}
    make_study(study, [11], [1], ["half"], [0, 1], nothing, **fields)
    held = study / run_named(study, "mnist-k11-s1-p5-seed0")
    with RunLock(held):
        out = done(compare())
    assert "- k11-s1-p5 running, seed 0\n" in out
    assert "- k11-s1-p5 interrupted, seed 1: its process ended without saying why" in out


def test_pruned_variants_are_named_and_not_compared(
    compare: Compare, study: Path, make_study: MakeStudy
) -> None:
    why = "after 2 of 8 epochs its validation accuracy, 91.20 %, was in the lower half"
    folder = Path("outputs/pruned")
    make_study(folder, [11, 13], [1], ["half"], [0], nothing, status="pruned", reason=why)
    before = done(compare("strides"))
    out = done(compare("strides", "pruned"))
    assert f"- k11-s1-p5 pruned, seed 0: {why}\n" in out
    assert (
        "- 2 of 5 variants were ended early by validation accuracy (prune=true) and have no result:"
        " k11-s1-p5 and k13-s1-p6. The comparison is of the others, chosen by validation; whether"
        " an ended one would have overtaken them is not known.\n"
    ) in out

    def words(text: str) -> list[str]:
        return text.partition("In words:")[2].partition("What limits that:")[0].splitlines()

    assert words(out) == words(before)
    assert refused(compare("pruned", "--latency")) == (
        "error: there is no finished run in pruned: 2 runs pruned, which prune=false trains to the"
        " end\n"
    )


def test_several_settings_have_columns(
    compare: Compare, study: Path, make_study: MakeStudy
) -> None:
    make_study(Path("outputs/rates"), [3], [1], ["half"], [0], planted, config={"optim": {"lr": 1}})
    lines = done(compare()).splitlines()
    assert lines[0].startswith("rates, strides: 14 runs of 5 variants")
    (head,) = (line for line in lines if line.startswith("   variant"))
    assert head.split()[:4] == ["variant", "study", "lr", "val"]
    assert [line.split()[:4] for line in lines if line.startswith("*  ")] == [
        ["*", "k3-s2-p1", "strides", "0.02"],
    ]
    assert any(
        line.startswith("* highest validation accuracy of those compared with it; ")
        for line in lines
    )


def test_a_setting_without_any_result(compare: Compare, study: Path, make_study: MakeStudy) -> None:
    failed = {"status": "failed", "reason": "the loss is nan"}
    make_study(study, [3], [1], ["half"], [0], nothing, config={"optim": {"lr": 9.0}}, **failed)
    for arguments in ([], ["--runs"]):
        out = done(compare(*arguments))
        assert "- k3-s1-p1 (lr 9) failed, seed 0: the loss is nan\n" in out
        (head,) = (line for line in out.splitlines() if "  samples/s  " in line)
        assert head.split()[1:3] == ["lr", "val"]


def test_places(compare: Compare, study: Path) -> None:
    name = run_named(study, "mnist-k3-s1-p1-seed2")
    for word in (name, f"strides/{name}", f"outputs/strides/{name}/run.json"):
        (row,) = rows(done(compare(word, "--format", "json", "--runs")))
        assert row["run"] == name
    assert len(rows(done(compare(str(study), name, "--format", "json")))) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stride"], "stride must be a study, a run or a folder; did you mean the study strides?"),
        (["mnist-k3-s1-p1-seed2"], "did you mean 'mnist-k3-s1-p1-seed2-"),
        (["x" * 5000], "cannot be opened: File name too long"),
        (["--where", "stride = 2"], "write == for ="),
        (["--where", "__import__('os').system('touch x')"], "comparisons such as stride == 2"),
        (["--where", "seed == 0"], "seed is of a single run: add --runs"),
        (["--where", "kernel_size == 99"], "--where must hold for a line"),
        (["--where", "strid == 2", "--runs"], "strid is no column; did you mean stride?"),
        (["--sort", "-makks"], "makks is no column"),
        (["--sort"], "--sort: expected one argument: see --help"),
        (["--format", "xml"], "--format must be one of table, csv, json, markdown, latex, got xml"),
        (["--report", "report.pdf"], "must end in .html or .md, got report.pdf"),
        (["--report", "outputs"], "--report must name a file, got outputs"),
        (["--all"], "unrecognized arguments: --all: see --help"),
        (["--pairs", "--runs"], "--runs is not for --pairs: see --help"),
        (["--pairs", "--sort", "macs"], "--sort is not for --pairs: see --help"),
        (["diff", "a", "b", "--pairs"], "--pairs is not for diff: see --help"),
        (["--margin", "much"], "--margin must be a number of percentage points above 0, such as"),
        (["--margin", "0"], "--margin must be a number of percentage points above 0, such as 0.2"),
        (["--margin", "nan"], "--margin must be a number of percentage points above 0, such as"),
        (["diff", "one"], "diff must be followed by two variants or runs, got 1"),
        (["diff", "a", "b", "--runs"], "--runs is not for diff: see --help"),
        (["diff", "a", "b"], "run must be a run in outputs or its folder, got 'a'"),
    ],
)
def test_bad_input_is_one_line(
    compare: Compare, study: Path, arguments: list[str], words: str
) -> None:
    assert words in refused(compare(*arguments))
    assert not Path("x").exists()


def test_nothing_to_compare(
    compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there is no folder outputs here: train first" in refused(compare())
    Path("outputs/empty").mkdir(parents=True)
    assert refused(compare()) == "error: there is no run to compare in outputs\n"
    assert refused(compare("empty")) == "error: there is no run to compare in empty\n"


def test_a_damaged_record_is_named_and_the_rest_goes_on(compare: Compare, study: Path) -> None:
    record = study / run_named(study, "mnist-k9") / "run.json"
    record.write_bytes(record.read_bytes()[:200])
    (study / "link").symlink_to(study / run_named(study, "mnist-k3-s1-p1-seed0"))
    code, out, err = compare()
    assert code == 0
    assert out.startswith("strides: 12 runs of 4 variants (9 finished, 3 skipped)")
    link, damaged = err.splitlines()
    assert link == "skipped, unreadable: outputs/strides/link is a link, not followed"
    assert damaged.startswith(f"skipped, unreadable: {record} is not valid JSON: ")


def test_names_do_no_harm(
    compare: Compare, make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"config": {"optim": {"name": "=1+1|<img>\x1b[2J[red]*"}}, "command": "@x"}
    for seed, study in enumerate(("\x1b]0;title\x07", "-plus")):
        folder = Path("outputs", study)
        failed = {"status": "failed", "reason": "a\x1b[31m\nb"}
        make_study(folder, [3], [1], [0], [seed], **names)
        make_study(folder, [3], [2], [0], [seed], **failed)
    table, markdown = done(compare()), done(compare("--format", "markdown"))
    for out in (table, markdown):
        assert all(line.isprintable() for line in out.splitlines())
        assert "\\x1b[2J" in out.replace("\\\\", "\\").replace("\\[", "[")
    assert "=1+1|<img>\\x1b[2J[red]*" in table
    assert "failed, seeds 0, 1: a\\x1b[31m\\nb" in table
    assert "=1+1&#124;&lt;img&gt;" in markdown
    assert "<img" not in markdown
    cells = list(csv.DictReader(io.StringIO(done(compare("--format", "csv", "--runs")))))
    assert {row["optim.name"][:5] for row in cells} == {"'=1+1", ""}
    assert {row["study"] for row in cells} == {"\x1b]0;title\x07", "'-plus"}
    assert {row["command"] for row in cells} == {"'@x", "python scripts/train.py"}


def test_diff(compare: Compare, study: Path) -> None:
    first, second = (run_named(study, f"mnist-k3-s{s}-p1-seed1") for s in (1, 2))
    lines = [" ".join(line.split()) for line in done(compare("diff", first, second)).splitlines()]
    assert lines[:2] == [f"first strides/{first}", f"second strides/{second}"]
    for expected in (
        "config conv.stride 1 2",
        "macs 4,629,376 176,320 x0.0381",
        "conv1 output 16x28x28 16x14x14",
        "result test_accuracy 97.00 % 98.00 % +1.00 points",
        "train_samples_per_sec 10,000 30,000 x3",
    ):
        assert expected in lines
    assert not any("lr" in line.split() for line in lines)
    differing = rows(done(compare("diff", first, second, "--format", "json")))
    assert differing[0]["part"] == "result"
    untested = dict.fromkeys(
        ("first_std", "second_std", "difference", "low", "high", "p_value", "error"), None
    )
    stride = {"part": "config", "key": "conv.stride", "first": "1", "second": "2"}
    assert stride | untested in differing
    table = done(compare("diff", first, second, "--format", "csv")).splitlines()
    assert table[0].startswith("part,key,first,second,")
    assert "config,conv.stride,1,2,,,,,,," in table
    assert "| config | conv.stride | 1 | 2 |  |" in done(
        compare("diff", first, second, "--format", "markdown")
    )


def test_a_diff_of_variants_begins_with_their_means_and_the_difference(
    compare: Compare, study: Path
) -> None:
    # Seeds lie 0.1 points apart; scipy's tukey_hsd of the three variants gives the rest.
    interval = stats.tukey_hsd([0.969, 0.97, 0.971], [0.979, 0.98, 0.981], [0.9785, 0.9795, 0.9805])
    low, high = (100 * end[1, 0] for end in interval.confidence_interval(0.95))
    for words in (("k3-s1-p1", "k3-s2-p1"), ("strides/k3-s1-p1", "strides/k3-s2-p1")):
        lines = [" ".join(line.split()) for line in done(compare("diff", *words)).splitlines()]
        assert lines[:2] == [
            "first k3-s1-p1, 3 runs of strides",
            "second k3-s2-p1, 3 runs of strides",
        ]
        said = f"{low:+.2f} to {high:+.2f} points, p <0.001 (both adjusted for 3 pairs)"
        assert lines[4] == (
            "- Test accuracy: first 97.00 ± 0.10 %, second 98.00 ± 0.10 %. Difference +1.00 points,"
            f" 95 % interval {said}: significant."
        )
        # Each run of the second is above each of the first; what differs is not equivalent.
        assert lines[5].startswith(
            "- A run of the second is more accurate than one of the first in 100 %"
        )
        assert lines[7] == "first second difference 95 % interval p"
        assert lines[9] == (
            "result test_accuracy 97.00 ± 0.10 % 98.00 ± 0.10 %"
            f" +1.00 points {low:+.2f} to {high:+.2f} points <0.001"
        )
        assert "config conv.stride 1 2" in lines
        assert any("hold for all 3 pairs of variants of this setting at once" in x for x in lines)


def test_pairs_and_letters_in_every_format(compare: Compare, study: Path) -> None:
    # k3-s2-p1 is 0.05 points above k5-s2-p2, and both are a point above k3-s1-p1.
    lines = [" ".join(line.split()) for line in done(compare("--pairs")).splitlines()]
    assert lines[1].startswith("first second points 95 % interval p verdict p equivalent")
    assert any(line.startswith("k3-s2-p1 k5-s2-p2 +0.05 -0.20 to +0.30 ") for line in lines)
    assert "k3-s2-p1 98.00 ± 0.10 % 3 a" in lines
    assert "k5-s2-p2 97.95 ± 0.10 % 3 a" in lines
    assert "k3-s1-p1 97.00 ± 0.10 % 3 b" in lines
    assert not any("best" in line for line in lines)
    found = rows(done(compare("--pairs", "--format", "json")))
    assert [(one["first"], one["second"], one["verdict"]) for one in found] == [
        ("k3-s2-p1", "k5-s2-p2", "undecided"),
        ("k3-s2-p1", "k3-s1-p1", "different"),
        ("k5-s2-p2", "k3-s1-p1", "different"),
    ]
    assert found[1]["p_equivalent"] is None
    table = list(csv.DictReader(io.StringIO(done(compare("--pairs", "--format", "csv")))))
    assert [one["second_letters"] for one in table] == ["a", "b", "b"]
    assert "| k3-s1-p1 | 97.00 ± 0.10 % | 3 | b |" in done(
        compare("--pairs", "--format", "markdown")
    )
    latex = done(compare("--pairs", "--format", "latex"))
    assert latex.count(r"\begin{tabular}{l") == 2
    assert "k3-s2-p1 & k5-s2-p2 & +0.05 &" in latex


def test_a_margin_decides_what_is_equivalent(compare: Compare, study: Path) -> None:
    pair, *_ = rows(done(compare("--pairs", "--margin", "0.5", "--format", "json")))
    assert (pair["verdict"], pair["margin"]) == ("equivalent", 0.005)
    assert "within 0.5 points" in done(compare("--margin", "0.5"))
    assert "Equivalent within 0.5 points" in done(
        compare("diff", "k3-s2-p1", "k5-s2-p2", "--margin", "0.5")
    )
    assert "Not shown to be equivalent within 0.1 points" in done(
        compare("diff", "k3-s2-p1", "k5-s2-p2")
    )


def test_a_diff_takes_a_variant_on_one_side_and_a_run_on_the_other(
    compare: Compare, study: Path
) -> None:
    run = run_named(study, "mnist-k3-s2-p1-seed1")
    out = " ".join(done(compare("diff", "k3-s1-p1", run)).split())
    assert out.startswith(f"first k3-s1-p1, 3 runs of strides second strides/{run} ")
    assert "test_accuracy 97.00 ± 0.10 % 98.00 % +1.00 points" in out


def test_a_diff_takes_every_label_that_a_variant_can_have(
    compare: Compare, study: Path, make_study: MakeStudy
) -> None:
    make_study(
        study, [4, [5, 3, 1], "3x5"], [1], ["same"], metrics=lambda *_: {"test_accuracy": 0.9}
    )
    for label in ("k4-s1-p1+2", "k5.3.1-s1-p2.1.0", "k3x5-s1-p1x2"):
        first, *_ = done(compare("diff", label, "k3-s1-p1")).splitlines()
        assert first == f"first   {label}, 3 runs of strides"


def test_a_diff_asks_which_setting_is_meant_in_one_line(
    compare: Compare, study: Path, make_study: MakeStudy
) -> None:
    slow = {"config": {"optim": {"lr": 0.001}}}
    make_study(Path("outputs/slow"), [3], [1], ["half"], metrics=planted, **slow)
    assert refused(compare("diff", "k3-s1-p1", "k3-s2-p1")) == (
        "error: k3-s1-p1 has been trained with 2 settings: give one of slow/k3-s1-p1,"
        " strides/k3-s1-p1, or one run\n"
    )
    assert "of slow" in done(compare("diff", "slow/k3-s1-p1", "k3-s2-p1"))
    make_study(study, [3], [1], ["half"], [3, 4], metrics=lambda *_: {}, **slow)
    assert "give one of 'k3-s1-p1 (lr 0.001)', 'k3-s1-p1 (lr 0.02)', or" in refused(
        compare("diff", "strides/k3-s1-p1", "k3-s2-p1")
    )
    one = done(compare("diff", "strides/k3-s1-p1 (lr 0.02)", "k3-s2-p1"))
    assert one.splitlines()[0] == "first   k3-s1-p1 (lr 0.02), 3 runs of strides"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("k3-s1-p2", "k3-s1-p2 is no run, and no variant that has been trained; did you mean"),
        ("k3-s1-p1 (lr 7)", "k3-s1-p1 (lr 7) is no run, and no variant that has been trained;"),
        ("no/k3-s1-p1", "outputs/no cannot be listed"),
    ],
)
def test_a_diff_names_the_variant_that_is_none(
    compare: Compare, study: Path, word: str, says: str
) -> None:
    assert says in refused(compare("diff", word, "strides/k3-s2-p1"))


def test_long_texts_of_a_diff_stand_below_it(
    compare: Compare, study: Path, make_study: MakeStudy
) -> None:
    commands = [f"python scripts/train.py conv.stride={'1' * 30}{end}" for end in "ab"]
    for command in commands:
        make_study(Path("outputs", command[-1]), [3], [1], [0], [0], command=command)
    runs = [f"{end}/{run_named(Path('outputs', end), 'mnist')}" for end in "ab"]
    out = done(compare("diff", *runs))
    assert f"command, first and second:\n- {commands[0]}\n- {commands[1]}\n" in out


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_a_report_beside_the_table(compare: Compare, study: Path, suffix: str) -> None:
    path = Path(f"report{suffix}")
    code, out, err = compare("--report", str(path), "--where", "kernel_size == 3")
    assert (code, err) == (0, f"wrote {path}\n")
    assert out.startswith("strides: 6 runs of 2 variants (6 finished)")
    text = path.read_text(encoding="utf-8")
    assert "k3-s2-p1" in text
    assert "k5-s2-p2" not in text
    assert "scripts/compare.py --report" in text


def script(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """The script itself, in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/compare.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_closed_pipe_is_no_traceback(study: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/compare.py"), "--format", "json", "--runs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


HEAVY = ("torch", "torchvision", "pytorch_lightning", "hydra", "matplotlib", "plotly", "sklearn")


@pytest.mark.parametrize("arguments", [["--help"], [], ["--runs", "--where", "stride == 2"]])
def test_it_starts_without_torch(study: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from convscope.cli.compare import main;"
        f"sys.argv[1:] = {arguments!r}; assert main() == 0;"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_thousand_runs(
    compare: Compare, make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 5 s; by this process's own time, as others may be busy."""
    monkeypatch.chdir(tmp_path)
    for lr in (0.01, 0.02, 0.05, 0.1):
        grid = ([3, 5, 7, 9, 11], [1, 2, 3], [0, "half", "full"], range(6))
        make_study(Path("outputs/many"), *grid, config={"optim": {"lr": lr}})
    begun = time.process_time()
    out = done(compare())
    assert time.process_time() - begun < 5
    assert out.startswith("many: 1,080 runs of 45 variants")


def test_a_packed_study_is_compared_as_its_folder(compare: Compare, study: Path) -> None:
    code, out, err = compare("strides", "--pack", "strides.zip")
    assert (code, err) == (0, "wrote strides.zip\n")
    assert done(compare("strides")) == out == done(compare("strides.zip"))
    assert done(compare("strides.zip/strides")) == out
    packed = rows(done(compare("strides.zip", "--runs", "--format", "json")))
    folder = rows(done(compare("strides", "--runs", "--format", "json")))
    for row, own in zip(packed, folder, strict=True):
        assert row.pop("path") == f"strides.zip/{Path(own.pop('path')).relative_to('outputs')}"
        assert row == own


def test_a_packed_study_has_a_report_and_differences(compare: Compare, study: Path) -> None:
    compare("strides", "--pack", "strides.zip")
    sides = "k3-s1-p1", "k3-s2-p1"
    expected = done(compare("diff", *(f"strides/{side}" for side in sides)))
    assert done(compare("diff", *(f"strides.zip/{side}" for side in sides))) == expected
    assert done(compare("diff", *(f"strides.zip/strides/{side}" for side in sides))) == expected
    run = run_named(study, "mnist-k3-s1-p1-seed0")
    other = run_named(study, "mnist-k3-s2-p1-seed0")
    done(compare("diff", f"strides.zip/strides/{run}", f"strides.zip/strides/{other}"))
    for ending in ("html", "md"):
        code, _, err = compare("strides.zip", "--report", f"report.{ending}")
        assert (code, err) == (0, f"wrote report.{ending}\n")


def test_only_the_runs_of_the_lines_shown_are_packed(compare: Compare, study: Path) -> None:
    compare("strides", "--where", "stride == 2", "--pack", "two.zip")
    packed = rows(done(compare("two.zip", "--format", "json")))
    assert [row["variant"] for row in packed] == ["k3-s2-p1", "k5-s2-p2"]


def test_packing_is_refused_in_one_line(compare: Compare, study: Path) -> None:
    assert "must end in .zip, got x.tar" in refused(compare("strides", "--pack", "x.tar"))
    assert "must name a file" in refused(compare("strides", "--pack", "outputs"))
    assert "--pack is not for diff" in refused(compare("diff", "a", "b", "--pack", "x.zip"))
    compare("strides", "--pack", "good.zip")
    assert "is packed, without its trained network" in refused(compare("good.zip", "--latency"))
    Path("bad.zip").write_bytes(b"PK")
    assert "cannot be read as a packed study" in refused(compare("bad.zip"))


def test_a_run_that_is_being_trained_is_not_packed(
    compare: Compare, study: Path, make_study: MakeStudy
) -> None:
    make_study(study, [5], [1], ["half"], [7], nothing, status="running", ended_at=None)
    with RunLock(study / run_named(study, "mnist-k5-s1-p2-seed7")):
        assert "is being trained" in refused(compare("strides", "--pack", "x.zip"))
