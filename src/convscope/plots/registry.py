"""Registry of figures: each module of this package that defines a `FIGURE` adds one.

The tab and the report show the registered figures.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import plotly.graph_objects as go

from convscope.errors import UserError


@dataclass(frozen=True)
class Choice:
    """An argument of a figure that readers of the tab can choose.

    Args:
        key: name of the argument.
        label: label in front of the choice.
        options: titles by value, the default first; empty if the options are the table's settings.
    """

    key: str
    label: str
    options: Mapping[str, str] = field(default_factory=dict)

    def check(self, value: str) -> str:
        """Return `value`, which must be one of the options.

        Raises:
            UserError: the value is not an option.
        """
        if value not in self.options:
            known = ", ".join(self.options)
            raise UserError(f"{self.key} must be one of {known}, got {value}")
        return value


@dataclass(frozen=True)
class InReport:
    """A figure in a report.

    Args:
        key: unique key of lower-case letters, digits and dashes.
        title: heading above the figure.
        caption: explanation in full sentences.
        arguments: arguments of the figure's function.
        needs: column of the table; where no run has a value there, the figure is left out.
    """

    key: str
    title: str
    caption: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    needs: str | None = None


@dataclass(frozen=True)
class View:
    """A view of the tab; figures of the same view are shown side by side.

    Args:
        key: key in links to the view.
        title: label of the view.
    """

    key: str
    title: str


@dataclass(frozen=True)
class Figure:
    """A figure and where it is shown.

    Args:
        draw: draws the table from `frame`, with the choices as arguments; raises UserError if there
            is nothing to show. `customdata` of every point is the id of its group, or a list of
            ids.
        order: sort key in the tab and in the report.
        view: the tab's view.
        choices: arguments that readers of the tab can choose.
        reports: the figure's variants in a report.
    """

    draw: Callable[..., go.Figure]
    order: int
    view: View
    choices: tuple[Choice, ...] = ()
    reports: tuple[InReport, ...] = ()


SETTING = Choice("setting", "Setting")
GEOMETRY = View("geometry", "Kernel, stride, padding")


def find_figures(path: Iterable[str], package: str) -> dict[str, Figure]:
    """Return the `FIGURE` of each module of a package that has one, by its function's name."""
    modules = (import_module(f"{package}.{one.name}") for one in pkgutil.iter_modules(path))
    found = [module.FIGURE for module in modules if hasattr(module, "FIGURE")]
    return {one.draw.__name__: one for one in sorted(found, key=lambda one: one.order)}


def described(figures: Mapping[str, Figure]) -> list[dict[str, Any]]:
    """Return each figure's name, view and choices as JSON values."""
    return [
        {
            "name": name,
            "view": asdict(one.view),
            "choices": [
                {"key": choice.key, "label": choice.label, "options": [*choice.options.items()]}
                for choice in one.choices
            ],
        }
        for name, one in figures.items()
    ]
