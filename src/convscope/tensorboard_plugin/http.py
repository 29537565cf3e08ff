"""Responses, and the files of the page: compressed where the browser takes it, never sniffed."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tensorboard.backend.http_util import Respond
from werkzeug.wrappers import Request, Response

_HERE = Path(__file__).parent
_FOLDERS = (_HERE / "page", _HERE.with_name("plots") / "web")
"""The page's own files, and what the report has too."""
_KINDS = {".js": "text/javascript", ".css": "text/css"}


def respond(
    request: Request, content: str | bytes, kind: str, *, code: int = 200, **more: Any
) -> Response:
    """Return a response; `more` as `http_util.Respond` takes it."""
    response: Response = Respond(request, content, kind, code=code, **more)
    return response


def serve_page(request: Request) -> Response:
    """Return the file that the address names after `/page/`; 304 where the browser has it."""
    path = _paths().get(request.path.rpartition("/page/")[2])
    if path is None:
        return respond(request, "there is no such file", "text/plain", code=404)
    kind, (zipped, version) = _KINDS[path.suffix], _packed(path)
    headers = [("ETag", f'"{version}"')]
    if version in request.if_none_match:
        return respond(request, "", kind, code=304, headers=headers)
    return respond(request, zipped, kind, content_encoding="gzip", headers=headers)


@cache
def _paths() -> dict[str, Path]:
    """Return all files there are by their name: no others are served."""
    own = (path for folder in _FOLDERS for path in folder.iterdir() if path.suffix in _KINDS)
    # Plotly's bundle, found without importing its package.
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    bundle = Path(spec.origin).with_name("package_data") / "plotly.min.js"
    return {path.name: path for path in (*own, bundle)}


@cache
def _packed(path: Path) -> tuple[bytes, str]:
    """Return a file compressed by gzip, and a version that differs for other bytes."""
    data = path.read_bytes()
    return gzip.compress(data, compresslevel=3, mtime=0), hashlib.sha256(data).hexdigest()[:16]
