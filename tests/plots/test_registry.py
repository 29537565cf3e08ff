"""A new figure is one new file: the tab and the report have it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import convscope
from convscope.plots import FIGURES

FIGURE = '''
"""How many runs each variant has."""

from convscope.plots.registry import Choice, Figure, InReport, View
from convscope.plots.style import Panel, subplots

NOUN = Choice("noun", "Count of", {"runs": "runs", "seeds": "seeds"})


def run_counts(runs, noun="runs"):
    counts = runs.groupby("variant").size()
    bars = {"type": "bar", "orientation": "h", "x": list(counts), "y": list(counts.index)}
    bars |= {"marker": {"color": "#0072b2"}, "text": list(map(str, counts))}
    panel = Panel("", 100, [bars], {}, {"type": "category"})
    return subplots([f"Number of {NOUN.check(noun)}"], [panel])


FIGURE = Figure(
    run_counts,
    order=60,
    view=View("counts", "Counts"),
    choices=(NOUN,),
    reports=(InReport("run-counts", "How many runs there are", "A bar per variant."),),
)
'''
ASK = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from werkzeug.test import Client
from convscope import report
from convscope.analysis.frame import Reader
from convscope.tensorboard_plugin import ConvScopePlugin

study = Path(sys.argv[1])
apps = ConvScopePlugin(SimpleNamespace(logdir=str(study))).get_plugin_apps()
def ask(route, **asked):
    return json.loads(Client(apps[route]).get(route, query_string=asked).data)
for name in ("report.html", "report.md"):
    report.write(*Reader([study]).read(), study.parent / name, None)
drawn = ask("/figure", name="run_counts", noun="seeds")
print(json.dumps([ask("/figures")["figures"], drawn]))
"""


def test_a_new_file_is_a_figure_of_the_tab_and_of_the_report(
    make_study: Callable[..., Path], tmp_path: Path
) -> None:
    study = make_study(tmp_path / "grid", (3, 5), (1,), ("half",), (0, 1))
    package = tmp_path / "src" / "convscope"
    shutil.copytree(Path(convscope.__file__).parent, package)
    (package / "plots" / "run_counts.py").write_text(FIGURE)
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-c", ASK, str(study)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr

    figures, drawn = json.loads(done.stdout)
    assert [figure["name"] for figure in figures] == [*FIGURES, "run_counts"]
    assert figures[-1] == {
        "name": "run_counts",
        "view": {"key": "counts", "title": "Counts"},
        "choices": [
            {"key": "noun", "label": "Count of", "options": [["runs", "runs"], ["seeds", "seeds"]]}
        ],
    }
    assert drawn["data"][0]["x"] == [2, 2]
    assert drawn["layout"]["title"]["text"] == "Number of seeds"
    page = (tmp_path / "report.html").read_text("utf-8")
    assert '<div class=drawing id="run-counts"' in page
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "![How many runs there are](report_files/run-counts.png)" in text
    assert (tmp_path / "report_files" / "run-counts.png").stat().st_size > 5_000


def test_figures_of_a_report_have_keys_of_their_own() -> None:
    keys = [shown.key for figure in FIGURES.values() for shown in figure.reports]
    latencies = ["accuracy-latency-1", "accuracy-latency-256"]
    of_answers = [f"{key}-shift-change" for key in ("accuracy", "heat", "effects")]
    assert [key for key in keys if key not in of_answers][:6] == [
        *("accuracy-samples", "accuracy-macs", *latencies, "heat", "effects")
    ]
    assert set(of_answers) < set(keys)
    assert len(set(keys)) == len(keys)
