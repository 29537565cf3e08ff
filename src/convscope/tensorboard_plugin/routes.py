"""What the page asks for, answered in JSON.

What the user can mend (a mistyped filter, nothing to draw) is an answer too, `{"problem": …}`; what
the page never asks is refused with status 400.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pandas import DataFrame
from werkzeug.wrappers import Request, Response

from convscope.errors import UserError
from convscope.tensorboard_plugin import answers
from convscope.tensorboard_plugin.respond import respond
from convscope.tensorboard_plugin.snapshot import Snapshot, Snapshots

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

    def runs(self, request: Request) -> Response:
        """The table; its version alone where the page knows it already (`known`)."""

        def answer(snapshot: Snapshot) -> Response:
            # Not by status 304, which browsers log as a failed request when a script asks.
            if snapshot.version == request.args.get("known"):
                return _json(request, answers.unchanged(snapshot))
            return _json(request, answers.table(snapshot, _where(request), str(self._logdir)))

        return self._answered(request, answer)

    def leaders(self, request: Request) -> Response:
        """Apart from the table: all pairs of many groups take longer than to show them."""
        return self._told(request, answers.leading)

    def words(self, request: Request) -> Response:
        return self._told(request, answers.words)

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

    def _told(self, request: Request, tell: Callable[[DataFrame], str]) -> Response:
        return self._answered(
            request,
            lambda now: _json(request, tell(answers.selected(now.runs, _where(request)))),
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


def _json(request: Request, content: str, code: int = 200) -> Response:
    return respond(request, content, "application/json", code=code)


def _problem(request: Request, sentence: str, code: int = 200) -> Response:
    return _json(request, json.dumps({"problem": sentence}), code)


def _refused(request: Request, sentence: str) -> Response:
    return _problem(request, sentence, code=400)
