"""Comparisons at equal channels and at equal MACs, and of runs with splits of their own."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pandas import DataFrame

from convscope.analysis.choice import top_groups, variant_families
from convscope.analysis.diff import compare
from convscope.analysis.findings import headlines, sentences, summarize
from convscope.analysis.findings.fairness import summarize_matched
from convscope.analysis.frame import by_setting, row, tabulate
from convscope.networks.matching import matched_channels
from convscope.plots import FIGURES
from convscope.runs.contradiction import find_contradiction
from convscope.runs.identity import group_of, identity
from convscope.runs.record import RunRecord

from ..convs import parse_conv
from ..studies import both, make_record, results

STUDY = Path("outputs/study")
CLASSES = [str(number) for number in range(10)]
SPREAD = (-0.001, 0.0, 0.001)
Conv = tuple[object, object, object]
K3, K5, K1 = (3, 1, "half"), (5, 1, "half"), (1, 1, "half")


def run(
    conv: Conv,
    seed: int,
    accuracy: float,
    base: list[int],
    *,
    matched: bool,
    **top: Any,
) -> RunRecord:
    channels = base
    if matched:
        model = {"channels": base, "pool_after": [1]}
        channels = matched_channels(model, 10, (1, 28, 28), parse_conv(*conv, len(base)))
    scaled = {"matched_from": base} if channels != base else {}
    config = {"model": {"channels": channels, **scaled}}
    measured = {**results("", seed), **both(accuracy)}
    record = make_record(STUDY, conv, seed, lambda *_: measured, config=config)
    full = record.config | ({"match": "macs"} if scaled else {}) | top
    return dataclasses.replace(
        record,
        config=full,
        id=identity(full),
        name=f"{record.name}-{identity(full)[:8]}",
        dataset=record.dataset | {"classes": CLASSES},
    )


def study(
    at_channels: Mapping[Conv, float],
    at_macs: Mapping[Conv, float],
    base: tuple[int, ...] = (16, 32, 64),
) -> list[RunRecord]:
    return [
        run(conv, seed, accuracy + error, list(base), matched=matched)
        for matched, accuracies in ((False, at_channels), (True, at_macs))
        for conv, accuracy in accuracies.items()
        for seed, error in enumerate(SPREAD)
    ]


def table(records: list[RunRecord]) -> DataFrame:
    runs, copies = tabulate([row(one) for one in records])
    assert not copies
    return runs


# At equal channels k5 leads and k1 is last; at equal MACs k1 leads and k5 is last.
TURNED = study({K3: 0.95, K5: 0.97, K1: 0.90}, {K5: 0.93, K1: 0.98})


def members(runs: DataFrame) -> dict[str, set[tuple[str, str]]]:
    return {
        setting: {*zip(part["variant"], part["model.channels"], strict=True)}
        for setting, part in by_setting(runs)
    }


def test_the_reference_is_compared_in_both_settings() -> None:
    runs = table(TURNED)
    assert members(runs) == {
        "match null": {
            ("k3-s1-p1", "16-32-64"),
            ("k5-s1-p2", "16-32-64"),
            ("k1-s1-p0", "16-32-64"),
        },
        "match macs": {
            ("k3-s1-p1", "16-32-64"),
            ("k5-s1-p2", "10-19-38"),
            ("k1-s1-p0", "48-97-193"),
        },
    }
    assert set(runs["setting"]) == {"match null", "match macs"}
    for _, part in by_setting(runs):
        # A part is a setting of its own, not compared in others any more.
        assert len(list(by_setting(part))) == 1
        assert len(part) == 9


def test_two_base_widths_are_never_one_comparison_of_equal_macs() -> None:
    wide = study({K3: 0.95, K5: 0.97}, {K5: 0.93}, base=(32, 64, 128))
    narrow = study({K3: 0.94, K5: 0.96}, {K5: 0.92})
    runs = table([*wide, *narrow])
    for setting, part in by_setting(runs):
        assert len({*part["variant"]}) == 2, setting
        if "match macs" in setting:
            assert part["macs"].max() / part["macs"].min() < 1.1
            assert ("32-64-128" in setting) == (part["macs"].min() > 10**7)
    assert sorted(members(runs)) == [
        "channels 16-32-64, match macs",
        "channels 16-32-64, match null",
        "channels 32-64-128, match macs",
        "channels 32-64-128, match null",
    ]


def test_equal_channels_are_no_comparison_of_equal_macs_by_chance() -> None:
    """A run of other channels, typed by hand, is in a setting of its own."""
    typed = [run(K3, seed, 0.95, [17, 32, 64], matched=False) for seed in range(3)]
    runs = table([*TURNED, *typed])
    assert members(runs)["channels 17-32-64, match null"] == {("k3-s1-p1", "17-32-64")}
    assert ("k3-s1-p1", "17-32-64") not in members(runs)["channels 16-32-64, match macs"]


def test_both_verdicts_and_who_changed_places() -> None:
    found = list(summarize_matched(table(TURNED)))
    assert sentences(found) == [
        "At equal channels, k5-s1-p2 has the highest validation accuracy of 3 variants; its test"
        " accuracy, 97.00 %, is significantly better than that of k3-s1-p1 and k1-s1-p0.",
        "At equal MACs (4,621,454 to 4,665,180 an image; channels scaled), k1-s1-p0 has the"
        " highest validation accuracy of 3 variants; its test accuracy, 98.00 %, is significantly"
        " better than that of k3-s1-p1 and k5-s1-p2.",
        "The order of the 3 variants by mean validation accuracy is another at equal MACs:"
        " k5-s1-p2 from 1 to 3 and k1-s1-p0 from 3 to 1.",
        "Of their 3 pairs, 0 are significantly different in test accuracy in the same direction in"
        " both and 3 in opposite directions (family-wise 5 % in each comparison).",
    ]
    assert [(one.kind, round(one.estimate or 0, 9)) for one in found] == [
        ("equal_channels", 0.97),
        ("equal_macs", 0.98),
        ("changed_place", -2.0),
        ("changed_place", 2.0),
        ("pairs_agree", 0.0),
    ]


def test_a_ranking_that_holds_is_said_to_hold() -> None:
    runs = table(study({K3: 0.95, K5: 0.97, K1: 0.9}, {K5: 0.96, K1: 0.9502}))
    texts = sentences(summarize_matched(runs))
    assert texts[2] == (
        "The order of the 3 variants by mean validation accuracy is another at equal MACs:"
        " k3-s1-p1 from 2 to 3 and k1-s1-p0 from 3 to 2."
    )
    assert texts[3] == (
        "Of their 3 pairs, 2 are significantly different in test accuracy in the same direction in"
        " both and 1 at equal channels only (family-wise 5 % in each comparison)."
    )
    same = table(study({K3: 0.95, K5: 0.97}, {K5: 0.96}))
    assert sentences(summarize_matched(same))[2] == (
        "The order of the 2 variants by mean validation accuracy is the same in both."
    )


def test_without_matched_runs_nothing_is_said() -> None:
    runs = table(study({K3: 0.95, K5: 0.97}, {}))
    assert list(summarize_matched(runs)) == []
    assert "also_in" not in runs
    assert summarize(runs)[0].kind == "best"


def test_the_verdicts_come_first_in_text_and_headlines() -> None:
    runs = table(TURNED)
    assert [one.kind for one in summarize(runs)[:2]] == ["equal_channels", "equal_macs"]
    assert [one.kind for one in headlines(runs)[:2]] == ["equal_channels", "equal_macs"]


def test_a_guest_leads_in_its_own_setting_only() -> None:
    runs = table(study({K3: 0.95, K5: 0.97, K1: 0.90}, {K5: 0.93, K1: 0.90}))
    names = runs.drop_duplicates("group").set_index("group")["label"]
    top = top_groups(runs)
    assert {names[group] for group in top.best} == {"k5-s1-p2 (match null)"}
    assert {family.title for family in variant_families(runs)} == {"match null", "match macs"}


def test_matched_variants_are_tested_against_the_reference_in_their_family() -> None:
    runs = table(TURNED)
    labels = dict(iter(runs.groupby("label")))
    compared = compare(runs, labels["k5-s1-p2 (match macs)"], labels["k3-s1-p1 (match null)"])
    assert compared.pairs == 3
    apart = compare(runs, labels["k5-s1-p2 (match macs)"], labels["k5-s1-p2 (match null)"])
    assert apart.pairs == 1


def test_every_figure_draws_both_settings() -> None:
    runs = table(TURNED)
    shown = {
        name: figure.draw(runs, setting="match macs").to_json()
        for name, figure in FIGURES.items()
        if any(choice.key == "setting" for choice in figure.choices) and name != "diagnostic_maps"
    }
    assert shown
    for name, drawn in shown.items():
        assert "match macs" in drawn, name


def test_a_record_whose_macs_are_not_the_references_contradicts_itself() -> None:
    (record,) = [run(K5, 0, 0.9, [16, 32, 64], matched=True)]
    assert find_contradiction(record) is None
    model = record.config["model"] | {"matched_from": [32, 64, 128]}
    other = dataclasses.replace(record, config=record.config | {"model": model})
    assert find_contradiction(other) == (
        "match is macs, and it has 4665180 MACs where the reference has 18290432"
    )


def split_run(conv: Conv, seed: int, accuracy: float) -> RunRecord:
    record = run(conv, seed, accuracy, [16, 32, 64], matched=False, vary="split")
    config = record.config | {"data": record.config["data"] | {"split_seed": seed}}
    return dataclasses.replace(record, config=config, id=identity(config))


def test_runs_with_splits_of_their_own_are_one_group() -> None:
    records = [split_run(conv, seed, 0.9) for conv in (K3, K5) for seed in (0, 1, 2)]
    assert len({one.id for one in records}) == 6
    assert len({group_of(one.config) for one in records}) == 2
    runs = table(records)
    assert set(runs["setting"]) == {""}
    fixed = [run(K3, seed, 0.9, [16, 32, 64], matched=False) for seed in (0, 1)]
    config = fixed[0].config | {"data": fixed[0].config["data"] | {"split_seed": 5}}
    other = dataclasses.replace(fixed[0], config=config, id=identity(config), name="other")
    runs = table([*records, *fixed, other])
    assert set(runs["setting"]) == {
        "split_seed null, vary split",
        "split_seed null, vary null",
        "split_seed 5, vary null",
    }
