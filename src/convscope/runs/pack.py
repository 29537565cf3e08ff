"""The records of studies packed into one file, which is read like their folder.

A packed study is a ZIP archive with the files `PACKED` of each run, in folders as in `outputs`.
`write_pack` makes it; any archive of a study's folder is one too. It is read in memory; nothing is
extracted. A path in it begins with the archive's: `studies.zip/mnist/RUN/run.json`.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

from convscope.errors import UserError, on_one_line
from convscope.files import FileTooLarge, read_regular, replace_file
from convscope.runs.directory import RunDirectory

SUFFIX = ".zip"
CORRECT = "correct.npy"
"""Whether each test image is right: of predictions.npz, only this member is packed."""
PACKED = ("run.json", "history.csv", "diagnostics.npz", CORRECT)
"""Files of a run that are packed and read; an archive's other files are ignored."""

_MAX_ARCHIVE_BYTES = 2**26
_MAX_BYTES = 2**28
"""Largest size of all files that are read; a study of 10,000 runs has a third of it."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    # An encrypted member, an unknown version, invalid lengths and names.
    *(NotImplementedError, RuntimeError, ValueError),
)
"""What reading a damaged archive raises."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of all members: equal records give equal bytes."""


def write_pack(archive: Path, runs: Iterable[RunDirectory]) -> None:
    """Write the files `PACKED` of these runs to one file, replacing `archive` atomically.

    Args:
        archive: The file; its name ends in .zip.
        runs: Runs, which may be packed themselves.

    Raises:
        UserError: Another ending, two runs of one name in folders of one name, or a file cannot be
            read or written.
    """
    if archive.suffix != SUFFIX:
        raise UserError(f"a packed study must end in {SUFFIX}, got {archive.name}")
    files: dict[str, bytes] = {}
    for run in sorted(runs, key=lambda run: (run.path.parent.name, run.name)):
        folder = f"{run.path.absolute().parent.name}/{run.name}"
        if f"{folder}/{run.record.name}" in files:
            raise UserError(f"{run.path} cannot be packed beside another {folder}; rename one")
        for name in PACKED:
            try:
                files[f"{folder}/{name}"] = _read_to_pack(run, name)
            except FileNotFoundError:
                continue  # A skipped run has no history, an older one no diagnostics or answers.
            except OSError as error:
                reason = error.strerror or error
                raise UserError(f"{run.path / name} cannot be read: {reason}") from error
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(member, data, compresslevel=9)
    replace_file(archive, content.getvalue())


def _read_to_pack(run: RunDirectory, name: str) -> bytes:
    if name != CORRECT or is_packed(run.path):
        return read_run_file(run.path / name, _MAX_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(read_regular(run.predictions, _MAX_BYTES))) as arrays:
            return arrays.read(name)
    except (KeyError, *DAMAGED) as error:
        raise FileNotFoundError(f"{run.predictions} has no {name}") from error


def on_disk(path: Path) -> Path:
    """Return the file or folder on disk that contains a path: an archive, or the path itself."""
    found = _split(path)
    return path if found is None else found[0]


def is_packed(path: Path) -> bool:
    """Return whether a path is an archive or in one, whatever the archive contains."""
    return _split(path) is not None


def require_folder(run: Path) -> None:
    """Check that a run is in a folder, where its trained network is.

    Raises:
        UserError: The run is packed.
    """
    if is_packed(run):
        raise UserError(f"{run} is packed, without its trained network; give the run's own folder")


def packed_runs(path: Path) -> list[RunDirectory]:
    """Return the runs below a path that is an archive or in one, by path.

    Raises:
        UserError: The archive cannot be read, is damaged or too large.
    """
    archive, inside = _split(path) or (path, PurePosixPath())
    records = [PurePosixPath(name) for name in _contents(archive) if name.endswith("/run.json")]
    folders = sorted(record.parent for record in records if record.is_relative_to(inside))
    return [RunDirectory(archive / folder) for folder in folders]


def read_run_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a run's file, which may be packed.

    Args:
        path: The file; of a packed run one of `PACKED`.
        max_bytes: Largest size to accept.

    Raises:
        UserError: As `read_regular`, or the archive cannot be read.
        OSError: As `read_regular`.
    """
    found = _split(path)
    if found is None:
        return read_regular(path, max_bytes)
    archive, inside = found
    content = _contents(archive).get(str(inside))
    if content is None:
        raise FileNotFoundError(f"{path} is not packed")
    if len(content) > max_bytes:
        raise FileTooLarge(path, max_bytes)
    return content


def _split(path: Path) -> tuple[Path, PurePosixPath] | None:
    """Return the archive that a path is or is in, and the path in it; None without an archive."""
    for parent in (path, *path.parents):
        if parent.suffix == SUFFIX and parent.is_file():
            return parent, PurePosixPath(path.relative_to(parent).as_posix())
    return None


def _contents(archive: Path) -> Mapping[str, bytes]:
    """Return the files of an archive by name; it is read again when it has changed on disk."""
    try:
        found = os.stat(archive)
        return _read(archive, found.st_ino, found.st_mtime_ns, found.st_size)
    except (OSError, *DAMAGED) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UserError(
            on_one_line(f"{archive} cannot be read as a packed study: {reason}")
        ) from error


@lru_cache(maxsize=4)
def _read(archive: Path, *_stamp: int) -> Mapping[str, bytes]:
    data = read_regular(archive, _MAX_ARCHIVE_BYTES, follow_links=True)
    contents: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        members = [one for one in packed.infolist() if PurePosixPath(one.filename).name in PACKED]
        # As declared, which is as much as zipfile reads.
        if sum(member.file_size for member in members) > _MAX_BYTES:
            raise ValueError(f"its records have more than {_MAX_BYTES:,} bytes")
        for member in members:
            name = member.filename
            parts = name.split("/")
            if len(parts) < 2 or not name.isprintable() or {"", ".", ".."} & {*parts}:
                raise ValueError(f"a file has the name {name!r}")
            if name in contents:
                raise ValueError(f"it has {name} twice")
            if member.compress_type not in _READABLE:
                raise ValueError(f"{name} is compressed in another way than by deflate")
            contents[name] = packed.read(member)
    return contents
