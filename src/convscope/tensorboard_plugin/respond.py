"""Answers in TensorBoard's own way: compressed where the browser takes it, and never sniffed."""

from __future__ import annotations

from typing import Any

from tensorboard.backend.http_util import Respond
from werkzeug.wrappers import Request, Response


def respond(
    request: Request, content: str | bytes, kind: str, *, code: int = 200, **more: Any
) -> Response:
    """`more`: as `http_util.Respond` takes it."""
    response: Response = Respond(request, content, kind, code=code, **more)
    return response
