"""Whatever is typed ends: done, or refused in a line or two; never a traceback, a hang, a torrent.

A few hundred command lines in CI; `pytest -m fuzz` types thousands.
"""

import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from convscope.cli import compare, explain
from convscope.cli import train as cli
from convscope.training.resolve import RunResolver

SECONDS = 5.0
"""Of processor time, on a machine that is busy; an idle one takes a fraction of it."""
MEGABYTES = 1_000
"""That one command line may add to the process; PyTorch, which `sample` imports, takes half."""

KEYS = [
    *("conv.kernel_size", "conv.stride", "conv.padding", "conv.dilation", "conv.padding_mode"),
    *("conv", "data", "data.name"),
    *("data.root", "data.batch_size", "data.val_fraction", "data.image_size", "data.flip"),
    *("data.shift", "data.cutout", "model", "model.channels", "model.pool_after", "optim"),
    *("optim.lr", "optim.weight_decay", "optim.warmup", "trainer", "trainer.max_epochs"),
    *("trainer.max_steps", "trainer.max_time", "trainer.accelerator", "trainer.devices"),
    *("trainer.strategy", "trainer.precision", "trainer.limit_train_batches"),
    *("trainer.limit_val_batches", "trainer.limit_test_batches", "trainer.fast_dev_run"),
    *("trainer.gradient_clip_val", "trainer.deterministic", "trainer.log_every_n_steps"),
    *("trainer.enable_progress_bar", "seed", "study", "output_dir", "repeat", "plan", "rerun"),
    *("compile", "throughput", "objective", "trials", "experiment", "sweep", "hydra"),
    *("hydra.mode", "hydra/launcher", "hydra/sweeper", "hydra.launcher"),
    *("hydra.launcher.num_cpus", "hydra.launcher.init", "hydra.sweeper.params"),
    *("hydra.searchpath", "hydra.job.name", "hydra/help", "conv.strid", "model.pretrained"),
    *("optim.name", "logger", "a.b.c", "conv@model", "/conv", "defaults", "_target_"),
]

NUMBERS = [
    *("0", "1", "2", "3", "5", "-1", "1.5", "1e3", "1e-3", "1e999", "-1e999", "nan", "inf"),
    *("1000", "1001", "100000", "1000000000", "9" * 30, "9" * 5000, "-" + "9" * 5000, "0.0"),
    *("0x10", "1_0", "01", "+3", "1e5000", "0." + "1" * 3000),
]
TEXTS = [
    *("", "null", "true", "false", "auto", "half", "same", "digits", "mnist", "none", "default"),
    *("k3-s1-p1", "k7-s2-p3", "k3-s2-psame", "k0-s0-p0", "wide", "deep", "grid", "tutorial"),
    *("ray", "basic", "optuna", "convscope", "submitit_local", "../x", "/dev/zero", "/", "~"),
    *("$HOME", "${seed}", "${a.b}", "${oc.env:NO_SUCH}", "${", "}", "{", "[", "]", "'", '"', "\\"),
    *("größer", "日本", "\u202e", "\x00", "\n", "\t", "a b", "a,b", "%s", "{}", "[]", "()"),
    *("3x5", "3x", "x", "1x1x1", "[null]", "[[1]]", "[1,[2]]", "{a: 1}", "{1: 2}", "{a: {b: 1}}"),
    *("${seed},${seed}", "???", "_self_", "<script>", "$1_$", "=", "==", "@", "a@b", ":", "*"),
    *("00:00:01:00", "val/accuracy", "[val/accuracy]", "0,0", "1,2,3", "a" * 3000, "\udcff"),
    *("[" * 300, "[" * 40 + "]" * 40, "{a:" * 200, "(" * 300, "${" * 100, "'" * 301),
    *("[" + ",".join(["16"] * 3000) + "]", ",".join(map(str, range(3000)))),
]
SWEEPS = [
    *("1,2,3", "range(1,4)", "range(1,3,0)", "range(0,1000000000000)", "range(0,1e300,1e-300)"),
    *("range(0,inf)", "range(nan,1)", "range(5)", "range()", "range(1,2,3,4)", "interval(0,1)"),
    *("choice(1,2)", "choice()", "choice(1,[2,1])", "glob(*)", "glob(k*)", "glob([*],exclude=k3*)"),
    *("shuffle(range(0,10000000000))", "sort(3,1,2)", "sort(a,1)", "tag(a,choice(1))", "int(a)"),
    *("int(range(0,1e9))", "str(1,2)", "bool(maybe)", "float(1,x)", "f(1)", "int([1,{a:b}])"),
    *("1,2,1", "1,,2", ",", "1,", "extend_list(1)", "range(1,100)", "0.1,0.2", "half,same,full"),
    *("range(1,1000)", "sort(range(0,1000000000))", "int('" + "9" * 5000 + "')"),
]
OPTIONS = [
    *("-m", "--multirun", "-r", "--run", "--cfg", "--cfg=job", "-c", "job", "all", "hydra"),
    *("--resolve", "--package", "-p", "conv", "--help", "-h", "--hydra-help", "--version", "-i"),
    *("--info", "--info=all", "--info=defaults", "-sc", "--shell-completion", "install=bash"),
    *(
        "--config-dir",
        "--config-dir=no-such",
        "-cd",
        ".",
        "/",
        "--config-name=x",
        "--config-path=x",
    ),
    *("--experimental-rerun=x", "--", "-", "---", "--multi", "-mm", "-x", "-1", "--no-such=1"),
]
EXPLAIN = [
    *("sample", "diff", "grid", "rules", "vs", "--json", "--html", "page.html", "--png"),
    *("grid.png", "--input", "5x5", "0x0", "1001", "7x9", "--run", "no-such", "--help", "--"),
    *("--html=", "--input=9" + "9" * 5000, "-", "--js", "/dev/full", "--html=\x00"),
]
COMPARE = [
    *("diff", "outputs", "no-such", "/", "--runs", "--where", "stride == 2", "--sort", "-macs"),
    *(
        "--format",
        "csv",
        "json",
        "markdown",
        "latex",
        "--cite",
        "xml",
        "--report",
        "report.html",
        "report.pdf",
    ),
    *("--help", "--", "-", "\x00", "a" * 5000, "--where=" + "(" * 300, "/dev/zero", "--sort="),
    *("*", "~", "../..", "", "größer", "--report=/", "--format=", "run.json", "\udcff"),
]


