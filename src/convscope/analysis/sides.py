"""What a user compares side by side: a run, or a variant's runs, by what he calls it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from pandas import DataFrame

from convscope.analysis.frame import Reader, row, tabulate
from convscope.errors import UserError
from convscope.geometry.label import LABEL
from convscope.runs.directory import RunDirectory
from convscope.runs.record import current_record
from convscope.runs.study import find_run

_VARIANT = re.compile(rf"(?:(?P<place>.+)/)?(?P<variant>{LABEL.pattern})(?: \((?P<setting>.+)\))?")
_MOST_CHOICES = 4


def sides(words: Sequence[str], outputs: Path) -> tuple[DataFrame, DataFrame, DataFrame]:
    """All runs among which two are compared, and the two sides, as `frame`'s tables.

    A word is a run, as `find_run` takes it, or a variant: `k3-s1-p1`, `STUDY/k3-s1-p1` of one
    study alone, or `k3-s1-p1 (lr 0.01)` of one setting. Where both are variants of named studies,
    the runs are those of these studies; else all below `outputs`.

    Raises:
        UserError: there is no such run or variant, or it has several settings.
    """
    variants = [None if _is_run(word, outputs) else _VARIANT.fullmatch(word) for word in words]
    if not any(variants):
        first, second = (_run(word, outputs) for word in words)
        return first.iloc[:0], first, second
    places = [found["place"] for found in variants if found]
    everywhere = None in places or None in variants
    folders = [outputs] if everywhere else [_folder(place, outputs) for place in places]
    runs, _ = Reader(folders).read()
    first, second = (
        _variant(found, runs) if found else _run(word, outputs)
        for word, found in zip(words, variants, strict=True)
    )
    return runs, first, second


def _is_run(word: str, outputs: Path) -> bool:
    return any(RunDirectory(path).record.is_file() for path in (Path(word), outputs / word))


def _run(word: str, outputs: Path) -> DataFrame:
    return tabulate([row(current_record(find_run(word, outputs).path))])[0]


def _folder(study: str, outputs: Path) -> Path:
    """A study below `outputs`, or any folder of runs."""
    return next((path for path in (outputs / study, Path(study)) if path.is_dir()), outputs / study)


def _variant(word: re.Match[str], runs: DataFrame) -> DataFrame:
    of_variant = runs[runs["variant"] == word["variant"]]
    if word["place"]:
        of_variant = of_variant[of_variant["study"] == Path(word["place"]).name]
    found = of_variant
    if word["setting"]:
        asked = set(word["setting"].split(", "))
        found = of_variant[[asked <= set(one.split(", ")) for one in of_variant["setting"]]]
    if found.empty:
        near = _near(word["variant"], runs, of_variant)
        raise UserError(f"{word[0]} is no run, and no variant that has been trained{near}")
    if found["group"].nunique() > 1:
        choices = _choices(found)
        shown = ", ".join(choices[:_MOST_CHOICES]) + (", …" if len(choices) > _MOST_CHOICES else "")
        raise UserError(
            f"{word[0]} has been trained with {len(choices)} settings: give one of {shown},"
            " or one run"
        )
    return found.sort_values("seed")


def _choices(found: DataFrame) -> list[str]:
    """How each of a variant's settings is typed: by its study where that has no other."""
    of_study = found.drop_duplicates(["study", "group"])
    if of_study["study"].is_unique and of_study["group"].is_unique:
        return [f"{one['study']}/{one['variant']}" for one in of_study.to_dict("records")]
    return [f"'{label}'" for label in sorted(found["label"].unique())]


def _near(variant: str, runs: DataFrame, of_variant: DataFrame) -> str:
    if len(of_variant):
        return f"; there is {', '.join(of_variant['label'].unique()[:_MOST_CHOICES])}"
    near = difflib.get_close_matches(variant, runs["variant"].unique(), n=1)
    return f"; did you mean {near[0]}?" if near else ""
