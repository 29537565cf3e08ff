"""The figures there are: each module of this package with a `FIGURE` adds one.

The tab and the report both read this list: nothing else names a figure.
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
    """An argument of a figure that its reader may set.

    Args:
        key: the argument's name.
        label: what stands before the choice on a page.
        options: values and their titles, the default first; none for the settings of the table.
    """

    key: str
    label: str
    options: Mapping[str, str] = field(default_factory=dict)

    def check(self, value: str) -> str:
        """Return `value`.

        Raises:
            UserError: it is none of the options.
        """
        if value not in self.options:
            known = ", ".join(self.options)
            raise UserError(f"{self.key} must be one of {known}, got {value}")
        return value


@dataclass(frozen=True)
class InReport:
    """A figure as a report shows it.

    Args:
        key: of lower-case letters, digits and dashes; no other one has it.
        caption: what is shown, in full sentences.
        arguments: of the figure.
    """

    key: str
    title: str
    caption: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A view of the tab; the figures of one view stand side by side.

    Args:
        key: in links to it.
    """

    key: str
    title: str


@dataclass(frozen=True)
class Figure:
    """A figure and where it is shown.

    Args:
        draw: makes it of `frame`'s table and the choices; raises UserError where there is nothing
            to show. `customdata` of every point is its group's id, or a list where it stands for
            several groups.
        order: the smaller, the further to the front, in the tab as in the report.
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
    """Return what a page needs to know of each figure, as JSON has it."""
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
