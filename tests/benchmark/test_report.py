"""Figures as they are told, from rounds made up."""

import json
import statistics
from dataclasses import replace

import pytest

from convscope.benchmark.measure import Measured
from convscope.benchmark.project import EndToEnd
from convscope.benchmark.report import (
    Report,
    Spread,
    as_json,
    as_markdown,
    preparation_table,
    remarks,
    speed_table,
    summaries,
)
from convscope.benchmark.roofline import Peaks, StepCost
from convscope.benchmark.torch_baseline import Trial

NAMES = ("project", "slope", "plain", "usual", "project_other_s")
ROUNDS = [(900, 1000, 1000, 300, 1.5), (1000, 1000, 1000, 200, 2.5), (1980, 1800, 2000, 330, 2.0)]
CASE = Measured(
    variant="k3-s2-p1",
    batch_size=100,
    steps=50,
    compiled=False,
    plain=[Trial(False, 1100.4, 0.25), Trial(True, None, 3.0, "no compiler")],
    workers={0: 100.0, 2: 250.0},
    rounds=[dict(zip(NAMES, map(float, row), strict=True)) for row in ROUNDS],
    cost=StepCost(5, 6),
    roofline_s=0.02,
    bound="compute",
)
MACHINE = {
    "device": "A CPU",
    "accelerator": "cpu",
    "threads": 1,
    "precision": "bf16-mixed",
    "platform": "Linux",
    "versions": {"torch": "2.14.1", "python": "3.11.7", "source": "ab12"},
}
REPORT = Report(
    command="python scripts/benchmark.py --quick",
    quick=True,
    machine=MACHINE,
    peaks=Peaks(120e9, 20.5e9),
    cases=[CASE],
    prompt=EndToEnd("python scripts/train.py", 12.34),
)


def test_a_compiled_case_is_named_so() -> None:
    report = replace(REPORT, cases=[CASE, replace(CASE, compiled=True)])
    assert [row[0] for row in speed_table(report).rows] == ["k3-s2-p1", "k3-s2-p1 compiled"]


def test_ratios_are_of_the_same_round() -> None:
    """The median of ratios, 0.99, is not the ratio of medians, 1.0."""
    found = summaries(CASE)
    assert found["project_to_plain"] == Spread(0.99, 0.9, 1.0)
    assert found["project_to_usual"] == Spread(5.0, 3.0, 6.0)
    assert found["reported_to_slope"] == Spread(1.0, 0.9, 1.1)
    assert found["project_samples_per_sec"] == Spread(1000.0, 900.0, 1980.0)
    # 0.02 s for 100 samples are 5,000 samples/s.
    assert found["roofline_share"] == Spread(0.2, 0.18, 0.396)


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        ((3.0, 1.0, 10.0), Spread(3.0, 1.0, 10.0)),
        ((4.0, 1.0), Spread(2.5, 1.0, 4.0)),
        ((None, 2.0), Spread(2.0, 2.0, 2.0)),
        ((None,), None),
    ],
)
def test_the_median_is_told_with_the_extremes(
    values: tuple[float | None, ...], summary: Spread | None
) -> None:
    """Of the rounds in which it was measured, and a ratio where both its figures were."""
    rounds: list[dict[str, float | None]] = [{"project": 6.0, "usual": one} for one in values]
    found = summaries(replace(CASE, rounds=rounds))
    assert found["usual_samples_per_sec"] == summary
    ratios = [6.0 / one for one in values if one is not None]
    ratio = found["project_to_usual"]
    if ratios:
        assert ratio == Spread(pytest.approx(statistics.median(ratios)), min(ratios), max(ratios))
    else:
        assert ratio is None
    assert found["plain_samples_per_sec"] is found["project_to_plain"] is None


def test_a_row_has_medians_and_extremes() -> None:
    (row,) = speed_table(REPORT).rows
    assert row == (
        *("k3-s2-p1", "100", "1,000", "100.00", "1,000", "300"),
        *("0.990 (0.900–1.000)", "5.0 (3.0–6.0)", "1.00 (0.90–1.10)", "20%", "compute"),
    )
    (row,) = preparation_table(REPORT).rows
    assert row == (
        *("k3-s2-p1", "100", "2.0", "1,100", "0.2", "failed: no compiler", "3.0"),
        "0: 100, 2: 250",
    )


def test_what_was_not_measured_is_a_dash() -> None:
    rounds = [
        {name: value for name, value in row.items() if name != "usual"} | {"slope": None}
        for row in CASE.rounds
    ]
    bare = replace(REPORT, cases=[replace(CASE, rounds=rounds, workers={}, plain=CASE.plain[:1])])
    (row,) = speed_table(bare).rows
    assert [row[5], *row[7:9]] == ["–", "–", "–"]
    (row,) = preparation_table(bare).rows
    assert row[5:] == ("not tried", "–", "–")


def test_remarks_say_on_what_and_how_it_was_measured() -> None:
    told = "\n".join(remarks(REPORT))
    for words in (
        "Quick: few rounds",
        "Medians of 3 rounds",
        "A CPU (cpu, 1 thread), Linux; a and b in bf16-mixed; peaks 120 GMAC/s and 20.5 GB/s.",
        "\ntorch 2.14.1, python 3.11.7\n",
        "End to end: 12.3 s for `python scripts/train.py`\n",
        "Command: `python scripts/benchmark.py --quick`",
        "Williams, Waterman and Patterson 2009",
    ):
        assert words in told
    thorough = "\n".join(remarks(replace(REPORT, quick=False)))
    assert "Quick" not in thorough
    assert "CUDA graph" not in told
    on_cuda = replace(REPORT, machine=MACHINE | {"accelerator": "cuda"})
    assert "the first 10 steps; both forms of b are one CUDA graph." in "\n".join(remarks(on_cuda))


def test_markdown_is_the_tables_and_the_remarks() -> None:
    lines = as_markdown(REPORT).splitlines()
    assert lines[0].startswith("| variant | batch | a samples/s |")
    assert lines[2].startswith("| k3-s2-p1 | 100 | 1,000 | 100.00 |")
    assert lines[3] == ""
    assert lines[-1] == remarks(REPORT)[-1]


def test_json_has_every_round() -> None:
    document = json.loads(as_json(REPORT))
    (case,) = document["cases"]
    assert case["rounds"] == CASE.rounds
    assert case["summary"]["project_to_plain"] == {"median": 0.99, "least": 0.9, "most": 1.0}
    assert case["cost"] == {"macs": 5, "bytes": 6}
    assert document["machine"] == MACHINE
    assert document["prompt"]["seconds"] == pytest.approx(12.34)
