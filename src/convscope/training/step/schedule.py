"""The learning rate as a function of the step alone."""

from __future__ import annotations

import math

_FIRST, _LAST = 1 / 25, 1 / 25e4
"""Of the peak: `div_factor` and `final_div_factor` of PyTorch's OneCycleLR."""


def one_cycle(step: int, total_steps: int, peak: float, warmup: float) -> float:
    """The learning rate of optimizer step `step`, from 0: up to `peak` and down, along cosines.

    The 1cycle policy (Smith and Topin, 2017, arXiv:1708.07120) as `torch.optim.lr_scheduler.
    OneCycleLR(total_steps=total_steps + 1, cycle_momentum=False)` computes it; the point after the
    last step is the end of its descent.

    Args:
        warmup: share of the steps over which it climbs.
    """
    top = warmup * (total_steps + 1) - 1
    if step < top:
        return _cosine(peak * _FIRST, peak, step / top)
    return _cosine(peak, peak * _LAST, (step - top) / (total_steps - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
