"""The tab ConvScope in TensorBoard: `tensorboard --logdir outputs`.

TensorBoard imports this module at every start. Modules that read records and draw figures are
imported at the tab's first request.
"""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard.plugins import base_plugin
from typing_extensions import override
from werkzeug.wrappers import Request, Response

from convscope.errors import UserError
from convscope.runs.study import runs_below
from convscope.tensorboard_plugin.http import serve_page

if TYPE_CHECKING:
    from convscope.tensorboard_plugin.api import Api

__all__ = ["ConvScopePlugin"]

_ROUTES = ("figures", "runs", "leaders", "words", "figure", "diff")
"""Methods of `Api`."""


class ConvScopePlugin(base_plugin.TBPlugin):  # type: ignore[misc]  # TensorBoard has no types
    """Serves the page and its requests about the runs below the logdir."""

    plugin_name = "convscope"

    def __init__(self, context: Any) -> None:
        # Empty with --logdir_spec, which names several folders.
        self._logdir = Path(context.logdir) if context.logdir else None

    @override
    def is_active(self) -> bool:
        """Return whether there is a run below the logdir; TensorBoard polls this, so it is fast."""
        try:
            return self._logdir is not None and runs_below(self._logdir)[0] != []
        except UserError:
            return False

    @override
    def frontend_metadata(self) -> Any:
        return base_plugin.FrontendMetadata(es_module_path="/page/index.js", tab_name="ConvScope")

    @override
    def get_plugin_apps(self) -> dict[str, Any]:
        answers = {f"/{route}": partial(self._answer, route) for route in _ROUTES}
        return {
            "/page/*": Request.application(serve_page),
            **{path: Request.application(answer) for path, answer in answers.items()},
        }

    def _answer(self, route: str, request: Request) -> Response:
        return self._api.respond(route, request)

    @cached_property
    def _api(self) -> Api:
        from convscope.tensorboard_plugin.api import Api

        return Api(self._logdir)
