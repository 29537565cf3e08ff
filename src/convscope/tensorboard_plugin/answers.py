"""What the page is told about a table of runs: plain JSON values, as text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from convscope.analysis.anova import levels_of
from convscope.analysis.choice import top_groups
from convscope.analysis.diff import compare
from convscope.analysis.frame import with_settings
from convscope.analysis.groups import grouped
from convscope.analysis.select import where
from convscope.analysis.table import Record, cells, shared, to_records
from convscope.errors import UserError
from convscope.geometry import FACTORS
from convscope.tensorboard_plugin.snapshot import Snapshot

CHOICES: Mapping[str, tuple[str, ...]] = {
    "accuracy_against": ("cost",),
    "heat": ("value", "setting"),
    "effects": ("setting",),
    "parallel": (),
    "map_sizes": (),
    "curves": ("metric",),
}
"""Of each figure, the arguments that the page may choose."""


def selected(runs: DataFrame, expression: str) -> DataFrame:
    """The runs of the groups for which a filter holds; all of them for an empty one.

    Raises:
        UserError: the filter cannot be read, or names an unknown column.
    """
    if not expression.strip() or runs.empty:
        return runs
    kept = where(grouped(runs), expression).index
    return with_settings(runs[runs["group"].isin(kept)])


def table(snapshot: Snapshot, expression: str, logdir: str) -> str:
    """All that the table shows: `groups` and their `runs` of the filter, and what is unreadable.

    Raises:
        UserError: as `selected`.
    """
    runs = selected(snapshot.runs, expression)
    return _text(
        {
            "version": snapshot.version,
            "logdir": logdir,
            "all": {"runs": len(snapshot.runs), "groups": snapshot.runs["group"].nunique()},
            "unreadable": [left.reason for left in snapshot.unreadable],
            **(_NOTHING if runs.empty else _rows(runs)),
        }
    )


_NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("factors", "groups", "runs", "settings"), ()),
    "shared": {},
}

_COLUMN = {"padding": "padding_policy"}
"""Of a factor, the column by which its levels are filtered."""


def _rows(runs: DataFrame) -> dict[str, Any]:
    levels = levels_of(runs.drop_duplicates("group").set_index("group"))

    def texts(row: Record) -> dict[str, Any]:
        return {"texts": cells(row), "levels": list(levels.loc[row["group"]])}

    return {
        "factors": [
            {"key": _COLUMN.get(factor.key, factor.key), "title": factor.title}
            for factor in FACTORS
        ],
        "groups": [row | texts(row) for row in to_records(runs)],
        "runs": [
            row | {"id": identity} | texts(row)
            for identity, row in zip(runs["id"], to_records(runs, single=True), strict=True)
        ],
        "shared": shared(runs),
        "settings": list(runs["setting"].unique()),
    }


def unchanged(snapshot: Snapshot) -> str:
    return _text({"version": snapshot.version})


def leading(runs: DataFrame) -> str:
    """The groups to mark: `top_groups`'s."""
    return _text({kind: sorted(groups) for kind, groups in top_groups(runs)._asdict().items()})


def words(runs: DataFrame) -> str:
    """The sentences of `findings`: what the runs show, what limits that, how it was measured.

    Raises:
        UserError: there is no run.
    """
    from convscope.analysis.findings import caveats, describe_methods, summarize

    _check_some(runs)
    sentences = {"verdict": summarize, "caveats": caveats, "measured": describe_methods}
    return _text({part: of(runs) for part, of in sentences.items()})


def figure(runs: DataFrame, name: str, chosen: Mapping[str, str], dark: bool) -> str:
    """A figure's `data` and `layout`.

    Args:
        name: of `CHOICES`.
        chosen: its arguments; others are passed over, and what is missing has its default.

    Raises:
        UserError: there is nothing to show, or no such choice.
    """
    from convscope.plots import FIGURES, styled

    _check_some(runs)
    options = {key: chosen[key] for key in CHOICES[name] if key in chosen}
    drawn: str = styled(FIGURES[name](runs, **options), dark).to_json()
    return drawn


def side_by_side(runs: DataFrame, first: str, second: str) -> str:
    """Two sides, each a run by its id or a variant by its group: how they are called, all rows.

    A row's `texts` are its two values as the terminal shows them.

    Raises:
        UserError: one of them is not there.
    """
    from convscope.report.views import diff_texts

    compared = compare(runs, _side(runs, first), _side(runs, second))
    return _text(
        {
            "first": _named(compared.first),
            "second": _named(compared.second),
            "pairs": compared.pairs,
            "rows": [
                {
                    **dataclasses.asdict(row),
                    "differs": row.differs,
                    "texts": diff_texts(row, compared),
                }
                for row in compared.rows
            ],
        }
    )


def _check_some(runs: DataFrame) -> None:
    if runs.empty:
        raise UserError("there is no run to show")


def _side(runs: DataFrame, identity: str) -> DataFrame:
    """A run, or all of a group."""
    found = runs[(runs["id"] == identity) | (runs["group"] == identity)]
    if found.empty:
        raise UserError("one of the two picked is no longer below the logdir: pick another")
    return found.sort_values("seed")


def _named(side: DataFrame) -> dict[str, Any]:
    """How a side is called; `run` only of a single one."""
    first = side.iloc[0]
    return {
        "label": first["label"],
        "study": ", ".join(side["study"].unique()),
        "run": first["run"] if len(side) == 1 else None,
        # Seeds out of a table of whole numbers are numpy's, which JSON does not know.
        "seeds": [int(seed) for seed in side["seed"]],
    }


def _text(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, allow_nan=False)
