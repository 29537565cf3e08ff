"""The files of the page, and the bundle that the plotly package carries: no others are served."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_KINDS = {".js": "text/javascript", ".css": "text/css"}


@dataclass(frozen=True)
class PageFile:
    """Bytes to serve, compressed by gzip; `version` is another one for other bytes."""

    kind: str
    zipped: bytes
    version: str


def page_file(name: str) -> PageFile | None:
    """The file of this name; None where there is none."""
    path = _paths().get(name)
    return None if path is None else _packed(path)


@cache
def _paths() -> dict[str, Path]:
    folder = Path(__file__).with_name("page")
    own = {path.name: path for path in folder.iterdir() if path.suffix in _KINDS}
    return own | {"plotly.min.js": _plotly()}


def _plotly() -> Path:
    # Found without importing it.
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("package_data") / "plotly.min.js"


@cache
def _packed(path: Path) -> PageFile:
    data = path.read_bytes()
    return PageFile(
        kind=_KINDS[path.suffix],
        zipped=gzip.compress(data, compresslevel=3, mtime=0),
        version=hashlib.sha256(data).hexdigest()[:16],
    )
