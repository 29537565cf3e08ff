"""Read the records of a study, and find a run by its name."""

import difflib
import os
from pathlib import Path

from convscope.errors import UserError
from convscope.runs.directory import REPLACED, RunDirectory, UnreadableRun, study_runs
from convscope.runs.pack import is_packed, packed_runs
from convscope.runs.record import RunRecord, current_record


def read_study(study: Path) -> tuple[list[RunRecord], list[UnreadableRun]]:
    """Return every record of a study, by name, with its effective status, and unreadable runs.

    A run is unreadable if it is a link, or its record is damaged, of a later schema, or may not be
    read.

    Raises:
        UserError: `study` is not a folder, or cannot be listed.
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
    """Return the runs in `path`, by study and name, and unreadable runs.

    Args:
        path: The folder of a run, of a study, or of studies; in the last, links to studies are
            followed. Also a packed study, or a folder in it.

    Raises:
        UserError: `path` is not a folder, or cannot be listed.
    """
    if is_packed(path):
        return packed_runs(path), []
    if has_record(path):
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
    """Return the folders in `folder` that have no record, by name; links are followed.

    A folder that is also linked to is returned once, by its own name if it is in `folder`.
    """
    paths = [path for path in folder.iterdir() if path.name != REPLACED and os.path.isdir(path)]
    by_real_path = {os.path.realpath(folder): folder}
    for path in sorted(paths, key=lambda path: (path.is_symlink(), path)):
        if not os.path.lexists(RunDirectory(path).record):
            by_real_path.setdefault(os.path.realpath(path), path)
    return sorted(path for path in by_real_path.values() if path != folder)


def has_record(path: Path) -> bool:
    """Return whether this is the folder of a run, which may be packed."""
    if is_packed(path):
        return RunDirectory(path) in packed_runs(path)
    return RunDirectory(path).record.is_file()


def find_run(run: str | Path, output_dir: Path) -> RunDirectory:
    """Return the run given by its folder, its run.json, `<study>/<run>`, or its name in any study.

    Args:
        run: Path or name of the run.
        output_dir: Folder of all studies.

    Raises:
        UserError: There is no such run, or more than one.
    """
    given = Path(run)
    folder = given.parent if given.name == "run.json" else given
    for path in (folder, output_dir / folder):
        if has_record(path):
            return RunDirectory(path)
    return _find_by_name(str(run), output_dir)


def _find_by_name(name: str, output_dir: Path) -> RunDirectory:
    studies = _studies(output_dir) if output_dir.is_dir() else []
    runs = [run for study in studies for run in study_runs(study)[0]]
    matches = [run for run in runs if run.name == name]
    if not matches:
        names = [run.name for run in runs]
        # A variant's label is part of its runs' names, and too short to be close to one.
        near = [one for one in names if f"-{name}-" in one]
        near = near or difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"run must be a run in {output_dir} or its folder, got {name!r}{hint}")
    if len(matches) > 1:
        paths = ", ".join(str(match.path) for match in matches)
        raise UserError(f"run {name!r} is in more than one study; give one of the paths {paths}")
    return matches[0]
