"""HTTP responses, and the files of the page, compressed and with an ETag."""

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
"""Folders of the page's own files, and of files shared with the report."""
_KINDS = {".js": "text/javascript", ".css": "text/css"}


def respond(
    request: Request, content: str | bytes, kind: str, *, code: int = 200, **more: Any
) -> Response:
    """Return a response.

    Args:
        request: the request.
        content: the response's body.
        kind: MIME type.
        code: status.
        **more: other arguments of TensorBoard's `http_util.Respond`.
    """
    response: Response = Respond(request, content, kind, code=code, **more)
    return response


def serve_page(request: Request) -> Response:
    """Return the file named after `/page/` in the address; 304 if the browser has this version."""
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
    """Return all files that may be served, by name."""
    own = (path for folder in _FOLDERS for path in folder.iterdir() if path.suffix in _KINDS)
    # Find Plotly's bundle without importing Plotly.
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    bundle = Path(spec.origin).with_name("package_data") / "plotly.min.js"
    return {path.name: path for path in (*own, bundle)}


@cache
def _packed(path: Path) -> tuple[bytes, str]:
    """Return a file compressed by gzip, and its version, a hash."""
    data = path.read_bytes()
    return gzip.compress(data, compresslevel=3, mtime=0), hashlib.sha256(data).hexdigest()[:16]
