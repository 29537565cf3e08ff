"""What the page asks for, answered in JSON.

What the user can mend (a mistyped filter, nothing to draw) is an answer too, `{"problem": …}`; what
the page never asks is refused with status 400.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard.backend.http_util import Respond
from werkzeug.wrappers import Request, Response

from convscope.compare.tensorboard import answers
from convscope.compare.tensorboard.files import page_file
from convscope.compare.tensorboard.snapshot import Snapshot, Snapshots
from convscope.errors import UserError

SEVERAL_LOGDIRS = (
    "This tab shows the runs below one folder: start TensorBoard with --logdir FOLDER,"
    " for example tensorboard --logdir outputs, instead of --logdir_spec."
)


class Routes:
    """One method per route.

    Args:
        logdir: as TensorBoard was given it; None where it was given several.
    """

    def __init__(self, logdir: Path | None) -> None:
        self._logdir = logdir
        self._snapshots = Snapshots(logdir) if logdir else None

    def page(self, request: Request) -> Response:
        """A file of the page; 304 where the browser has it already."""
        file = page_file(request.path.rpartition("/page/")[2])
        if file is None:
            return _respond(request, "there is no such file", "text/plain", code=404)
        if file.version in request.if_none_match:
            return _unchanged(request, file.version)
        return _respond(
            request,
            file.zipped,
            file.kind,
            content_encoding="gzip",
            headers=_version(file.version),
        )

    def runs(self, request: Request) -> Response:
        """The table; 304 where the page has this version of it."""

        def answer(snapshot: Snapshot) -> Response:
            if snapshot.version in request.if_none_match:
                return _unchanged(request, snapshot.version)
            content = answers.table(snapshot, _where(request), str(self._logdir))
            return _json(request, content, version=snapshot.version)

        return self._answered(request, answer)

    def words(self, request: Request) -> Response:
        return self._answered(
            request,
            lambda now: _json(request, answers.words(answers.selected(now.runs, _where(request)))),
        )

    def figure(self, request: Request) -> Response:
        """A figure by its `name`, `dark` or not, with its own choices."""
        name, dark = request.args.get("name", ""), request.args.get("dark", "")
        if name not in answers.CHOICES or dark not in ("", "1"):
            return _refused(request, "figure takes a name of its list and dark=1 or nothing")

        def answer(snapshot: Snapshot) -> Response:
            runs = answers.selected(snapshot.runs, _where(request))
            return _json(request, answers.figure(runs, name, request.args, dark == "1"))

        return self._answered(request, answer)

    def diff(self, request: Request) -> Response:
        first, second = request.args.get("first"), request.args.get("second")
        if not first or not second:
            return _refused(request, "diff takes first and second, each a run or a group")
        return self._answered(
            request,
            lambda now: _json(request, answers.side_by_side(now.runs, first, second)),
        )

    def _answered(self, request: Request, answer: Callable[[Snapshot], Response]) -> Response:
        if self._snapshots is None:
            return _problem(request, SEVERAL_LOGDIRS)
        try:
            return answer(self._snapshots.now())
        except UserError as error:
            return _problem(request, str(error))


def _where(request: Request) -> str:
    return request.args.get("where", "")


def _json(request: Request, content: str, code: int = 200, version: str | None = None) -> Response:
    headers = _version(version) if version else []
    return _respond(request, content, "application/json", code=code, headers=headers)


def _problem(request: Request, sentence: str, code: int = 200) -> Response:
    return _json(request, json.dumps({"problem": sentence}), code)


def _refused(request: Request, sentence: str) -> Response:
    return _problem(request, sentence, code=400)


def _unchanged(request: Request, version: str) -> Response:
    return _respond(request, "", "text/plain", code=304, headers=_version(version))


def _respond(*content: Any, **more: Any) -> Response:
    """TensorBoard's own way: compressed where the browser takes it, never sniffed, never cached."""
    response: Response = Respond(*content, **more)
    return response


def _version(version: str) -> list[tuple[str, str]]:
    return [("ETag", f'"{version}"')]
