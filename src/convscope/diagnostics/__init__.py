"""How a trained network answers: shifts, effective receptive field, borders, calibration."""

from convscope.diagnostics.measures import MEASURES
from convscope.diagnostics.subject import Measured, Subject

__all__ = ["MEASURES", "Measured", "Subject"]
