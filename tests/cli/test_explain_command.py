"""`python scripts/explain.py` as a person types it: what it prints, writes and refuses."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from convscope import train
from convscope.training.show import show_run

ROOT = Path(__file__).parents[2]
Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(call: Explain) -> Explain:
    """Exit code, standard output and standard error of one command."""
    return partial(call, "explain")


def done(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert (code, err) == (0, "")
    return out


def test_help_is_one_page(explain: Explain) -> None:
    page = done(explain("--help"))
    assert max(map(len, page.splitlines())) <= 100
    for word in ("sample", "diff", "vs", "grid", "rules", "--input", "--html", "--png", "--json"):
        assert word in page
    assert done(explain("grid", "-h")) == page


def test_the_tutorial(explain: Explain) -> None:
    out = done(explain("sample"))
    assert "nn.Conv2d(1, 1, 3, stride=2): 5x5 to 2x2, output [1, 1, 2, 2]:\n   54   72\n" in out
    assert "  conv=k5-s2-p0  nn.Conv2d(1, 10, 5, stride=2)   [1, 10, 12, 12]\n" in out
    assert "- First output: 0 + 1 + 2 + 5 + 6 + 7 + 10 + 11 + 12 = 54\n" in out


def test_a_sample_of_one_s_own(explain: Explain) -> None:
    out = done(explain("sample", "conv.kernel_size=2", "conv.stride=3", "--input", "7x9"))
    assert (
        "conv1 = nn.Conv2d(1, 1, 2, stride=3, padding=1): 7x9 to 3x4, output [1, 1, 3, 4]:\n"
        "    0    5   11    8\n"
        "   45  100  112   61\n"
        "   99  208  220  115\n"
    ) in out
    read, skipped = "  1  0  1  1  0  1  1  0  1\n", "  0  0  0  0  0  0  0  0  0\n"
    assert out.endswith(
        "\nHow often the windows read each pixel of the input:\n"
        f"{read}{skipped}{read}{read}{skipped}{read}{read}"
    )


def test_a_list_shows_the_first_layer(explain: Explain) -> None:
    out = done(explain("sample", "conv.stride=[1,2,1]", "conv.kernel_size=4", "conv.padding=0"))
    assert "nn.Conv2d(1, 1, 4): 5x5 to 2x2" in out


def test_a_large_input_is_shortened(explain: Explain) -> None:
    out = done(explain("sample", "--input", "300x400", "conv.padding=0"))
    lines = out.splitlines()
    assert len(lines) < 60
    assert lines[1].split()[:2] == ["0", "1"]
    assert lines[1].split()[-1] == "399"
    assert set(lines[11].split()) == {"..."}


def test_a_network(explain: Explain) -> None:
    out = done(explain("conv.stride=2", "data=cifar10"))
    lines = out.splitlines()
    assert lines[0] == "cifar10 3x32x32, channels 16-32-64: k3-s2-p1"
    assert (
        "conv1  k3 s2 p1                3x32x32  16x16x16   3     2             0    1–4" in lines
    )
    assert "conv1     432  110,592  16.0 KiB     0+1        0     12 %" in lines
    assert (
        "24,346 parameters, 258,688 MACs and 23.0 KiB of activations per image, final map 2x2."
        in lines
    )
    assert "- the receptive field of a conv3 unit holds at most 29 of 32 pixels per axis." in lines


def test_a_network_for_programs(explain: Explain) -> None:
    record = json.loads(done(explain("conv.stride=2", "--json")))
    assert (record["status"], record["variant"]) == ("possible", "k3-s2-p1")
    assert (record["params"], record["final_map"]) == (24_058, [2, 2])
    assert record["layers"][0]["out_shape"] == [16, 14, 14]
    assert [layer["reads"] for layer in record["layers"]] == [[1, 4], [1, 1], [1, 4], [1, 4]]
    assert record["paths"] == [1, 36]
    assert record["words"]["touches_padding"] == (
        "75 % of conv2's and conv3's outputs touch padding."
    )


RESNET20 = ("model=resnet20", "data=cifar10")


def test_a_long_network_is_grouped_and_shown_in_full_on_request(explain: Explain) -> None:
    lines = done(explain(*RESNET20, "conv.kernel_size=5")).splitlines()
    assert lines[0] == "cifar10 3x32x32, resnet20: k5-s1-p1"
    # 5 + 6 * 2 pixels; the map is 32 + 2 - 5 + 1 = 30.
    assert (
        "layer1 (6 layers)    k3 s1 p1  16x30x30  16x30x30  17     1             1    4–9" in lines
    )
    assert max(len(line) for line in lines if line.startswith(("conv", "layer"))) <= 80
    assert (
        "- 7 conv layers from layer2.2.conv2 on are unproductive: the receptive field of their"
        " input spans the whole image already." in lines
    )
    every = done(explain(*RESNET20, "--all"))
    assert len(re.findall(r"^(?:conv1|layer\d\.\d\.conv\d) ", every, re.MULTILINE)) == 2 * 19
    assert "(6 layers)" not in every
    record = json.loads(done(explain(*RESNET20, "--json")))
    assert len(record["layers"]) == 19
    marks = [name for name in ("is_varied", "is_unproductive") if name in record["layers"][0]]
    assert marks == ["is_varied"]
    assert sum(layer.get("is_unproductive", False) for layer in record["layers"]) == 7


def test_a_diff_of_long_networks(explain: Explain) -> None:
    arguments = ("diff", *RESNET20, "vs", *RESNET20, "conv.kernel_size=7")
    out = done(explain(*arguments))
    assert re.search(r"layer1 \(6 layers\) +out +16x32x32 +16x28x28  \*\n", out)
    assert len(out.splitlines()) < 80 < len(done(explain(*arguments, "--all")).splitlines())
    record = json.loads(done(explain(*arguments, "--json")))
    assert {"layer": "conv1", "quantity": "out", "values": ["16x32x32", "16x28x28"]} in record[
        "differences"
    ]


def test_a_network_with_blurs(explain: Explain) -> None:
    typed = ("data=digits", "conv.stride=2", "model.pool=blur", "model.downsample=blur")
    title, *lines = done(explain(*typed)).splitlines()
    assert title == "digits 1x28x28, channels 16-32-64, pool blur, downsample blur: k3-s2-p1"
    rows = [" ".join(line.split()) for line in lines]
    # By hand: 3 + 2 = 5, a pool of 2 at a jump of 2: 7, and 2 * 2 more for its blur.
    for row in (
        "conv1 k3 s1 p1 1x28x28 16x28x28 3 1 0 4–9",
        "conv1.blur k3 s2 p1 reflect 16x28x28 16x14x14 5 2 0 1–9",
        "pool1 k2 s1 p0 16x14x14 16x13x13 7 2 1 1–4",
        "pool1.blur k3 s2 p1 reflect 16x13x13 16x7x7 11 4 1 4–9",
    ):
        assert row in rows
    # 9 multiply-accumulates for each of 16 x 14 x 14 numbers.
    assert "conv1.blur 0 28,224 12.2 KiB 0+1 0 14 %" in rows
    record = json.loads(done(explain("data=digits", "model.pool=blur", "--json")))
    assert (record["pool"], record["downsample"]) == ("blur", "conv")
    assert [layer["kind"] for layer in record["layers"]] == ["conv", "pool", "blur", "conv", "conv"]


def test_the_picture_of_a_networks_read_counts(explain: Explain, tmp_path: Path) -> None:
    picture = tmp_path / "reads.png"
    out = done(explain(*RESNET20, "conv.stride=2", "--png", str(picture)))
    assert out.endswith(f"\nwrote {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    assert explain("conv.kernel_size=7", "conv.padding=0", "--png", str(picture))[0] == 2
    code, _, err = explain("--html", str(tmp_path / "page.html"), "--png", str(picture))
    assert (code, err) == (
        *(2, "error: --html shows a layer and --png a network: take one of them\n"),
    )
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_network(explain: Explain) -> None:
    code, out, err = explain("conv.kernel_size=7", "conv.padding=0")
    assert code == 2
    assert err == (
        "error: conv3 would have an empty output: input 5x5, kernel_size 7, stride 1, padding 0;"
        " conv.padding=1 would make it possible\n"
    )
    assert out.splitlines()[-1].startswith("conv2  k7 s1 p0")
    code, out, err = explain("conv.kernel_size=7", "conv.padding=0", "--json")
    record = json.loads(out)
    assert (code, record["status"], record["layer"]) == (2, "impossible", "conv3")
    assert record["fix"] == "conv.padding=1"
    assert explain("conv.stride=2", "conv.padding=same")[:2] == (2, "")


def test_diff(explain: Explain) -> None:
    out = done(explain("diff", "conv.stride=1", "vs", "conv.stride=2"))
    assert re.search(r"\n +MACs +4,629,376 +176,320  \* x0.0381\n", out)
    assert "\nOnly the second, k3-s2-p1:\n- conv1 leaves" in out
    record = json.loads(done(explain("diff", "--json", "vs", "conv.stride=2")))
    assert [one["variant"] for one in record["variants"]] == ["k3-s1-p1", "k3-s2-p1"]
    assert record["differences"][0] == {
        "layer": None,
        "quantity": "final map",
        "values": ["14x14", "2x2"],
    }
    impossible = done(explain("diff", "conv.stride=2", "conv.padding=same", "vs"))
    assert "\nImpossible:\n- k3-s2-psame: conv.padding=same needs stride 1" in impossible


def test_grid(explain: Explain, tmp_path: Path) -> None:
    arguments = ["grid", "conv.kernel_size=3,7", "conv.padding=0,1,half"]
    page, picture = tmp_path / "grid.html", tmp_path / "grid.png"
    out = done(explain(*arguments, "--html", str(page), "--png", str(picture)))
    assert out.startswith("6 combinations make 5 variants, 1 of them impossible.\n")
    assert "padding 1 = half\n" in out
    assert "\n- k7-s1-p0: conv3 would have an empty output" in out
    assert out.endswith(f"\nwrote {page} and {picture}\n")
    assert page.read_bytes().startswith(b"<!doctype html>")
    assert picture.read_bytes().startswith(b"\x89PNG")
    record = json.loads(done(explain(*arguments, "--json")))
    assert record["keys"] == ["conv.kernel_size", "conv.padding"]
    assert [one["typed"] for one in record["variants"]][1] == [["3", "1"], ["3", "half"]]


def test_rules_are_listed_with_threshold_and_source(explain: Explain) -> None:
    out = done(explain("rules"))
    assert "\ntouches padding: at least 50 % of a layer's outputs\n" in out
    assert "\nunused border: at least 1 pixel, input or padding\n" in out
    assert "Dumoulin and Visin (2016), relationship 6" in out


def test_pages(explain: Explain, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert done(explain("--html", str(page))) == f"wrote {page}: open it in a browser\n"
    first = page.read_bytes()
    done(explain("conv.stride=3", "--html", str(page), "--input", "7x9"))
    second = page.read_bytes()
    done(explain("diff", "conv.stride=3", "vs", "conv.kernel_size=5", "--html", str(page)))
    assert len({first, second, page.read_bytes()}) == 3


def test_the_page_of_a_layer(explain: Explain, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    def content(*arguments: str) -> dict[str, Any]:
        wrote = f"wrote {page}: open it in a browser\n"
        assert done(explain(*arguments, "--html", str(page))) == wrote
        text = page.read_text("utf-8")
        found: dict[str, Any] = json.loads(text.split('id="content">')[1].split("</script>")[0])
        return found

    found = content(*RESNET20, "--layer", "layer2.0.conv1")
    assert (found["input"], found["panes"][0]["stride"]) == ([32, 32], "2")
    assert found["layer"]["name"] == "layer2.0.conv1"
    assert found["layer"]["about"].startswith(
        "cifar10 3x32x32, resnet20: k3-s1-p1. The input of layer2.0.conv1 is 16x32x32, its output"
        " 32x16x16."
    )
    # The first varied layer of a network other than the stack is on its own input too.
    found = content(*RESNET20, "conv.kernel_size=7")
    assert (found["layer"]["name"], found["input"]) == ("conv1", [32, 32])
    assert content(*RESNET20, "--input", "7x9")["input"] == [7, 9]
    # A stack's is on the tutorial's input unless it is asked for.
    assert (found := content("conv.stride=2"))["input"] == [5, 5]
    assert found["layer"] is None
    assert content("--layer", "conv2")["input"] == [14, 14]
    assert content("--layer", "pool1", "model.pool_kernel=3")["panes"][0]["kernel_size"] == "3"
    found = content("--layer", "pool1.blur", "model.pool=blur", "data=digits")
    assert found["panes"][0] | {"padding": "1", "padding_mode": "reflect"} == found["panes"][0]
    assert found["layer"]["about"] == (
        "digits 1x28x28, channels 16-32-64, pool blur: k3-s1-p1. The input of pool1.blur is"
        " 16x27x27, its output 16x14x14. It is a blur: a window is weighted by [1, 2, 1] / 4 along"
        " each axis with a stride, in place of the kernel here."
    )
    found = content("diff", *RESNET20, "vs", *RESNET20, "conv.kernel_size=7", "--layer", "conv1")
    assert [pane["kernel_size"] for pane in found["panes"]] == ["3", "7"]
    assert found["layer"]["about"].startswith("First setting: cifar10 3x32x32, resnet20: k3-s1-p1.")
    assert " Second setting: cifar10 3x32x32, resnet20: k7-s1-p1." in found["layer"]["about"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["foo"], "cannot read the override foo\n"),
        (["conv.stride=0"], "conv.stride must be at least 1, got 0\n"),
        (["conv.stride=1,2"], "conv.stride=1,2 is more than one variant\nwrite explain.py grid"),
        (["--frob"], "unrecognized arguments: --frob: see --help\n"),
        (["--html"], "argument --html: expected one argument: see --help\n"),
        (["--html", ""], "--html must name a file, got nothing\n"),
        (
            ["diff", "vs", "--png", "x.png"],
            "--png is for network, grid, not for diff: see --help\n",
        ),
        (["grid", "--run", "x"], "--run is for network, not for grid: see --help\n"),
        (["--run", "x"], "--run needs --html FILE here: see --help\n"),
        (["--layer", "conv1"], "--layer needs --html FILE here: see --help\n"),
        (["grid", "--all"], "--all is for network, diff, not for grid: see --help\n"),
        (
            ["model=resnet20", "--html", "x.html", "--layer", "layer2.0.con"],
            "--layer names no conv or pool layer of the network: layer2.0.con; did you mean layer2",
        ),
        (["trainer.max_epochs=1", "--html", "x"], "only one layer is shown, which conv, data and"),
        (["--input", "5x5"], "--input needs --html FILE here: see --help\n"),
        (["sample", "--input", "7y9"], "--input must be height x width such as 7x9, got 7y9\n"),
        (["sample", "--input", ""], "--input must be height x width such as 7x9, got nothing\n"),
        (["sample", "--input", "0x9"], "--input must be 1 to 1000 pixels high and wide, got 0x9"),
        (["sample", "--input", "9x1001"], "--input must be 1 to 1000 pixels high and wide, got "),
        (["sample", "data=mnist"], "only one layer is shown, which conv and model describe, got"),
        (["sample", "conv.kernel_size=8"], "conv1 would have an empty output: input 5x5, kernel"),
        (["sample", "conv.stride=2", "conv.padding=same"], "conv.padding=same needs stride 1"),
        (["diff", "conv.stride=2"], "diff takes two variants with one vs between them, such as"),
        (["grid", "conv.strid=1,2"], "conv.strid is not a key of the config\ndid you mean"),
        (["rules", "x"], "rules takes no arguments, got x\n"),
    ],
    ids=" ".join,
)
def test_bad_input_is_told_and_nothing_printed(
    explain: Explain, arguments: list[str], message: str
) -> None:
    code, out, err = explain(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


def test_a_file_is_replaced_whole_or_not_at_all(explain: Explain, tmp_path: Path) -> None:
    page = tmp_path / "kept.html"
    page.write_text("kept")
    for arguments in (
        ["conv.stride=0", "--html", str(page)],
        ["grid", "conv.stride=1,0", "--html", str(page)],
        ["grid", "conv.stride=range(1,40)", "--html", str(page), "--png", str(page)],
        ["--html", str(page), "--run", str(tmp_path)],
    ):
        code, out, err = explain(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
    assert page.read_text() == "kept"
    code, _, err = explain("grid", "conv.stride=1,2", "--html", str(tmp_path / "no" / "x.html"))
    assert code == 2
    assert "x.html could not be written: No such file or directory" in err
    assert explain("grid", "conv.stride=1,2", "--png", str(tmp_path))[0] == 2
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert explain("grid", "conv.stride=1,2", "--png", str(pipe))[0] == 2
    pipe.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.html"]


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from convscope.cli.explain import main; sys.exit(main())"
    inherited = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PATH": ""}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=inherited | environment,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "barred"),
    [
        (["conv.stride=2", "data=cifar10"], ["torch", "numpy", "matplotlib", "scipy"]),
        (["diff", "vs", "conv.stride=2"], ["torch", "numpy", "matplotlib", "scipy"]),
        (["grid", "conv.stride=1,2"], ["torch", "numpy", "matplotlib", "scipy"]),
        (["grid", "conv.stride=1,2", "--png", "grid.png"], ["torch", "scipy"]),
        (["model=resnet20", "--layer", "conv1", "--html", "x.html"], ["torch", "matplotlib"]),
        (["rules"], ["torch", "numpy", "matplotlib", "scipy"]),
        (["--help"], ["torch", "numpy", "matplotlib", "scipy", "hydra", "rich"]),
    ],
    ids=" ".join,
)
def test_what_starts_without_what(arguments: list[str], barred: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; from convscope.cli.explain import main; main();"
        f"print('loaded', [name for name in {barred} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        cwd=tmp_path,
        check=True,
    )
    assert ended.stdout.endswith("loaded []\n")


def test_findings_need_neither_torch_nor_hydra() -> None:
    program = (
        "import sys; from convscope.geometry.rules import findings;"
        "print([name for name in ('torch', 'hydra', 'numpy', 'rich') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        check=True,
    )
    assert ended.stdout == "[]\n"


def test_a_terminal_without_dashes_is_no_reason_to_fail() -> None:
    ended = process("diff", "model=deep", "vs", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "?" in ended.stdout


def test_a_reader_that_stops_early_sees_no_traceback() -> None:
    program = "import sys; from convscope.cli.explain import main; sys.exit(main())"
    for arguments in (["--help"], ["grid", "conv.stride=1,2"], ["conv.stride=2", "--json"]):
        with subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        ) as started:
            assert started.stdout is not None
            assert started.stderr is not None
            started.stdout.close()
            assert started.wait(timeout=60) == 1
            assert started.stderr.read() == b""


def test_a_run_of_a_network_by_name(explain: Explain, tmp_path: Path) -> None:
    """Its table is grouped, and its stem's filters are on the page."""
    record = train(
        "model=resnet20", "data=digits", "model.channels=[4,4,4]", "data.batch_size=8",
        "conv.kernel_size=5", "conv.padding=2", "trainer.max_epochs=1",
        "trainer.limit_train_batches=1", "trainer.limit_val_batches=1",
        "trainer.limit_test_batches=1", "trainer.accelerator=cpu", f"output_dir={tmp_path}",
    )  # fmt: skip
    shown = StringIO()
    show_run(record, Console(file=shown, width=200))
    # 5 + 6 * 2 pixels, 6 * 9 * 4 * 4 weights, on 28 * 28 pixels
    row = r"layer1 \(6 layers\) +k3 s1 p1 +4x28x28 +17 +677,376 +864 +0 +14 %\n"
    assert re.search(row, shown.getvalue())
    explain("rules")  # So that what training printed is read.
    run = tmp_path / "default" / record.name
    page = tmp_path / "page.html"
    wrote = f"wrote {page}: open it in a browser\n"
    assert done(explain("--html", str(page), "--run", str(run))) == wrote
    assert '"shape":[4,1,5,5]' in page.read_text("utf-8")
    deep = done(explain("--html", str(page), "--run", str(run), "--layer", "layer2.0.conv1"))
    assert deep == (
        wrote + "no trained filters: layer2.0.conv1 does not read the image; the input is numbers\n"
    )
    assert '"input":[28,28]' in page.read_text("utf-8")
