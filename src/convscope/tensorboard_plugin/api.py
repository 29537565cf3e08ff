"""The tab's API: JSON responses to the page's requests.

Errors that the user can correct (a mistyped filter, nothing to draw) are responses with the key
`problem`; requests that the page never makes get status 400.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pandas import DataFrame
from werkzeug.wrappers import Request, Response

from convscope.analysis import findings
from convscope.analysis.anova import levels_of
from convscope.analysis.choice import top_groups
from convscope.analysis.diff import compare
from convscope.analysis.frame import with_settings
from convscope.analysis.groups import grouped
from convscope.analysis.select import where
from convscope.analysis.table import (
    Record,
    cells,
    shared,
    table_metrics,
    to_records,
    with_std,
)
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.metrics import METRICS
from convscope.plots import FIGURES, styled
from convscope.plots.registry import described
from convscope.report.comparison import (
    change_texts,
    diff_texts,
    sides_in_words,
    significance,
    tuning,
    variance_table,
)
from convscope.tables import Table
from convscope.tensorboard_plugin.http import respond
from convscope.tensorboard_plugin.store import RunStore, Snapshot

SEVERAL_LOGDIRS = (
    "This tab shows the runs below one folder: start TensorBoard with --logdir FOLDER,"
    " for example tensorboard --logdir outputs, instead of --logdir_spec."
)
_NO_RUNS: Mapping[str, Any] = {
    **dict.fromkeys(("factors", "metrics", "groups", "runs", "settings", "absent"), ()),
    "shared": {},
}
_COLUMN = {"padding": "padding_policy"}
"""Column to filter the levels of a factor by, if it is not the factor's own."""

Answer = Mapping[str, Any] | str
"""Plain values, or JSON text."""


class Refused(Exception):
    """A request that the page never makes."""


class Api:
    """The routes, one method each.

    Args:
        logdir: TensorBoard's logdir; None if it has several.
    """

    def __init__(self, logdir: Path | None) -> None:
        self._logdir = logdir
        self._store = RunStore(logdir) if logdir else None

    def respond(self, route: str, request: Request) -> Response:
        """Return the response of the route with this name."""
        code = 200
        try:
            answer: Answer = getattr(self, route)(request.args)
        except UserError as error:
            answer = {"problem": str(error)}
        except Refused as error:
            answer, code = {"problem": str(error)}, 400
        text = answer if isinstance(answer, str) else json.dumps(answer, allow_nan=False)
        return respond(request, text, "application/json", code=code)

    def figures(self, asked: Mapping[str, str]) -> Answer:
        """Return the name, view and choices of every figure."""
        return {"figures": described(FIGURES)}

    def runs(self, asked: Mapping[str, str]) -> Answer:
        """Return the table; only its version if the page has it already (`known`)."""
        snapshot = self._snapshot()
        # Not status 304, which browsers log as a failed request of a script.
        if snapshot.version == asked.get("known"):
            return {"version": snapshot.version}
        runs = _selected(snapshot, asked)
        return {
            "version": snapshot.version,
            "logdir": str(self._logdir),
            "all": {"runs": len(snapshot.runs), "groups": snapshot.runs["group"].nunique()},
            "unreadable": [run.reason for run in snapshot.unreadable],
            **(_NO_RUNS if runs.empty else _table(runs)),
        }

    def leaders(self, asked: Mapping[str, str]) -> Answer:
        """Return the groups to mark; separate from the table, as testing many pairs is slow."""
        found = top_groups(_selected(self._snapshot(), asked))
        return {kind: sorted(groups) for kind, groups in found._asdict().items()}

    def words(self, asked: Mapping[str, str]) -> Answer:
        """Return the findings, caveats and methods in sentences, and tables beside them."""
        runs = _some(_selected(self._snapshot(), asked))
        return {
            "verdict": findings.sentences(findings.summarize(runs)),
            "caveats": findings.sentences(findings.caveats(runs)),
            "measured": findings.sentences(findings.describe_methods(runs)),
            "tuning": [_listing(*one) for one in tuning(runs)],
            "variances": [_listing(*one) for one in variance_table(runs)],
        }

    def figure(self, asked: Mapping[str, str]) -> Answer:
        """Return `data` and `layout` of the figure `name`, for a `dark` page or a light one."""
        figure, dark = FIGURES.get(asked.get("name", "")), asked.get("dark", "")
        if figure is None or dark not in ("", "1"):
            raise Refused("figure takes a name of its list and dark=1 or nothing")
        runs = _some(_selected(self._snapshot(), asked))
        chosen = {one.key: asked[one.key] for one in figure.choices if one.key in asked}
        drawn: str = styled(figure.draw(runs, **chosen), dark == "1").to_json()
        return drawn

    def diff(self, asked: Mapping[str, str]) -> Answer:
        """Return the comparison of `first` and `second`, each the id of a run or of a group.

        `words` are sentences on the test accuracies. A row's `texts` are both values as text,
        `change` its difference, interval and p-value as text.
        """
        first, second = asked.get("first"), asked.get("second")
        if not first or not second:
            raise Refused("diff takes first and second, each a run or a group")
        runs = self._snapshot().runs
        compared = compare(runs, _side(runs, first), _side(runs, second))
        return {
            "first": _named(compared.first),
            "second": _named(compared.second),
            "pairs": compared.pairs,
            "words": findings.sentences(sides_in_words(compared)),
            "note": significance(compared),
            "rows": [
                dataclasses.asdict(row)
                | {"differs": row.differs, "texts": diff_texts(row, compared)}
                | {"change": change_texts(row) if row.p_value is not None else ("", "", "")}
                for row in compared.rows
            ],
        }

    def _snapshot(self) -> Snapshot:
        if self._store is None:
            raise UserError(SEVERAL_LOGDIRS)
        return self._store.refresh()


