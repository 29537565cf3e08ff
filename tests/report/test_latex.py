"""Tables for papers: what they say, and that a real pdflatex sets them within the page."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pandas import DataFrame

from convscope.analysis.citations import SOURCES, bibtex
from convscope.analysis.diff import compare
from convscope.analysis.frame import with_settings
from convscope.errors import UserError
from convscope.report.latex import diff_latex, escape_latex, latex_table, variants_latex
from convscope.report.pairs import pairs_latex
from convscope.tables import Table

Runs = Callable[..., DataFrame]
HOSTILE = r"50%_of #1 & {a}^~$\x$ <b> -- ``q'' |é|"
SPREAD = {
    (5, 1, "half"): [0.979, 0.980, 0.981],
    (7, 1, "half"): [0.9787, 0.9797, 0.9807],
    (3, 1, "half"): [0.969, 0.970, 0.971],
}
needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-recommended)"
)


def test_the_table_of_variants(make_runs: Runs) -> None:
    text = variants_latex(make_runs(SPREAD), single=False)
    best, close, worse = sorted(
        (line for line in text.splitlines() if line.count("&") > 3 and "k" in line[:12]),
        key=lambda line: ("textbf" not in line, "dagger" not in line),
    )
    assert best.startswith(
        r"\textbf{k5-s1-p2} & \textbf{98.00} & \textbf{98.00} & \textbf{$\pm$\,0.10} & "
    )
    assert close.startswith(r"k7-s1-p3\textsuperscript{$\dagger$} & 97.97 & 97.97 & $\pm$\,0.10 &")
    assert worse.startswith(r"k3-s1-p1 & 97.00 & 97.00 & $\pm$\,0.10 & ")
    assert best.endswith(r" & 97.75 to 98.25 & 12,858,240 \\")
    (caption,) = re.findall(r"\\caption\{(.*)\}\n", text)
    assert caption.startswith(
        "Means over 3 seeds on mnist, 5 epochs; test accuracy on 10,000 images. Hardware: AMD EPYC,"
    )
    assert (
        r"Bold: highest validation accuracy; \textsuperscript{$\dagger$}: test accuracy" in caption
    )
    assert "not significantly different from that of the variant in bold (95\\,\\%)" in caption
    assert caption.endswith(
        r"tested at once, with a family-wise error of 5\,\%~\cite{tukey1953,kramer1956}."
    )
    assert r"\label{tab:convscope-study}" in text
    assert "seeds" not in text.partition(r"\toprule")[2]


def test_without_tests_and_without_results(make_runs: Runs) -> None:
    single = variants_latex(
        make_runs({conv: values[:1] for conv, values in SPREAD.items()}), single=False
    )
    assert r"\cite" not in single
    assert "Means over 1 seed on mnist" in single
    runs = variants_latex(make_runs(SPREAD), single=True)
    assert runs.count("k7-s1-p3 & ") == 3
    assert r"k7-s1-p3 & 2 & 98.07 & 98.07 & " in runs
    with pytest.raises(UserError, match="needs a finished run"):
        variants_latex(make_runs({(3, 1, 0): [None]}), single=False)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b {50%}", r"a\_b \{50\%\}"),
        ("12 %", r"12\,\%"),
        ("-0.5 to -0.1", "$-$0.5 to $-$0.1"),
        ("k3-s1-p1", "k3-s1-p1"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("98.00 ± <0.08", r"98.00 $\pm$ $<$0.08"),
        ("\\x^~$#&", r"\textbackslash{}x\textasciicircum{}\textasciitilde{}\$\#\&"),
        ("a\nb", r"a\textbackslash{}nb"),
    ],
)
def test_users_text_is_escaped(text: str, latex: str) -> None:
    assert escape_latex(text) == latex


def test_units_of_a_column_are_in_its_head() -> None:
    table = Table(("<pair", "difference", "p"), (("a, b", "+0.10 points", "0.5"), ("c", "–", "1")))
    text = latex_table(table, "All pairs.", "all pairs")
    assert "pair & " in text
    assert "(points)" in text
    assert "a, b & +0.10 & 0.5 \\\\\nc & -- & 1 \\\\" in text
    assert r"\label{tab:all-pairs}" in text


def hostile_runs(make_runs: Runs) -> DataFrame:
    tables = [
        make_runs(SPREAD, study=Path(f"outputs/{HOSTILE}{number}"), config={"optim": {"lr": lr}})
        for number, lr in enumerate((0.01, 0.02))
    ]
    return with_settings(pd.concat(tables, ignore_index=True)).assign(device=f"{HOSTILE} GPU")


@needs_pdflatex
@pytest.mark.timeout(300)
def test_pdflatex_sets_them_within_the_page(make_runs: Runs, tmp_path: Path) -> None:
    """In a text of 122 mm: with users' names, of one column's width, wide, and of many rows."""
    runs = make_runs(SPREAD)
    sides = (runs[runs["variant"] == name] for name in ("k3-s1-p1", "k5-s1-p2"))
    wide = Table(tuple(f"column {HOSTILE}{n}" for n in range(9)), ((HOSTILE,) * 9,))
    tables = [
        variants_latex(hostile_runs(make_runs), single=False),
        variants_latex(runs, single=True),
        diff_latex(compare(runs, *sides)),
        latex_table(wide, "Wide.", "wide"),
        variants_latex(make_runs({(k, 1, 0): [0.9] * 15 for k in (1, 3, 5)}), single=True),
        latex_table(Table(("<pair", "p"), (("k3-s1-p1, k5-s1-p2", "0.5"),)), "Pairs.", "pairs"),
        pairs_latex(hostile_runs(make_runs), 0.001),
    ]
    assert [re.findall(r"begin{(table\*?|longtable)}", text)[0] for text in tables] == [
        *("table*", "table*", "table*", "table*", "longtable", "table", "table*"),
    ]
    assert r"\resizebox{\textwidth}" in tables[3]
    document = "\n\n".join(
        [
            r"\documentclass{article}\usepackage{booktabs,graphicx,longtable}\begin{document}",
            *tables,
            r"\bibliographystyle{plain}\bibliography{sources}\end{document}",
        ]
    )
    (tmp_path / "paper.tex").write_text(document, "utf-8")
    (tmp_path / "sources.bib").write_text(bibtex(SOURCES), "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper"]
    for name in (command, ["bibtex", "paper"], command, command):
        done = subprocess.run(name, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text("latin-1")
    assert "Overfull" not in log
    assert "undefined" not in log
