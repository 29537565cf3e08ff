"""Figures as PNG, for Markdown and a README: what `figures` shows, drawn by matplotlib."""

from __future__ import annotations

from convscope.plots.pictures.accuracy import accuracy_png
from convscope.plots.pictures.effects import effects_png
from convscope.plots.pictures.heat import heat_png

__all__ = ["accuracy_png", "effects_png", "heat_png"]
