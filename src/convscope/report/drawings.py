"""The figures of a report."""

from __future__ import annotations

from functools import partial

from pandas import DataFrame

from convscope import plots as figures
from convscope.plots import pictures
from convscope.report.document import Drawing

_POINTS = (
    "A point is a variant's mean over its seeds, with 95 % intervals where there is more than one;"
    " what its colour, symbol and filling mean stands below the figure."
)
_FRONT = (
    " The dotted line joins the Pareto front: the variants that no other beats in mean validation"
    " accuracy and in cost at once. Neighbours on it need not differ significantly."
)


def drawings(runs: DataFrame, suffix: str) -> list[Drawing]:
    """What runs of one setting show.

    Args:
        suffix: of the keys, so that no other setting's drawings have them.
    """
    return [
        Drawing(
            f"accuracy-samples{suffix}",
            "What accuracy costs in training speed",
            _POINTS,
            partial(figures.accuracy_against, runs, "train_samples_per_sec"),
            partial(pictures.accuracy_png, runs, "train_samples_per_sec"),
        ),
        Drawing(
            f"accuracy-macs{suffix}",
            "What accuracy costs in multiply-accumulate operations (MACs)",
            _POINTS + _FRONT,
            partial(figures.accuracy_against, runs, "macs"),
            partial(pictures.accuracy_png, runs, "macs"),
        ),
        Drawing(
            f"heat{suffix}",
            "Which convolution",
            "Kernel size by stride, with a panel for each padding and whatever else of a"
            " convolution varies; a cell per variant with its mean over the seeds, × where it is"
            " impossible.",
            partial(figures.heat, runs),
            partial(pictures.heat_png, runs),
        ),
        Drawing(
            f"effects{suffix}",
            "What each of them does on its own",
            "Above, the adjusted mean of each level, with the other factors' levels equally"
            " frequent, and its 95 % interval. Below, shares of the variance between runs, which"
            " add up to 100 %: of each factor; of interactions, what two factors do together beyond"
            " the sum of both; of seeds, what is left. Where variants are missing, what belongs to"
            " no single factor is confounded; factors that overlap are shown as variants together.",
            partial(figures.effects, runs),
            partial(pictures.effects_png, runs),
        ),
        Drawing(
            f"map-sizes{suffix}",
            "What is left of the image, layer by layer",
            "Height and width of each layer's output, drawn to scale.",
            partial(figures.map_sizes, runs),
            None,
        ),
        Drawing(
            f"curves{suffix}",
            "How the variants learn",
            "Validation accuracy per epoch: the mean over the seeds, and a band from the least to"
            " the greatest.",
            partial(figures.curves, runs),
            None,
        ),
    ]
