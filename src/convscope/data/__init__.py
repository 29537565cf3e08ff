"""Data sets, their cache of decoded images, and batches made on the training device.

This module exports what a config is checked against and imports neither NumPy nor torch.
`sources.load` loads the images, `split.stratified_split` selects the validation images, and
`batches` makes the network's inputs.
"""

from convscope.data.datasets import DATASETS, Facts, dataset_facts

__all__ = ["DATASETS", "Facts", "dataset_facts"]
