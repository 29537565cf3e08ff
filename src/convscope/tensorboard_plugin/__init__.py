"""The tab named ConvScope inside TensorBoard: `tensorboard --logdir outputs`.

TensorBoard imports this module at every start, whether or not the tab is ever opened: what reads
records and draws figures is imported when the tab first asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard.plugins import base_plugin
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from convscope.tensorboard_plugin.routes import Routes

__all__ = ["ConvScopePlugin"]

Answer = Callable[[Request], Response]


class ConvScopePlugin(base_plugin.TBPlugin):  # type: ignore[misc]  # TensorBoard has no types
    """Serves the page, and answers what it asks about the runs below the logdir."""

    plugin_name = "convscope"

    def __init__(self, context: Any) -> None:
        # Empty with --logdir_spec, which names several folders.
        self._logdir = Path(context.logdir) if context.logdir else None

    def is_active(self) -> bool:
        """Whether a run lies below the logdir; asked again and again, so no record is read."""
        from convscope.errors import UserError
        from convscope.runs.study import runs_below

        if self._logdir is None:
            return False
        try:
            return runs_below(self._logdir)[0] != []
        except UserError:
            return False

    def frontend_metadata(self) -> Any:
        return base_plugin.FrontendMetadata(es_module_path="/page/index.js", tab_name="ConvScope")

    def get_plugin_apps(self) -> dict[str, Any]:
        return {
            "/page/*": _application(_page),
            "/runs": _application(lambda request: self._routes.runs(request)),
            "/leaders": _application(lambda request: self._routes.leaders(request)),
            "/words": _application(lambda request: self._routes.words(request)),
            "/figure": _application(lambda request: self._routes.figure(request)),
            "/diff": _application(lambda request: self._routes.diff(request)),
        }

    @cached_property
    def _routes(self) -> Routes:
        from convscope.tensorboard_plugin.routes import Routes

        return Routes(self._logdir)


def _page(request: Request) -> Response:
    from convscope.tensorboard_plugin.files import serve

    return serve(request)


def _application(answer: Answer) -> Any:
    return Request.application(answer)
