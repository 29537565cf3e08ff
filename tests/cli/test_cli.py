"""The command line as people type it: what is refused, what is printed, what is left on disk."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import convscope
from convscope.config.compose import config_dir
from convscope.training.signals import Interrupted

SOURCE = Path(convscope.__file__).parents[1]
SCRIPT = SOURCE.parent / "scripts" / "train.py"
TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=12",
)

SIZE = "must be an integer or height x width such as 3x5"
PADDING = (
    "must be an integer, height x width such as 1x2, before+after such as 0+1,"
    " valid, half, full, same or same_tf"
)
LENGTH = "must have one entry for each of the 3 conv layers"
READ = (
    "write KEY=VALUE, lists as [1,2,3], unusual characters in quotes: 'study=\"größer\"'",
    "write values as KEY=VALUE, such as conv.stride=2: see --help",
)
DATA = (
    "data must be one of auto, cifar10, cifar100, digits, fashion_mnist, image_folder, kmnist,"
    " mnist"
)

# What is typed, and the lines that answer it.
REFUSED = [
    ("conv.strid=2", "conv.strid is not a key of the config\ndid you mean conv.stride?"),
    ("+conv.strid=2", "conv.strid is not a key of the config\ndid you mean conv.stride?"),
    ("+stride=2", "stride is not a key of the config\ndid you mean conv.stride?"),
    ("seed.x=2", "seed.x is not a key of the config"),
    ("data=minst", f"{DATA}, got minst\ndid you mean data=mnist?"),
    ("data=", f"{DATA}, got ''"),
    ("+data=mnist", "data has a choice already\nwrite data=mnist without +"),
    ("data=null", "data must be the name of one of its choices, got null: see --help"),
    ("conv=[1]", "conv must be the name of one of its choices, got [1]: see --help"),
    ("convv=k3-s1-p1", "convv is not a key of the config\ndid you mean conv?"),
    (
        "experiment=cifar",
        "experiment must be one of cifar10, cifar10-strong, tutorial, got cifar\n"
        "did you mean experiment=cifar10?",
    ),
    ("~conv.stride", "conv.stride cannot be left out: set it to a value"),
    ("~conv", "conv has no value"),
    ("conv.stride=0", "conv.stride must be at least 1, got 0"),
    ("conv.stride=-1", "conv.stride must be at least 1, got -1"),
    ("conv.stride=1.5", f"conv.stride {SIZE}, got 1.5"),
    ("conv.stride=abc", f"conv.stride {SIZE}, got abc"),
    ("conv.stride=null", f"conv.stride {SIZE}, got null"),
    ("conv.stride=true", f"conv.stride {SIZE}, got true"),
    ("conv.stride=3x", f"conv.stride {SIZE}, got 3x"),
    ("conv.stride={}", f"conv.stride {SIZE}, got {{}}"),
    ("conv.stride=", f"conv.stride {SIZE}, got ''"),
    ("conv.stride='a\nb'", f"conv.stride {SIZE}, got 'a\\nb'"),
    ("conv.stride=[2,1]", f"conv.stride {LENGTH}, got 2: [2, 1]; for height x width write 2x1"),
    ("conv.padding=[1,1,1,1]", f"conv.padding {LENGTH}, got 4: [1, 1, 1, 1]"),
    ("conv.kernel_size=0", "conv.kernel_size must be at least 1, got 0"),
    ("conv.kernel_size=[]", f"conv.kernel_size {LENGTH}, got 0: []"),
    ("conv.padding=-1", "conv.padding must be at least 0, got -1"),
    ("conv.padding=sane", f"conv.padding {PADDING}, got sane; did you mean same?"),
    (
        "conv.padding=same conv.stride=2",
        "conv.padding=same needs stride 1, as in PyTorch, but conv1 has stride 2;"
        " use conv.padding=half",
    ),
    (
        "conv.kernel_size=9 conv.stride=3 conv.padding=0",
        "conv2 would have an empty output: input 4x4, kernel_size 9, stride 3, padding 0;"
        " conv.padding=4 would make it possible",
    ),
    ("conv.stride", f"cannot read the override conv.stride\n{READ[0]}"),
    ("conv.stride=2 =3", "cannot read the override =3: write KEY=VALUE"),
    (
        "conv.stride=1,2",
        "Ambiguous value for argument 'conv.stride=1,2'\n"
        "add -m to run one job per value, or write a list as [1,2,3]",
    ),
    ("data.batch_size=0", "data.batch_size must be at least 1, got 0"),
    ("data.batch_size=1e2", "data.batch_size must be an integer, got 1e2"),
    (
        "data=mnist data.batch_size=54001",
        "data.batch_size must be at most the 54000 training images, got 54001",
    ),
    ("seed=-1", "seed must be at least 0, got -1"),
    ("seed=null", "seed must be an integer, got null"),
    ("trainer.max_epochs=0", "trainer.max_epochs must be at least 1, got 0"),
    ("trainer.max_epochs=1.5", "trainer.max_epochs must be an integer or null, got 1.5"),
    (
        "+trainer.sync_batchnorm=true",
        "trainer.sync_batchnorm is not a key of the config\n"
        "trainer has trainer.max_epochs, trainer.max_steps, trainer.max_time, trainer.accelerator,"
        " trainer.devices, trainer.strategy, trainer.precision, trainer.limit_train_batches,"
        " trainer.limit_val_batches, trainer.limit_test_batches, trainer.fast_dev_run,"
        " trainer.gradient_clip_val, trainer.deterministic, trainer.log_every_n_steps,"
        " trainer.enable_progress_bar",
    ),
    ("optim.lr=0", "optim.lr must be above 0, got 0"),
    ("optim.lr=fast", "optim.lr must be a number, got fast"),
    ("rerun=maybe", "rerun must be true or false, got maybe"),
    (
        "model.channels=16",
        "model.channels must be a list of integers such as [16,32,64], got 16",
    ),
    ("study=../x", "study must be one folder name, not a path, got '../x'"),
    ("study=/tmp/x", "study must be one folder name, not a path, got '/tmp/x'"),
    ("study=a/b", "study must be one folder name, not a path, got 'a/b'"),
    (
        "study='a\x07b'",
        "study must have no control or invisible characters, got 'a\\x07b'",
    ),
    ("study=a\x07b", f"cannot read the override 'study=a\\x07b'\n{READ[0]}"),
    ("output_dir=", "output_dir must be written as a folder's path, got ''"),
    (
        "trainer.accelerator=tpu",
        "trainer.accelerator must be one of auto, cpu, gpu, cuda, mps, got tpu",
    ),
    ("--stride 2", f"unrecognized arguments: --stride\n{READ[1]}"),
    (
        "--config-name=mine",
        "--config-name cannot be used here\n"
        "put configs of your own below a folder given as --config-dir",
    ),
    (
        "hydra.run.dir=left conv.stride=2",
        "hydra.run.dir cannot be set: of Hydra's own keys only hydra/sweeper and the"
        " launcher's can",
    ),
    (
        "-m hydra.sweeper.params.seed=1,2 conv.stride=1,2",
        "hydra.sweeper.params.seed cannot be set: of Hydra's own keys only hydra/sweeper"
        " and the launcher's can",
    ),
    (
        "-m conv.stride=1,2 hydra/launcher=rai",
        "hydra/launcher must be one of basic, ray, submitit_local, submitit_slurm, got rai\n"
        "did you mean hydra/launcher=ray?",
    ),
    (
        "-m hydra.launcher.num_gpus=2 conv.stride=1,2",
        "hydra.launcher.num_gpus is an engine's: choose one, such as hydra/launcher=ray",
    ),
    (
        "-m +hydra.launcher.num_gpus=2 conv.stride=1,2",
        "hydra.launcher.num_gpus is an engine's: choose one, such as hydra/launcher=ray",
    ),
    (
        "-m hydra/launcher=submitit_local hydra.launcher.num_gpus=2 conv.stride=1,2",
        "hydra.launcher.num_gpus is not a key of this launcher\n"
        "it has cpus_per_task, max_retries, folder",
    ),
    (
        "-m hydra/launcher=ray hydra.launcher.init.namespace=mine conv.stride=1,2",
        "hydra.launcher.init.namespace is not set by default: write"
        " +hydra.launcher.init.namespace=…",
    ),
    ("-m sweep=grid,grid-seeds", "sweep must be one preset, got grid,grid-seeds"),
    (
        "data=digits -m conv.stride=1,0 --config-dir . seed=0",
        "conv.stride must be at least 1, got 0",
    ),
    ("-m seed=range(1,3,0)", "seed must be a range of numbers with an end, got range(1,3,0)"),
    (
        "-m seed=range(0,1000000000000)",
        "there can be at most 10,000 combinations, got 1,000,000,000,000",
    ),
    (
        "-m seed=range(0,101) conv.stride=range(1,101)",
        "there can be at most 10,000 combinations, got 10,100 (101 x 100)",
    ),
    (
        "-m seed=range(0,101) repeat=100",
        "a sweep has at most 10,000 runs, got 10,100 (101 combinations with repeat=100)",
    ),
    ("repeat=1000000000", "repeat must be an integer from 1 to 10,000, or auto, got 1000000000"),
    (
        "seed=4294967295 repeat=2",
        "seed must be at most 4294967294 where repeat is 2, got 4294967295",
    ),
    (
        "-m optim.lr=range(0,inf)",
        "optim.lr must be a range of numbers with an end, got range(0,inf)",
    ),
    (
        "-m hydra/sweeper=optuna conv.stride=1,2 conv={stride:3}",
        "conv={stride:3} must come before the values of conv.stride",
    ),
    ("-m sweep=glob(*)", "sweep must be one preset, got glob(*)"),
    ("sweep=null", "sweep must be the name of one of its choices, got null: see --help"),
    (
        "hydra/launcher=1.5",
        "hydra/launcher must be the name of one of its choices, got 1.5: see --help",
    ),
    (
        "--resolve",
        "Hydra refuses this command: The --resolve flag can only be used in conjunction"
        " with --cfg or --help",
    ),
    (
        "-m --run",
        "Hydra refuses this command: Only one of --run, --multirun, --cfg, --info and"
        " --shell_completion can be specified",
    ),
    (f"seed={'9' * 5000}", "seed must have numbers of at most 4,000 digits, got one of 5,000"),
    (
        f"data.root={'a' * 20_000}",
        "data.root must be written in at most 20,000 characters, got 20,010",
    ),
    ("data.cutout=29", "data.cutout must be at most 28 on images of 28 pixels, got 29"),
    ("data.shift=28", "data.shift must be at most 27 on images of 28 pixels, got 28"),
    ("data.cutout=1000000000", "data.cutout must be at most 4096, got 1000000000"),
    ("model.channels=[10000000]", "model.channels must be at most 10000, got [10000000]"),
    (
        f"model.channels=[{','.join(['1'] * 1001)}]",
        "model.channels must name at most 1000 layers, got 1001",
    ),
    (
        "data.batch_size=1 conv.stride=3",
        "batch norm after conv3 would have one value per channel: output 1x1, and 1 image per step;"
        " data.batch_size=2 would make it possible",
    ),
    (
        "model.pretrained=true",
        "model.pretrained is not a key of the config\n"
        "weights are random before training: there are no pretrained ones",
    ),
    (
        "optim.optimizer=sgd",
        "optim.optimizer is not a key of the config\n"
        "choose the optimizer by optim=adamw, optim=sgd or optim=muon",
    ),
    (
        "logger=wandd",
        "logger must be one of csv, many, mlflow, tensorboard, wandb, got wandd\n"
        "did you mean logger=wandb?",
    ),
    (
        "logger=csv logger.csv.flush=1",
        "logger.csv.flush is not set by default: write +logger.csv.flush=…",
    ),
    ("data.lr=1", "data.lr is not a key of the config\ndid you mean optim.lr?"),
    (
        "model.depth=3",
        "model.depth is not a key of the config\nmodel has model.channels, model.pool_after,"
        " model.network, model.name, model.target, model.vary, model.drop, model.pool_kernel,"
        " model.pool_stride, model.pool_padding, model.pool, model.downsample",
    ),
    (
        "conv=k3s1",
        "conv must be one of k1-s1-p0, k3-s1-p0, k3-s1-p1, k3-s2-p1, k5-s1-p2, k5-s2-p0, k5-s2-p2,"
        " k7-s1-p3, keep, or a label such as k7-s2-p3, got k3s1\ndid you mean conv=k3-s2-p1?",
    ),
    ("conv=k3-s0-p1", "conv.stride must be at least 1, got 0"),
    ("conv=k2000-s1-p1", "conv.kernel_size must be at most 1000, got 2000"),
    ("conv=k3.3-s1-p1", f"conv.kernel_size {LENGTH}, got 2: [3, 3]; for height x width write 3x3"),
    (
        "experiment=outputs/default/none",
        "experiment must name an experiment or a run's folder, got outputs/default/none",
    ),
    (
        "hydra={mode:MULTIRUN} conv.stride=2",
        "hydra cannot be set: of Hydra's own keys only hydra/sweeper and the launcher's can",
    ),
    (
        "data.root=~/data",
        "cannot read the override data.root=~/data\nwrite $HOME in place of ~",
    ),
    ("-m conv.stride=1,0", "conv.stride must be at least 1, got 0"),
    ("-m conv.stride=1,2 seed=0,-1", "seed must be at least 0, got -1"),
    (
        "-m conv.stride=1,2 conv.strid=2",
        "conv.strid is not a key of the config\ndid you mean conv.stride?",
    ),
    ("-m conv.strid=1,2", "conv.strid is not a key of the config\ndid you mean conv.stride?"),
    ("-m data=digits,minst", f"{DATA}, got minst\ndid you mean data=mnist?"),
    ("-m conv.padding=same,sane", f"conv.padding {PADDING}, got sane; did you mean same?"),
    (
        "-m conv.stride=1,2 study=../x",
        "study must be one folder name, not a path, got '../x'",
    ),
    (
        "-m conv.stride=1,[2,1]",
        f"conv.stride {LENGTH}, got 2: [2, 1]; for height x width write 2x1",
    ),
    ("-m conv=glob(zzz*)", "the sweep has no jobs: nothing matches its glob"),
    (
        "-m data.batch_size=256,60000 data=mnist",
        "data.batch_size must be at most the 54000 training images, got 60000",
    ),
]

# Types each command in one process, and says what came of it.
TYPE_ALL = """
import contextlib, io, json, os, sys, time
from hydra.core.global_hydra import GlobalHydra
from convscope.cli import train as cli