def _selected(snapshot: Snapshot, asked: Mapping[str, str]) -> DataFrame:
    """Return the runs of the groups that the filter `where` selects; all without a filter.

    Raises:
        UserError: the filter cannot be parsed, or names an unknown column.
    """
    runs, expression = snapshot.runs, asked.get("where", "")
    if not expression.strip() or runs.empty:
        return runs
    return with_settings(runs[runs["group"].isin(where(grouped(runs), expression).index)])


def _some(runs: DataFrame) -> DataFrame:
    if runs.empty:
        raise UserError("there is no run to show")
    return runs


def _table(runs: DataFrame) -> dict[str, Any]:
    """Return the groups, their runs, and descriptions of their columns."""
    groups = to_records(runs)
    levels = levels_of(runs.drop_duplicates("group").set_index("group"))

    def texts(row: Record) -> dict[str, Any]:
        shown = cells(row)
        if (deviation := row.get("train_samples_per_sec_std")) is not None:
            shown["train_samples_per_sec"] = with_std(row["train_samples_per_sec"], deviation)
        return {"texts": shown, "levels": list(levels.loc[row["group"]])}

    return {
        "factors": [
            {"key": _COLUMN.get(factor.key, factor.key), "title": factor.title}
            for factor in FACTORS
        ],
        # Validation accuracy first: rows are sorted, and variants chosen, by it.
        "metrics": [
            {
                "key": metric.name,
                "title": metric.head[0].upper() + metric.head[1:],
                "hint": metric.definition,
                "measured": metric.of_network is None,
            }
            for metric in sorted(table_metrics(groups), key=lambda one: one.tag != "val/accuracy")
        ],
        "groups": [row | texts(row) for row in groups],
        "runs": [
            row | {"id": identity} | texts(row)
            for identity, row in zip(runs["id"], to_records(runs, single=True), strict=True)
        ],
        "shared": shared(runs),
        "settings": list(runs["setting"].unique()),
        "absent": [name for name in METRICS if runs[name].isna().all()],
    }


def _listing(table: Table, legend: str) -> dict[str, Any]:
    return dataclasses.asdict(table) | {"legend": legend}


def _side(runs: DataFrame, identity: str) -> DataFrame:
    """Return the run or the group with this id."""
    found = runs[(runs["id"] == identity) | (runs["group"] == identity)]
    if found.empty:
        raise UserError("one of the two picked is no longer below the logdir: pick another")
    return found.sort_values("seed")


def _named(side: DataFrame) -> dict[str, Any]:
    """Return a side's label, study, run (None for several) and seeds."""
    first = side.iloc[0]
    return {
        "label": first["label"],
        "study": ", ".join(side["study"].unique()),
        "run": first["run"] if len(side) == 1 else None,
        # JSON cannot write numpy's integers.
        "seeds": [int(seed) for seed in side["seed"]],
    }