def override() -> st.SearchStrategy[str]:
    prefix = st.sampled_from(["", "", "", "", "+", "++", "~", "+~"])
    equals = st.sampled_from(["=", "=", "=", "=", "=", "", "=="])
    value = st.one_of(
        *(st.sampled_from(values) for values in (NUMBERS, TEXTS, SWEEPS, SWEEPS)),
        st.text(max_size=8),
    )
    return st.tuples(prefix, st.sampled_from(KEYS), equals, value).map("".join)


def train_lines() -> st.SearchStrategy[list[str]]:
    word = st.one_of(override(), override(), override(), st.sampled_from([*OPTIONS, *TEXTS]))
    many = st.sampled_from([[], [], ["-m"]])
    return st.tuples(many, st.lists(word, max_size=5)).map(lambda parts: parts[0] + parts[1])


def explain_lines() -> st.SearchStrategy[list[str]]:
    word = st.one_of(override(), override(), st.sampled_from([*EXPLAIN, *TEXTS]))
    first = st.sampled_from([[], ["grid"], ["diff"], ["sample"]])
    return st.tuples(first, st.lists(word, max_size=5)).map(lambda parts: parts[0] + parts[1])


def compare_lines() -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*COMPARE, *TEXTS]), max_size=5)


class ReachedTheData(Exception):
    """What was typed was taken; the next step loads images."""


class TooLong(Exception):
    pass


def train() -> int:
    with contextlib.suppress(ReachedTheData):
        cli.main()
    return 0


COMMANDS: dict[str, tuple[Callable[[], int], st.SearchStrategy[list[str]]]] = {
    "train": (train, train_lines()),
    "explain": (explain.main, explain_lines()),
    "compare": (compare.main, compare_lines()),
}


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    def reached(*_: object) -> None:
        raise ReachedTheData

    monkeypatch.setattr(RunResolver, "request", reached)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    monkeypatch.setattr(sys, "argv", sys.argv)

    def too_long(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, too_long)
    yield
    signal.signal(signal.SIGVTALRM, before)
    GlobalHydra.instance().clear()


def check(program: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main, _ = COMMANDS[program]
    GlobalHydra.instance().clear()
    sys.argv = [f"scripts/{program}.py", *arguments]
    capsys.readouterr()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handlers, level = logging.root.handlers[:], logging.root.level
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        # What hydra.verbose=true sets up ends with a command's process.
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
    out, err = capsys.readouterr()
    assert code in (0, 1, 2, None), code
    assert "Traceback" not in out + err
    # compare.py names up to twenty things of a folder that are no runs.
    lines = [line for line in err.splitlines() if not line.startswith("skipped, unreadable: ")]
    assert len(lines) <= 3, err
    assert max(map(len, lines), default=0) < 1_500, err
    assert (code == 2) == any(line.startswith("error: ") for line in lines), (code, err)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert grown < MEGABYTES


@pytest.mark.parametrize("program", COMMANDS)
def test_a_few_command_lines(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    _type(program, capsys, 60)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("program", COMMANDS)
def test_thousands(program: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    _type(program, capsys, 100, number)


def _type(program: str, capsys: pytest.CaptureFixture[str], times: int, number: int = 0) -> None:
    @seed(number)
    @settings(
        deadline=None,
        database=None,
        max_examples=times,
        suppress_health_check=list(HealthCheck),
    )
    @given(COMMANDS[program][1])
    def whatever(arguments: list[str]) -> None:
        check(program, arguments, capsys)

    whatever()
