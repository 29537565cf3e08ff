"""A study that commit 05d95fb trained: read, compared, loaded, shown, and not trained again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame
from werkzeug.test import Client

import convscope
from convscope.analysis.anova import effects
from convscope.analysis.choice import top_groups
from convscope.analysis.frame import Reader
from convscope.analysis.groups import grouped
from convscope.analysis.pairwise import differences
from convscope.analysis.pareto import front
from convscope.data.digits import load_digits
from convscope.tensorboard_plugin import ConvScopePlugin

STUDY = Path(__file__).parent / "study" / "grid"
COMMAND = (
    *("-m", "data=digits", "model.channels=[4,8]", "conv.kernel_size=3,5,29", "conv.stride=1,2"),
    *("conv.padding=0", "trainer.max_epochs=2", "trainer.precision=32-true"),
    *("trainer.accelerator=cpu", "repeat=2", "study=grid", "optim.lr=0.01"),
)
ACCURACIES = {
    "k3-s1-p0": (98, 88),
    "k3-s2-p0": (170, 141),
    "k5-s1-p0": (176, 207),
    "k5-s2-p0": (277, 321),
}
"""Of 359 test images, those that seeds 0 and 1 class rightly."""
FIRST_12 = {
    "k3-s1-p0": ("136565500550", "121955599552"),
    "k3-s2-p0": ("721715505773", "129955505579"),
    "k5-s1-p0": ("106199900970", "421755507574"),
    "k5-s2-p0": ("126795902372", "126795500372"),
}
"""Classes of the first test images, by seed; the true ones are 126795508378."""


@pytest.fixture(scope="module")
def runs() -> DataFrame:
    table, unreadable = Reader([STUDY]).read()
    assert unreadable == []
    return table


def test_its_runs_are_read(runs: DataFrame) -> None:
    skipped, finished = (runs[runs["status"] == status] for status in ("skipped", "finished"))
    assert [*skipped["variant"]] == ["k29-s1-p0"] * 2 + ["k29-s2-p0"] * 2
    assert {
        variant: tuple((some.sort_values("seed")["test_accuracy"] * 359).round(3))
        for variant, some in finished.groupby("variant")
    } == ACCURACIES
    k5_s2 = finished[finished["variant"] == "k5-s2-p0"].iloc[0]
    # conv1 makes 12x12 of 28x28, the pool 6x6, conv2 1x1: 5x5 pixels x 4 maps x 144 places, and
    # 5x5 pixels x 4 x 8 maps; both have a batch norm, and the last layer 8 x 10 weights.
    assert k5_s2["macs"] == 25 * 4 * 144 + 25 * 4 * 8 + 8 * 10
    assert k5_s2["params"] == 25 * 4 + 2 * 4 + 25 * 4 * 8 + 2 * 8 + 8 * 10 + 10
    assert (k5_s2["receptive_field"], k5_s2["final_map"]) == (23, 1)


def test_its_findings_are_what_statsmodels_and_scipy_say(runs: DataFrame) -> None:
    """`anova_lm(ols("y ~ C(k) * C(s)"), typ=2)` and `tukey_hsd`, run once on the accuracies."""
    groups = grouped(runs)
    labels = groups["label"]
    best, close, better = top_groups(runs)
    assert ([labels[one] for one in best], close, better) == (["k5-s2-p0"], set(), set())
    assert labels[front(groups, "macs", "best_val_accuracy")].tolist() == ["k3-s2-p0", "k5-s2-p0"]

    pairs = differences(runs)
    found = zip(labels[pairs["first"]], labels[pairs["second"]], pairs["p_value"], strict=True)
    assert {(first, second): p for first, second, p in found} == pytest.approx(
        {
            ("k5-s2-p0", "k5-s1-p0"): 0.02686903,
            ("k5-s2-p0", "k3-s2-p0"): 0.00964066,
            ("k5-s2-p0", "k3-s1-p0"): 0.00248477,
            ("k5-s1-p0", "k3-s2-p0"): 0.45080619,
            ("k5-s1-p0", "k3-s1-p0"): 0.03610035,
            ("k3-s2-p0", "k3-s1-p0"): 0.14240855,
        },
        rel=1e-5,
    )
    assert pairs.loc[0, ["low", "high"]].tolist() == pytest.approx(
        [0.05107303, 0.54781274], rel=1e-5
    )

    terms = effects(runs).terms.set_index("term")
    assert terms["sum_of_squares"].to_dict() == pytest.approx(
        {
            "kernel_size": 0.227202,
            "stride": 0.112119,
            "kernel_size x stride": 0.007856,
            "seeds": 0.014890,
        },
        abs=1e-6,
    )
    assert terms["p_value"].dropna().tolist() == pytest.approx(
        [0.001449, 0.005370, 0.219947], abs=1e-6
    )


@pytest.mark.parametrize("variant", FIRST_12)
@pytest.mark.parametrize("seed", [0, 1])
def test_its_networks_predict_what_they_did(variant: str, seed: int) -> None:
    (folder,) = STUDY.glob(f"digits-{variant}-*-seed{seed}-*")
    digits = load_digits()
    predicted = convscope.load(folder).predict(digits.test_images)
    assert "".join(predicted[:12]) == FIRST_12[variant][seed]
    right = np.array(predicted) == digits.test_labels.astype(str)
    assert right.sum() == ACCURACIES[variant][seed]


def test_the_command_that_made_it_trains_nothing(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(STUDY, tmp_path / "outputs" / "grid")
    before = {path: path.read_bytes() for path in tmp_path.rglob("run.json")}
    ended = command(*COMMAND, f"output_dir={tmp_path / 'outputs'}", "diagnostics=off")
    assert ended.code == 0, ended.err
    assert "grid: 12 runs of 6 variants (8 finished, 4 skipped)" in ended.out
    after = {path: path.read_bytes() for path in tmp_path.rglob("run.json")}
    for path in before:
        if b'"finished"' in before[path]:
            assert after[path] == before[path]
    assert after.keys() == before.keys()


def test_the_tab_shows_it() -> None:
    plugin = ConvScopePlugin(SimpleNamespace(logdir=str(STUDY.parent)))
    assert plugin.is_active()
    answer = json.loads(Client(plugin.get_plugin_apps()["/runs"]).get("/runs").data)
    groups = {group["label"]: group for group in answer["groups"]}
    assert sorted(groups) == ["k29-s1-p0", "k29-s2-p0", *sorted(ACCURACIES)]
    for label, right in ACCURACIES.items():
        assert groups[label]["test_accuracy"] == pytest.approx(sum(right) / 2 / 359)
