"""What `python scripts/train.py --help` says, and how soon."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import convscope
from convscope.config.help import field_meanings
from convscope.config.schema import ConvConfig

SOURCE = Path(convscope.__file__).parents[1]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """The help page, and the least seconds of processor time that it took: machines have moods."""
    folder = tmp_path_factory.mktemp("empty")
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, SOURCE.parent / "scripts" / "train.py", "--help"],
            capture_output=True,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stderr == ""
        assert list(folder.iterdir()) == []
    return done.stdout, min(taken)


def test_it_takes_less_than_a_second(shown: tuple[str, float]) -> None:
    assert shown[1] < 1.0


def test_it_begins_with_what_it_is_for_and_four_commands(shown: tuple[str, float]) -> None:
    lines = shown[0].splitlines()
    assert lines[0].startswith("Train one CNN variant")
    commands = [line.split("  ")[1] for line in lines if line.startswith("  python")]
    assert commands == [
        "python scripts/train.py conv.stride=2",
        "python scripts/train.py conv=k5-s2-p2 data=cifar10 seed=1",
        "python scripts/train.py -m conv.kernel_size=3,5 conv.stride=1,2",
        "python scripts/train.py -m hydra/sweeper=optuna conv.kernel_size=3,5,7 trials=2",
    ]


def test_it_tells_the_meaning_of_the_conv_keys_first(shown: tuple[str, float]) -> None:
    text = " ".join(shown[0].split())
    docs = field_meanings(ConvConfig)
    assert list(docs) == ["kernel_size", "stride", "padding", "dilation", "padding_mode"]
    places = [text.index(f"conv.{key} {doc}") for key, doc in docs.items()]
    assert places == sorted(places)
    assert places[-1] < text.index("data.name ")
    assert "valid, half, full, same (stride 1 only)" in text


def test_it_lists_the_groups(shown: tuple[str, float]) -> None:
    for line in (
        "model: airbench, base, custom, deep, resnet18, resnet20, torchvision, wide",
        "experiment: cifar10, cifar10-strong, tutorial",
        "data: auto, cifar10, cifar100, digits, fashion_mnist, image_folder, kmnist, mnist",
    ):
        assert line in shown[0].splitlines()
    # Hydra's own page names itself; here it is in what one types alone.
    assert "hydra" not in re.sub(r"hydra[/.]\w+", "", shown[0].lower())


def test_it_tells_the_keys_of_a_search(shown: tuple[str, float]) -> None:
    text = " ".join(shown[0].split())
    assert "objective TensorBoard tag of the metric that a search optimises, or a list" in text
    assert "trials Number of variants that a search tries" in text


def test_no_line_is_wider_than_a_terminal_of_100_columns(shown: tuple[str, float]) -> None:
    assert max(map(len, shown[0].splitlines())) <= 100


def test_it_names_every_launcher(shown: tuple[str, float]) -> None:
    ours = [path.stem for path in (SOURCE.parent / "configs/hydra/launcher").glob("*.yaml")]
    names = ", ".join(sorted(["basic", *ours]))
    assert f"hydra/launcher: {names}" in shown[0].splitlines()
