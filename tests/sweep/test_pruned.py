"""Sweeps with prune=true, typed as people type them."""

import json
from pathlib import Path

import pytest

from convscope.runs.history import History

GRID = (
    *("-m", "data=digits", "model.channels=[4,8]", "trainer.max_epochs=4", "prune=true"),
    *("trainer.limit_train_batches=12", "diagnostics=off", "conv.kernel_size=1,3,5,7"),
    "conv.stride=1,2",
)
SHORT = tuple(one for one in GRID if not one.startswith("prune"))


def records() -> dict[tuple[str, int], dict]:
    """By variant and seed."""
    found = [json.loads(run.read_text()) for run in Path("outputs/default").glob("*/run.json")]
    return {(one["variant"], one["config"]["seed"]): one for one in found}


def accuracies(name: str) -> list[float]:
    rows = History(Path("outputs/default") / name / "history.csv").read()
    return [float(row["val/accuracy"] or 0) for row in rows]


def expected(trained: list[dict]) -> dict[str, tuple[str, int]]:
    """What the rule makes of these runs, in the order in which they ended: status and epochs."""
    found: dict[str, tuple[str, int]] = {}
    reached: list[float] = []
    for record in trained:
        values = accuracies(record["name"])
        reached.append(values[1])
        ordered, number = sorted(reached), len(reached)
        median = (ordered[(number - 1) // 2] + ordered[number // 2]) / 2
        is_worse = number >= 4 and values[1] < median
        found[record["variant"]] = ("pruned", 2) if is_worse else ("finished", 4)
    return found


def test_a_sweep_prunes_by_hand_calculation_and_goes_on_without(command) -> None:
    planned = command(*GRID, "plan=true")
    assert "8 runs: 8 to do; at most about" in planned.out
    ended = command(*GRID)
    assert ended.code == 0
    found = records()
    in_order = sorted(found.values(), key=lambda record: record["ended_at"])
    rule = expected(in_order)
    assert {one["variant"]: (one["status"], len(accuracies(one["name"]))) for one in in_order} == (
        rule
    )
    pruned = [one for one in in_order if one["status"] == "pruned"]
    assert 1 <= len(pruned) <= 4
    for one in pruned:
        assert one["metrics"] == {}
        number = 1 + in_order.index(one)
        line = f"[{number}/8] {one['variant']} seed 0 pruned: {one['reason']}"
        assert any(told.startswith(line) for told in ended.err.splitlines())
        assert f"- {one['variant']} pruned, seed 0: {one['reason']}" in ended.out.splitlines()
    left = 32 - sum(epochs for _, epochs in rule.values())
    saved = f"{len(pruned)} of 8 variants pruned: {left} of 32 epochs not trained; the same command"
    assert f"{saved} with prune=false trains them" in ended.err.splitlines()
    assert f"8 runs of 8 variants ({8 - len(pruned)} finished, {len(pruned)} pruned)" in ended.out

    again = command(*GRID)
    assert again.code == 0
    assert "8 of 8 runs are done already" in again.err.splitlines()
    assert records() == found
    states = command(*GRID, "plan=true").out
    assert f"{len(pruned)} pruned" in states
    assert "about 0:00 left" in states

    whole = command(*SHORT)
    assert whole.code == 0
    assert f"{8 - len(pruned)} of 8 runs are done already" in whole.err.splitlines()
    after = records()
    assert {one["status"] for one in after.values()} == {"finished"}
    for one in pruned:
        assert after[one["variant"], 0]["resumed_from_epoch"] == rule[one["variant"]][1]


def test_a_pruned_variant_gets_no_further_seeds_and_others_all(command) -> None:
    ended = command(*GRID, "repeat=2")
    assert ended.code == 0
    found = records()
    pruned = {variant for (variant, _), one in found.items() if one["status"] == "pruned"}
    assert pruned
    assert {key for key in found if key[0] in pruned} == {(variant, 0) for variant in pruned}
    assert {one["status"] for (_, seed), one in found.items() if seed == 1} == {"finished"}
    assert len(found) == 16 - len(pruned)
    # What may be pruned says so in its record.
    assert {(seed, one["config"]["prune"]) for (_, seed), one in found.items()} == {
        (0, True),
        (1, False),
    }
    lines = ended.err.splitlines()
    assert f"no further seeds of {len(pruned)} pruned variants" in lines
    epochs = sum(len(accuracies(one["name"])) for one in found.values())
    assert any(
        line.startswith(f"{len(pruned)} of 8 variants pruned: {64 - epochs} of 64 epochs not")
        for line in lines
    )
    # Again, nothing is trained.
    before = {path: path.read_bytes() for path in Path("outputs").glob("*/*/run.json")}
    assert command(*GRID, "repeat=2").code == 0
    assert {path: path.read_bytes() for path in Path("outputs").glob("*/*/run.json")} == before


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        (
            ("data=digits", "prune=true"),
            "prune must be false for a single run, which it would compare with others of a sweep,"
            " got true",
        ),
        (
            (
                *("-m", "hydra/sweeper=optuna", "data=digits", "prune=true", "trials=2"),
                "conv.stride=1,2",
            ),
            "prune must be false in a search, which chooses by results of whole runs, got true",
        ),
    ],
)
def test_what_has_nothing_to_prune_refuses_it(command, typed: tuple[str, ...], error: str) -> None:
    ended = command(*typed)
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {error}\n")
    assert list(Path().iterdir()) == []
