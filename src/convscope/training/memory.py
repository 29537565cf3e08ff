"""Whether a run can fit in memory at all, from arithmetic, before its images are loaded."""

from __future__ import annotations

from convscope.errors import UserError
from convscope.training.hardware import Hardware
from convscope.variant import Variant

_BYTES_PER_PARAMETER = 16
"""In float32: the weight, its gradient, and AdamW's two moments."""


def require_memory(variant: Variant, hardware: Hardware) -> None:
    """Refuse a run that this machine's memory cannot hold.

    Raises:
        UserError: names what it takes and what there is.
    """
    needed, there = least_bytes(variant), hardware.memory
    if there is not None and needed > there:
        raise UserError(
            f"{variant.label} takes at least {needed / 1e9:,.1f} GB of memory, and there are"
            f" {there / 1e9:,.1f} GB\n"
            "set fewer model.channels, a smaller data.batch_size or a larger conv.stride"
        )


def least_bytes(variant: Variant) -> int:
    """Bytes without which no training step is possible, over all devices.

    The parameters, and four bytes per output of a conv layer: the backward pass reads it twice, as
    batch norm's input and, after ReLU, as the next layer's, each in two bytes at least. Everything
    else is left out, so that no run is refused that could be trained.
    """
    geometry, config = variant.geometry, variant.config
    if geometry is None:
        return 0
    outputs = sum(layer.activation_bytes for layer in geometry.layers if layer.kind == "conv")
    parameters = _BYTES_PER_PARAMETER * geometry.params * config.trainer.devices
    return parameters + outputs * config.data.batch_size
