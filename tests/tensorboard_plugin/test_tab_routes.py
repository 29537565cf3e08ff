"""What the tab's routes answer: to its page, and to whoever asks for more."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats
from werkzeug.test import Client, TestResponse

from convscope.metrics import metrics_of
from convscope.runs.history import History
from convscope.tensorboard_plugin import ConvScopePlugin

MakeStudy = Callable[..., Path]
HEAVY = ("pandas", "plotly", "scipy", "matplotlib", "rich", "hydra", "torch", "sklearn")


def planted(variant: str, seed: int) -> Mapping[str, float]:
    """Of the metrics some are missing, and a loss has grown beyond all numbers."""
    accuracy, speed = [0.97, 0.98, 0.99][seed], 1000.0 * (seed + 1)
    return {"test_accuracy": accuracy, "train_samples_per_sec": speed, "test_loss": math.inf}


def plugin(logdir: Path | None) -> Any:
    return ConvScopePlugin(SimpleNamespace(logdir=str(logdir) if logdir else ""))


def get(served: Any, route: str, path: str = "", **parameters: str) -> TestResponse:
    answer = Client(served.get_plugin_apps()[route]).get(path or route, query_string=parameters)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return answer


def ask(served: Any, route: str, **parameters: str) -> Any:
    """The answer as JSON has it, which has no NaN."""
    answer = get(served, route, **parameters)
    assert answer.status_code == 200
    return json.loads(answer.data, parse_constant=pytest.fail)


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Path:
    """Two variants with three seeds, and k5-s3-p0, which is impossible."""
    folder = make_study(tmp_path / "logs" / "s", [3, 5], [1], [0], metrics=planted)
    return make_study(folder, [5], [3], [0], [0])


@pytest.fixture
def tab(study: Path) -> Any:
    return plugin(study.parent)


def test_tells_every_group_and_run(tab: Any, study: Path) -> None:
    told = ask(tab, "/runs")
    assert [group["label"] for group in told["groups"]] == ["k3-s1-p0", "k5-s1-p0", "k5-s3-p0"]
    assert told["groups"][0]["test_accuracy"] == pytest.approx(0.98)
    assert told["groups"][0]["test_loss"] is None
    assert {Path(run["path"]) for run in told["runs"]} == set(study.iterdir())
    assert told["all"] == {"runs": 7, "groups": 3}
    metrics = [metric["key"] for metric in told["metrics"]]
    assert metrics[:2] == ["best_val_accuracy", "test_accuracy"]
    # Latencies only where they were measured.
    assert set(metrics) == {one.name for one in metrics_of("table") if not one.is_optional}
    assert told["unreadable"] == []
    assert told["shared"]["optim.lr"] == 0.02


def test_a_filter_is_of_variants_by_their_means(tab: Any) -> None:
    kept = ask(tab, "/runs", where="kernel_size == 5 and test_accuracy > 0.975")
    assert [group["label"] for group in kept["groups"]] == ["k5-s1-p0"]
    assert [run["seed"] for run in kept["runs"]] == [0, 1, 2]
    assert kept["all"] == {"runs": 7, "groups": 3}
    assert ask(tab, "/runs", where="stride == 9")["groups"] == []


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("strid == 1", "strid is no column; did you mean stride?"),
        ("__import__('os')", "where must be made of comparisons"),
        ("(" * 5000 + "1", "where must be at most"),
    ],
)
def test_a_filter_that_is_none_is_answered_in_words(tab: Any, expression: str, says: str) -> None:
    for route, more in (("/runs", {}), ("/words", {}), ("/figure", {"name": "heat"})):
        problem = ask(tab, route, where=expression, **more)["problem"]
        assert problem.startswith(says)
        assert "\n" not in problem


def test_a_new_version_where_a_run_is_new_and_none_where_not(
    tab: Any, study: Path, make_study: MakeStudy
) -> None:
    first = ask(tab, "/runs")["version"]
    assert ask(tab, "/runs", known=first) == {"version": first}
    make_study(study, [7], [1], [1], [0])
    second = ask(tab, "/runs", known=first)
    assert second["version"] != first
    assert len(second["groups"]) == 4


def test_a_new_version_where_a_history_grows(
    tab: Any, study: Path, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(study, [7], [1], [1], [0], status="running", ended_at=None, metrics=lambda *_: {})
    # As if a live process held its lock.
    monkeypatch.setattr("convscope.runs.record.is_locked", lambda run: True)
    first = ask(tab, "/runs")["version"]
    (running,) = study.glob("*k7*")
    assert ask(tab, "/runs", known=first) == {"version": first}
    History(running / "history.csv").append({"epoch": 1, "step": 10, "val/accuracy": 0.5})
    assert ask(tab, "/runs", known=first)["version"] != first


def test_the_best_and_what_does_not_differ_from_it(tab: Any) -> None:
    first, second, impossible = (group["group"] for group in ask(tab, "/runs")["groups"])
    # Both have the same three accuracies: they share the first place.
    told = ask(tab, "/leaders")
    assert told == {"best": sorted([first, second]), "not_different": [], "better": []}
    # With nothing to be compared with, none is best.
    nobody = {"best": [], "not_different": [], "better": []}
    assert ask(tab, "/leaders", where=f"group == '{second}'") == nobody
    assert ask(tab, "/leaders", where=f"group == '{impossible}'") == nobody


def test_figures_hold_the_tables_numbers(tab: Any) -> None:
    figure = ask(tab, "/figure", name="accuracy_against")
    points = {
        group: (x, y)
        for trace in figure["data"]
        if "markers" in trace["mode"] and "customdata" in trace
        for group, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
    }
    finished = [group["group"] for group in ask(tab, "/runs")["groups"] if group["runs"]]
    assert points == {group: (2000.0, pytest.approx(0.98)) for group in finished}


def test_figures_are_dark_where_tensorboard_is(tab: Any) -> None:
    light, dark = (ask(tab, "/figure", name="heat", dark=dark)["layout"] for dark in ("", "1"))
    assert light["template"]["layout"]["font"]["color"] < "#5"
    assert dark["template"]["layout"]["font"]["color"] > "#a"


def test_a_figure_without_anything_to_show_says_so(tab: Any) -> None:
    assert ask(tab, "/figure", name="curves")["problem"].startswith("no run has val/accuracy")
    told = ask(tab, "/figure", name="accuracy_against", cost="os.environ")
    assert told["problem"].endswith("got os.environ")


@pytest.mark.parametrize(
    ("route", "parameters"),
    [
        ("/figure", {}),
        ("/figure", {"name": "__class__"}),
        ("/figure", {"name": "heat", "dark": "<script>"}),
        ("/diff", {}),
        ("/diff", {"first": "1"}),
    ],
)
def test_what_the_page_never_asks_is_refused(
    tab: Any, route: str, parameters: dict[str, str]
) -> None:
    answer = get(tab, route, **parameters)
    assert answer.status_code == 400
    assert answer.content_type == "application/json"


def test_two_runs_side_by_side(tab: Any) -> None:
    told = ask(tab, "/runs")
    group, last = told["groups"][0]["group"], told["runs"][-2]
    compared = ask(tab, "/diff", first=group, second=last["id"])
    assert compared["first"] == {
        "label": "k3-s1-p0",
        "study": "s",
        "run": None,
        "seeds": [0, 1, 2],
    }
    assert compared["second"]["seeds"] == [last["seed"]]
    assert compared["second"]["run"] == last["run"]
    rows = {row["key"]: row for row in compared["rows"] if row["differs"]}
    assert (rows["conv.kernel_size"]["first"], rows["conv.kernel_size"]["second"]) == ("3", "5")
    assert "optim.lr" not in rows
    assert "no longer below the logdir" in ask(tab, "/diff", first="gone", second=group)["problem"]


def test_two_variants_side_by_side_are_compared_by_their_means(tab: Any) -> None:
    first, second = (group["group"] for group in ask(tab, "/runs")["groups"][:2])
    compared = ask(tab, "/diff", first=first, second=second)
    accuracy = compared["rows"][0]
    assert accuracy["key"] == "test_accuracy"
    # Both have 97, 98 and 99 %: a standard deviation of 1 point, and 4 degrees of freedom.
    half = stats.t.ppf(0.975, 4) * 0.01 * math.sqrt(2 / 3)
    _, equivalence, power, better = compared["words"]
    assert equivalence.startswith("Not shown to be equivalent within 0.1 points: two one-sided")
    assert power.startswith("At the spread seen here, this comparison had an 80 % chance to show a")
    assert "in 50 % of the pairs of runs" in better
    assert accuracy["first"] == accuracy["second"] == pytest.approx(0.98)
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((-half, half), rel=1e-3)
    assert accuracy["p_value"] == pytest.approx(1)
    assert compared["pairs"] == 1


def test_a_record_cut_in_half_is_named_and_the_rest_is_shown(tab: Any, study: Path) -> None:
    broken = next(study.glob("*k3*seed1*")) / "run.json"
    broken.write_bytes(broken.read_bytes()[:100])
    told = ask(tab, "/runs")
    assert len(told["runs"]) == 6
    (reason,) = told["unreadable"]
    assert str(broken) in reason


def test_no_link_leads_out_of_a_study(
    tab: Any, study: Path, make_study: MakeStudy, tmp_path: Path
) -> None:
    secret = make_study(tmp_path / "secret", [7], [2], [3], [0], metrics=planted)
    (run,) = secret.iterdir()
    history = run / "history.csv"
    History(history).append({"epoch": 1, "step": 1, "val/accuracy": 0.123456})
    (study / run.name).symlink_to(run)
    inside = next(study.glob("*k3*seed0*"))
    (inside / "history.csv").symlink_to(history)
    copied = study / "copied"
    copied.mkdir()
    (copied / "run.json").symlink_to(run / "run.json")
    told = ask(tab, "/runs")
    assert [group["label"] for group in told["groups"]] == ["k3-s1-p0", "k5-s1-p0", "k5-s3-p0"]
    assert any(f"{study / run.name} is a link" in reason for reason in told["unreadable"])
    assert any(f"{copied / 'run.json'} is not a regular file" in r for r in told["unreadable"])
    assert b"0.123456" not in get(tab, "/figure", name="curves").data
    # A study itself may be a link: one level, and no further.
    (study.parent / "other").symlink_to(secret)
    (study.parent / "further").symlink_to(tmp_path)
    (secret / "beyond").symlink_to(inside)
    told = ask(tab, "/runs")
    assert [group["label"] for group in told["groups"]][3:] == ["k7-s2-p3"]
    assert {run["study"] for run in told["runs"]} == {"s", "secret"}
    assert [run["run"] for run in told["runs"] if run["study"] == "secret"] == [run.name]


@pytest.mark.parametrize(
    "path",
    ["../__init__.py", "..%2f..%2fframe.py", "/etc/passwd", "%2fetc%2fpasswd", "", "page.css/"],
)
def test_only_the_pages_own_files_are_served(tab: Any, path: str) -> None:
    answer = get(tab, "/page/*", f"/data/plugin/convscope/page/{path}")
    assert answer.status_code == 404
    assert answer.data == b"there is no such file"


def test_a_file_of_the_page_is_not_sent_twice(tab: Any) -> None:
    client = Client(tab.get_plugin_apps()["/page/*"])
    first = client.get("/page/plotly.min.js")
    assert first.content_type == "text/javascript; charset=utf-8"
    assert b"plotly.js v" in first.data[:200]
    again = client.get("/page/plotly.min.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_says_what_to_do_where_there_is_nothing_to_show(tmp_path: Path) -> None:
    several = plugin(None)
    assert not several.is_active()
    assert "--logdir FOLDER" in ask(several, "/runs")["problem"]
    gone = plugin(tmp_path / "gone")
    assert not gone.is_active()
    assert "cannot be listed" in ask(gone, "/runs")["problem"]
    empty = plugin(tmp_path)
    assert not empty.is_active()
    told = ask(empty, "/runs")
    assert (told["groups"], told["logdir"]) == ([], str(tmp_path))
    for route, more in (("/words", {}), ("/figure", {"name": "heat"})):
        assert ask(empty, route, **more) == {"problem": "there is no run to show"}


def test_is_active_as_soon_as_there_is_a_run(tab: Any, study: Path) -> None:
    assert tab.is_active()
    assert plugin(study).is_active()
    shutil.rmtree(study)
    assert not tab.is_active()


def test_starting_tensorboard_imports_nothing_heavy() -> None:
    program = (
        "import sys; from convscope.tensorboard_plugin import ConvScopePlugin;"
        "from types import SimpleNamespace as S;"
        "p = ConvScopePlugin(S(logdir='.')); p.get_plugin_apps(); p.frontend_metadata();"
        f"p.is_active(); print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
