"""Images: where they come from, the decoded cache, and batches made on the device.

Here is what a config is checked against, without NumPy or torch. `sources.load` gives the images,
`split.stratified_split` the validation part, `batches` what a network is fed.
"""

from convscope.data.datasets import DATASETS, Facts, dataset_facts

__all__ = ["DATASETS", "Facts", "dataset_facts"]
