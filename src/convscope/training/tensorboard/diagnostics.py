"""Pictures of a trained network's diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from convscope.geometry import NetworkGeometry


def diagnostic_pictures(
    arrays: Mapping[str, NDArray[Any]], geometry: NetworkGeometry
) -> dict[str, Figure]:
    """Return pictures by TensorBoard tag.

    Args:
        arrays: as in `diagnostics.npz`.
        geometry: of the run's network.
    """
    return {}
