"""The files of the page, and the bundle that the plotly package carries: no others are served."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from werkzeug.wrappers import Request, Response

from convscope.tensorboard_plugin.respond import respond

_KINDS = {".js": "text/javascript", ".css": "text/css"}


@dataclass(frozen=True)
class PageFile:
    """Bytes to serve, compressed by gzip; `version` is another one for other bytes."""

    kind: str
    zipped: bytes
    version: str


def serve(request: Request) -> Response:
    """The file that the address names after `/page/`; 304 where the browser has it already."""
    path = _paths().get(request.path.rpartition("/page/")[2])
    if path is None:
        return respond(request, "there is no such file", "text/plain", code=404)
    file = _packed(path)
    headers = [("ETag", f'"{file.version}"')]
    if file.version in request.if_none_match:
        return respond(request, "", file.kind, code=304, headers=headers)
    return respond(request, file.zipped, file.kind, content_encoding="gzip", headers=headers)


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