answers = []
for arguments in json.load(sys.stdin):
    GlobalHydra.instance().clear()
    sys.argv = ["scripts/train.py", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    start = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            code = repr(error)
    seconds = time.process_time() - start
    printed = out.getvalue(), err.getvalue()
    answers.append([code, *printed, seconds, os.listdir(), "torch" in sys.modules])
json.dump(answers, sys.stdout)
"""


class Answer(NamedTuple):
    code: object
    out: str
    err: str
    seconds: float
    left: list[str]
    torch: bool


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    done = subprocess.run(
        [sys.executable, "-c", TYPE_ALL],
        input=json.dumps([words(typed) for typed, _ in REFUSED]),
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("empty"),
        env=os.environ | {"PYTHONPATH": str(SOURCE), "CONVSCOPE_DATA": "no-data"},
    )
    assert done.stderr == ""
    given = [Answer(*answer) for answer in json.loads(done.stdout)]
    return {typed: answer for (typed, _), answer in zip(REFUSED, given, strict=True)}


def words(typed: str) -> list[str]:
    return typed.split(" ")


@pytest.mark.parametrize(("typed", "message"), REFUSED, ids=[ascii(typed) for typed, _ in REFUSED])
def test_bad_input_is_refused(typed: str, message: str, answers: dict[str, Answer]) -> None:
    answer = answers[typed]
    assert answer.err == f"error: {message}\n"
    assert (answer.code, answer.out) == (2, "")
    assert answer.left == []
    assert not answer.torch
    assert answer.seconds < 2


def test_bad_input_takes_less_than_two_seconds_of_the_processor(tmp_path: Path) -> None:
    """From prompt to prompt; not by the clock, as others may be busy."""
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, SCRIPT, "conv.stride=0"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: conv.stride must be at least 1, got 0\n"
    assert list(tmp_path.iterdir()) == []
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@pytest.mark.parametrize("sweep", [(), ("-m",)], ids=["one", "sweep"])
@pytest.mark.parametrize("missing", ["cuda", "mps"])
def test_an_accelerator_that_is_not_there(command, missing: str, sweep: tuple[str, ...]) -> None:
    import torch

    if missing == "cuda" and torch.cuda.is_available():
        pytest.skip("CUDA is there")
    if missing == "mps" and torch.backends.mps.is_available():
        pytest.skip("MPS is there")
    ended = command(*sweep, *TINY, f"trainer.accelerator={missing}")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"error: trainer.accelerator={missing}: this machine has none that PyTorch can use",
        "leave it out, or set trainer.accelerator=cpu",
    ]
    assert list(Path().iterdir()) == []


def test_a_batch_above_the_train_set_that_only_the_images_tell(command) -> None:
    # Stratified: a class gives whole images, 1 fewer than the share of the whole.
    ended = command("data=digits", "data.batch_size=1294")
    assert ended.code == 2
    assert ended.err == (
        "error: data.batch_size must be at most the 1293 training images, got 1294\n"
    )
    assert list(Path().iterdir()) == []


def test_one_run_prints_its_layers_and_its_result_and_where_it_lies(command) -> None:
    ended = command(*TINY, "conv.stride=2", "output_dir=out", "study=first")
    assert ended.code == 0
    (run,) = Path("out/first").iterdir()
    record = json.loads((run / "run.json").read_text())
    metrics = record["metrics"]
    assert ended.out.splitlines() == [
        "",
        "layer  kernel-stride-padding      out  RF   MACs  params  unused  padding",
        "─────────────────────────────────────────────────────────────────────────",
        "conv1  k3 s2 p1               4x14x14   3  7,056      36       1     14 %",
        "pool1  k2 s2 p0                 4x7x7   5      0       0       0      0 %",
        "conv2  k3 s2 p1                 8x4x4  13  4,608     288       0     75 %",
        "RF: receptive field, in image pixels; unused: unused border, pixels at the end that no"
        " window covers; padding: touches padding, share of outputs whose window reaches into"
        " padding.",
        "",
        f"digits k3-s2-p1: test accuracy {100 * metrics['test_accuracy']:.2f} %,"
        f" validation {100 * metrics['best_val_accuracy']:.2f} %,"
        f" {metrics['train_samples_per_sec']:,.0f} samples/s, 438 parameters, 11,744 MACs",
        f"answers changed by a shift of 1 px {100 * metrics['shift_change']:.2f} %, effective"
        f" receptive field {metrics['erf_side']:.0f} px, expected calibration error"
        f" {100 * metrics['ece']:.2f} %",
        f"{run}",
        "tensorboard --logdir out",
    ]
    headline, epoch = ended.err.splitlines()
    assert headline.startswith(f"{run.name}: 1,293 training images, 1 epoch of 12 steps, ")
    assert epoch.startswith("epoch 1/1  val accuracy ")
    assert [path.name for path in Path().iterdir()] == ["out"]
    assert [path.name for path in Path("out").iterdir()] == ["first"]
    assert record["command"] == (
        "python scripts/train.py data=digits 'model.channels=[4,8]' trainer.max_epochs=1"
        " trainer.limit_train_batches=12 conv.stride=2 output_dir=out study=first"
    )

    before = (run / "run.json").read_bytes()
    again = command(*TINY, "conv.stride=2", "output_dir=out", "study=first")
    assert (again.code, again.out) == (0, ended.out)
    assert again.err == f"{run.name} is already finished; rerun=true retrains it\n"
    assert (run / "run.json").read_bytes() == before


def test_a_failed_run_ends_with_one_line_and_exit_code_1(command) -> None:
    ended = command(*TINY, "optim.lr=1e30")
    assert (ended.code, ended.out) == (1, "")
    (run,) = Path("outputs/default").iterdir()
    _, error = ended.err.splitlines()
    assert error.startswith(
        f"error: {run.name} failed: the loss is nan at step 2;"
        " the learning rate is the likely cause: try optim.lr="
    )
    assert json.loads((run / "run.json").read_text())["status"] == "failed"


def test_an_impossible_variant_leaves_no_record_when_it_is_alone(command) -> None:
    ended = command(*TINY, "conv.padding=same", "conv.stride=2")
    assert ended.code == 2
    assert list(Path().iterdir()) == []


def test_fast_dev_run_leaves_nothing(command) -> None:
    ended = command(*TINY, "trainer.fast_dev_run=true")
    assert ended.code == 0
    assert "fast_dev_run: nothing was written" in ended.err
    assert "tensorboard" not in ended.out
    assert list(Path().iterdir()) == []


def test_configs_of_ones_own_come_with_config_dir(command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "conv").mkdir(parents=True)
    preset = config_dir() / "conv" / "k7-s1-p3.yaml"
    shutil.copy(preset, tmp_path / "mine" / "conv" / "big.yaml")
    ended = command("--config-dir", str(tmp_path / "mine"), "conv=big", "conv.padding=0")
    assert ended.err.startswith(
        "error: conv3 would have an empty output: input 5x5, kernel_size 7, stride 1, padding 0;"
    )


def test_a_config_of_ones_own_that_would_not_be_taken(command, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "conv" / "k7-s1-p3.yaml"
    mine.parent.mkdir(parents=True)
    shutil.copy(config_dir() / "conv" / "k7-s1-p3.yaml", mine)
    arguments = ("--config-dir", str(tmp_path / "mine"), "conv=k7-s1-p3", "conv.stride=0")
    assert command(*arguments).err == "error: conv.stride must be at least 1, got 0\n"
    mine.write_text("kernel_size: 7\nstride: 1\npadding: 0\n")
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"error: {mine} has the name of one of ConvScope's own configs, which would be taken",
        "give it a name of its own",
    ]


@pytest.mark.parametrize("group", ["experiment", "sweep"])
def test_a_preset_of_ones_own_without_its_header(command, tmp_path: Path, group: str) -> None:
    mine = tmp_path / "mine" / group / "mine.yaml"
    mine.parent.mkdir(parents=True)
    for header in ("", "# @package _global_\n"):
        mine.write_text(f"{header}conv: {{stride: 0}}\n")
        ended = command("--config-dir", str(tmp_path / "mine"), f"{group}=mine")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.splitlines() == (
            ["error: conv.stride must be at least 1, got 0"]
            if header
            else [
                f"error: {group}=mine sets {group}.…, which is not a key of a run",
                "let its file begin with the line: # @package _global_",
            ]
        )


def test_options_come_in_any_order(command) -> None:
    ends = [
        command(*words.split())
        for words in (
            "-m seed=0,1 --config-dir . conv.stride=0",
            "seed=0,1 -m conv.stride=0 --config-dir=.",
            "--config-dir . seed=0,1 conv.stride=0 --multirun",
        )
    ]
    for ended in ends:
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == "error: conv.stride must be at least 1, got 0\n"
    shown = command("conv.stride=2", "--cfg", "job", "++conv.stride=3", "--package", "conv")
    assert shown.code == 0
    assert shown.out == (
        "# @package conv\nkernel_size: 3\nstride: 3\npadding: 1\ndilation: 1\npadding_mode: zeros\n"
    )


def test_what_a_machine_cannot_hold_is_refused_before_its_data_is_loaded(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("convscope.data.sources.load", loaded)
    for many in ((), ("-m",)):
        # 784 x 10,000 outputs of 4 bytes x 25,600 images, and 16 bytes for each weight.
        ended = command(*many, "data=mnist", "model.channels=[10000]", "data.batch_size=25600")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(
            "error: k3-s1-p1 takes at least 802.8 GB of memory, and there are "
        )
        assert ended.err.count("\n") == 2


@pytest.mark.parametrize("sweep", [(), ("-m",)], ids=["one", "sweep"])
def test_an_output_folder_that_is_a_file(command, sweep: tuple[str, ...]) -> None:
    Path("taken").write_text("mine")
    ended = command(*sweep, *TINY, "output_dir=taken")
    assert (ended.code, ended.out) == (2, "")
    *_, error = ended.err.splitlines()
    assert error.startswith("error: taken/default/digits-k3-s1-p1-")
    assert error.endswith(" cannot be claimed: Not a directory; set output_dir to another folder")
    assert Path("taken").read_text() == "mine"


def test_a_study_that_is_a_file(command) -> None:
    Path("outputs").mkdir()
    Path("outputs/default").write_text("mine")
    ended = command(*TINY)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("error: outputs/default/digits-k3-s1-p1-")
    assert "cannot be claimed: " in ended.err
    assert Path("outputs/default").read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 48], ids=["full at once", "full on the way"])
def test_a_full_disk(command, small_disk: Path, room: int) -> None:
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        file.write(bytes((64 - room) * 1024))
    ended = command(*TINY, f"output_dir={small_disk}/out")
    assert ended.code in (1, 2)
    assert ended.out == ""
    *_, error = ended.err.splitlines()
    assert error.startswith("error: ")
    assert str(small_disk / "out") in error
    assert "No space left on device" in error
    assert "Traceback" not in ended.err

    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert command(*TINY, f"output_dir={small_disk}/out").code == 0


@pytest.mark.parametrize("sweep", [(), ("-m",)], ids=["one", "sweep"])
def test_a_disk_that_may_only_be_read(command, small_disk: Path, sweep: tuple[str, ...]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ended = command(*sweep, *TINY, f"output_dir={small_disk}/out")
    assert (ended.code, ended.out) == (2, "")
    *_, error = ended.err.splitlines()
    assert error.startswith(f"error: {small_disk}/out/default/digits-k3-s1-p1-")
    assert error.endswith(
        " cannot be claimed: Read-only file system; set output_dir to another folder"
    )


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("many", [(), ("-m",)], ids=["one", "many"])
@pytest.mark.parametrize(
    ("stop", "code"),
    [
        (KeyboardInterrupt(), 130),
        (KeyboardInterrupt(signal.SIGTERM), 143),
        (Interrupted(signal.SIGINT), 130),
        (Interrupted(signal.SIGTERM), 143),
    ],
)
def test_a_signal_at_any_moment_ends_without_a_trace(
    command, monkeypatch: pytest.MonkeyPatch, stop: BaseException, code: int, many: tuple[str, ...]
) -> None:
    def interrupt(*_: object) -> None:
        raise stop

    monkeypatch.setattr("convscope.cli.train.train_one", interrupt)
    monkeypatch.setattr("convscope.sweep.command.sweep", interrupt)
    ended = command("conv.stride=2", *many)
    assert (ended.code, ended.out, ended.err) == (code, "", "")
