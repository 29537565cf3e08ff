"""Folders, studies, runs and variants by the names that users type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from pandas import DataFrame

from convscope.analysis.frame import Reader, row, tabulate
from convscope.errors import UserError
from convscope.geometry.label import LABEL
from convscope.runs.pack import is_packed
from convscope.runs.record import current_record
from convscope.runs.study import find_run, has_record
from convscope.runs.tuning import as_result

OUTPUTS = Path("outputs")

_VARIANT = re.compile(rf"(?:(?P<study>.+)/)?(?P<variant>{LABEL.pattern})(?: \((?P<setting>.+)\))?")
_MOST_CHOICES = 4


def resolve_path(name: str) -> Path:
    """Return a folder or packed study as given, a study below `outputs`, or a run by its name.

    Raises:
        UserError: none matches; the message suggests the nearest study.
    """
    try:
        for path in (Path(name), OUTPUTS / name):
            if path.is_dir() or is_packed(path):
                return path
        studies = [path.name for path in OUTPUTS.glob("*/")]
        for near in difflib.get_close_matches(name, studies, n=1):
            raise UserError(
                f"{name} must be a study, a run or a folder; did you mean the study {near}?"
            )
        return find_run(name, OUTPUTS).path
    except OSError as error:
        raise UserError(f"{name} cannot be opened: {error.strerror or error}") from error


def find_sides(names: Sequence[str]) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Return the runs that form the comparison's family, and its two sides, as tables of `frame`.

    The family is empty for two runs, the runs of the named studies where both names are variants
    with a study, else all runs below `outputs`.

    Args:
        names: two names, each of a run (see `find_run`) or of a variant: `k3-s1-p1`,
            `STUDY/k3-s1-p1` in one study, or `k3-s1-p1 (lr 0.01)` in one setting.

    Raises:
        UserError: a run or variant does not exist, or the variant has several settings.
    """
    variants = [None if _is_run(name) else _VARIANT.fullmatch(name) for name in names]
    if not any(variants):
        first, second = map(_run, names)
        return first.iloc[:0], first, second
    studies = [found["study"] for found in variants if found and found["study"]]
    runs, _ = Reader(map(_folder, studies) if len(studies) == len(names) else [OUTPUTS]).read()
    first, second = (
        _variant(found, runs) if found else _run(name)
        for name, found in zip(names, variants, strict=True)
    )
    return runs, first, second


def _is_run(name: str) -> bool:
    return any(has_record(path) for path in (Path(name), OUTPUTS / name))


def _run(name: str) -> DataFrame:
    # Also a trial of tuning, which tables of results lack.
    return tabulate([row(as_result(current_record(find_run(name, OUTPUTS).path)))])[0]


def _folder(study: str) -> Path:
    """Return a study below `outputs`, or any folder of runs, which may be packed."""
    paths = OUTPUTS / study, Path(study)
    return next((path for path in paths if path.is_dir() or is_packed(path)), OUTPUTS / study)


def _variant(name: re.Match[str], runs: DataFrame) -> DataFrame:
    of_variant = runs[runs["variant"] == name["variant"]]
    if name["study"]:
        folder = _folder(name["study"])
        is_below = of_variant["path"].map(lambda path: folder in Path(path).parents).astype(bool)
        of_variant = of_variant[(of_variant["study"] == folder.name) | is_below]
    found = of_variant
    if name["setting"]:
        asked = set(name["setting"].split(", "))
        columns = of_variant.filter(["setting", "also_in"]).fillna("")
        found = of_variant[
            [any(asked <= {*one.split(", ")} for one in row) for row in columns.to_numpy()]
        ]
    if found.empty:
        raise UserError(
            f"{name[0]} is no run, and no variant that has been trained"
            f"{_hint(name['variant'], runs, of_variant)}"
        )
    if found["group"].nunique() > 1:
        choices = _choices(found)
        shown = ", ".join(choices[:_MOST_CHOICES]) + (", …" if len(choices) > _MOST_CHOICES else "")
        raise UserError(
            f"{name[0]} has been trained with {len(choices)} settings: give one of {shown},"
            " or one run"
        )
    return found.sort_values("seed")


def _choices(found: DataFrame) -> list[str]:
    """Return how to type each setting of a variant: by its study if that has only this setting."""
    of_study = found.drop_duplicates(["study", "group"])
    if of_study["study"].is_unique and of_study["group"].is_unique:
        return [f"{one.study}/{one.variant}" for one in of_study.itertuples()]
    return [f"'{label}'" for label in sorted(found["label"].unique())]


def _hint(variant: str, runs: DataFrame, of_variant: DataFrame) -> str:
    if len(of_variant):
        return f"; there is {', '.join(of_variant['label'].unique()[:_MOST_CHOICES])}"
    near = difflib.get_close_matches(variant, runs["variant"].unique(), n=1)
    return f"; did you mean {near[0]}?" if near else ""
