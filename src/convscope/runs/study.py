"""The runs of a study as records, and one run by its name."""

import difflib
import os
from pathlib import Path

from convscope.errors import UserError
from convscope.runs.directory import REPLACED, RunDirectory, UnreadableRun, study_runs
from convscope.runs.record import RunRecord, current_record


def read_study(study: Path) -> tuple[list[RunRecord], list[UnreadableRun]]:
    """Read every record of a study, by name, each with the status to believe and its `path`.

    What cannot be read (truncated, foreign, of a future schema, a link, without rights) is named in
    the second list; the rest goes on.

    Raises:
        UserError: `study` is no folder, or may not be listed.
    """
    runs, unreadable = study_runs(study)
    records: list[RunRecord] = []
    for run in runs:
        try:
            records.append(current_record(run.path))
        except UserError as error:
            unreadable.append(UnreadableRun(run.path, str(error)))
    return records, unreadable


def runs_below(path: Path) -> tuple[list[RunDirectory], list[UnreadableRun]]:
    """List the runs of a run's folder (itself), a study or a folder of studies, by study, name.

    In a folder of studies a link to a study is followed; what else cannot be opened or is a link
    is named in the second list.

    Raises:
        UserError: `path` is no folder, or may not be listed.
    """
    if RunDirectory(path).record.is_file():
        return [RunDirectory(path)], []
    runs, unreadable = study_runs(path)
    if runs:
        return runs, unreadable
    studies = _studies(path)
    real = {os.path.realpath(study) for study in studies}
    unreadable = [one for one in unreadable if os.path.realpath(one.path) not in real]
    for study in studies:
        try:
            found, skipped = study_runs(study)
        except UserError as error:
            found, skipped = [], [UnreadableRun(study, str(error))]
        runs += found
        unreadable += skipped
    return runs, unreadable


def _studies(folder: Path) -> list[Path]:
    """List the folders in a folder that have no record, by name; links among them are followed.

    Each real folder comes once, under its own name where it has one here.
    """
    paths = [path for path in folder.iterdir() if path.name != REPLACED and os.path.isdir(path)]
    by_place = {os.path.realpath(folder): folder}
    for path in sorted(paths, key=lambda path: (path.is_symlink(), path)):
        if not os.path.lexists(RunDirectory(path).record):
            by_place.setdefault(os.path.realpath(path), path)
    return sorted(path for path in by_place.values() if path != folder)


def find_run(run: str | Path, output_dir: Path) -> RunDirectory:
    """Find a run by its folder, its run.json, `<study>/<run>`, or its name in any study.

    Raises:
        UserError: There is none, or more than one.
    """
    given = Path(run)
    folder = given.parent if given.name == "run.json" else given
    for path in (folder, output_dir / folder):
        if RunDirectory(path).record.is_file():
            return RunDirectory(path)
    return _find_by_name(str(run), output_dir)


def _find_by_name(name: str, output_dir: Path) -> RunDirectory:
    studies = _studies(output_dir) if output_dir.is_dir() else []
    runs = [run for study in studies for run in study_runs(study)[0]]
    matches = [run for run in runs if run.name == name]
    if not matches:
        near = difflib.get_close_matches(name, [run.name for run in runs], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"run must be a run in {output_dir} or its folder, got {name!r}{hint}")
    if len(matches) > 1:
        places = ", ".join(str(match.path) for match in matches)
        raise UserError(f"run {name!r} lies in more than one study; give one of the paths {places}")
    return matches[0]
